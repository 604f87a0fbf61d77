"""One stage's training: an iterator that saves itself, and resumes as if never killed.

Every batch is drawn by generators seeded with (seed, stage, step), so a run that was killed goes
on from its last checkpoint to the same bits as an uninterrupted one.
"""

import copy
import csv
import json
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vmc.backbones.tiny import load_denoiser, load_text_encoder, sha256
from vmc.diffusion import add_noise
from vmc.errors import BadInput
from vmc.pretraining.batches import BATCHES
from vmc.pretraining.path_offsets import PathOffsets
from vmc.pretraining.precision import bfloat16_products
from vmc.pretraining.recipes import RECIPES, Phase, new_denoiser, new_text_encoder
from vmc.pretraining.wording import teach_motions
from vmc.sprites import random_scene
from vmc.storage import moments, read_tensors, restore_moments, write_tensors
from vmc.video import write_atomically

FORMAT = "vmc pretraining checkpoint 3"
CAPTION_DROPOUT = 0.1
EMA = 0.998
SUBJECT_WEIGHT = 4.0


class Pretraining:
    """One stage's training, as an iterator of `(step, loss)`; saves and resumes by itself.

    A checkpoint in `folder` is gone on from. Without one, `keyframes` grows out of `image`
    in the same folder, the others take their text encoder from `keyframes`; or each starts from
    `weights`, a folder of exported ones, to train those further.
    """

    def __init__(
        self,
        stage: str,
        folder: str | Path,
        steps: int | None = None,
        seed: int = 0,
        device: str = "cpu",
        checkpoint_every: int = 200,
        weights: str | Path | None = None,
    ):
        if stage not in RECIPES:
            raise BadInput(
                f"There is no stage {stage!r} to train: choose one of {', '.join(RECIPES)}."
            )
        self.stage, self.seed, self.device = stage, seed, torch.device(device)
        self.recipe = recipe = RECIPES[stage]
        self.steps = steps or recipe.steps
        self.folder = Path(folder)
        self.checkpoint_every = checkpoint_every
        torch_state = torch.random.get_rng_state()  # module constructors draw from the global state
        torch.manual_seed(seed)
        self.text_encoder = new_text_encoder()
        self.denoiser = new_denoiser(recipe)
        torch.random.set_rng_state(torch_state)
        self.denoiser.unet.temporal = recipe.temporal
        self.model = nn.ModuleDict({"denoiser": self.denoiser, "text_encoder": self.text_encoder})
        for name, parameter in self.denoiser.named_parameters():
            parameter.requires_grad_(recipe.temporal or ".temp_" not in name)
        self.text_encoder.requires_grad_(stage in ("image", "keyframes"))
        self.further = weights is not None  # its words and directions are known already
        begun = self._checkpoint_path().exists()
        if not begun:
            self._start(weights)
        self.model.to(self.device)
        self.ema = {k: p.detach().clone() for k, p in self._parameters()}
        self.optimizer = torch.optim.AdamW(
            self._groups(), lr=0.0, betas=(0.9, 0.99), weight_decay=0.01
        )
        held = any(phase.held for phase in recipe.phases)
        self.offsets = PathOffsets(self.denoiser.unet, seed) if held else None
        self.step = 0
        if begun:
            self._resume()
        if self.device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
            bfloat16_products(self.denoiser)

    def _parameters(self):
        return [(k, p) for k, p in self.model.named_parameters() if p.requires_grad]

    def _groups(self):
        new = [p for k, p in self._parameters() if ".temp_" in k]
        known = [p for k, p in self._parameters() if ".temp_" not in k]
        return [{"params": new, "rate": 1.0}, {"params": known, "rate": self.recipe.known_rate}]

    def rate(self, step: int) -> float:
        """Warm-up, a plateau, and for the last 40 % of the steps a linear descent to zero."""
        warm = min(1.0, (step + 1) / 100)
        return self.recipe.learning_rate * warm * min(1.0, (self.steps - step) / (0.4 * self.steps))

    def _phase(self, step: int) -> Phase:
        return self.recipe.phases[-1] if self.further else self.recipe.phase(step)

    def _rng(self, step: int, *purpose: int) -> np.random.Generator:
        stage = list(RECIPES).index(self.stage)
        return np.random.default_rng([self.seed, stage, step, *purpose])

    def _held_path(self, step: int) -> int | None:
        """The number of the path that a batch of clips shows in many looks, if it is such a one."""
        rng = self._rng(step, 1)
        held = self._phase(step).held
        return int(rng.integers(len(self.offsets.paths))) if rng.random() < held else None

    def _draw(self, step: int, path: int | None):
        rng, phase = self._rng(step), self._phase(step)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        scenes = [random_scene(rng, shares=phase.motions) for _ in range(self.recipe.batch)]
        if path is not None:
            scenes = [scene.with_(motion=self.offsets.paths[path]) for scene in scenes]
        shows_motion = self.recipe.temporal
        captions = [
            "" if rng.random() < CAPTION_DROPOUT else s.caption(rng, motion=shows_motion)
            for s in scenes
        ]
        batch = BATCHES[self.stage](scenes, rng, generator)
        noise = torch.randn(batch.clean.shape, generator=generator)
        timestep = torch.randint(0, 1000, (len(scenes),), generator=generator)
        of_phase = torch.randint(*phase.timesteps, (len(scenes),), generator=generator)
        share = phase.share if path is None else 1.0
        from_phase = torch.rand(len(scenes), generator=generator) < share
        timestep = torch.where(from_phase, of_phase, timestep)
        return captions, batch.to(self.device), noise.to(self.device), timestep.to(self.device)

    def _loss(self, step: int, path: int | None) -> Tensor:
        """Squared error of x̂_0, weighted by 1 / (1-ᾱ_t) as a velocity's would be, up to 5.

        Subjects are a small part of a picture and the hardest: their pixels count more. One in five
        batches of keyframes that hold no path is shown as single frames, so that the keyframe model
        without its temporal layers stays the text-to-image model that it grew from.
        """
        as_frames = self.stage == "keyframes" and step % 5 == 4 and path is None
        self.denoiser.unet.temporal = self.recipe.temporal and not as_frames
        captions, batch, noise, timestep = self._draw(step, path)
        levels = self.denoiser.alphas_cumprod
        noisy = add_noise(batch.clean, noise, timestep, levels)
        on_gpu = self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=on_gpu):
            text = self.text_encoder(captions)
            estimate = self.denoiser.clean(noisy, timestep, text, batch.condition, batch.level)
        error = (estimate.float() - batch.clean).square()
        weight = 1 / (1 - levels[timestep]).clamp(min=0.2)
        error = error * weight[:, None, None, None, None]
        if batch.subject is not None:
            error = error * (1 + SUBJECT_WEIGHT * batch.subject)
        return error.mean()

    def __iter__(self) -> Iterator[tuple[int, float]]:
        started = time.time()
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"{self.stage}.csv"
        parameters = [p for _, p in self._parameters()]
        while self.step < self.steps:
            path = self._held_path(self.step)
            self.optimizer.zero_grad()
            with nullcontext() if path is None else self.offsets.applied(path):
                loss = self._loss(self.step, path)
                loss.backward()
            for parameter in parameters:  # of layers left out: all moments stay of one age
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            nn.utils.clip_grad_norm_(parameters, 1.0)
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate(self.step) * group["rate"]
            self.optimizer.step()
            if path is not None:
                self.offsets.step(path, self.rate(self.step))
            decay = min(EMA, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                torch._foreach_lerp_(list(self.ema.values()), parameters, 1 - decay)
            self.step += 1
            with log.open("a", newline="") as file:
                csv.writer(file).writerow(
                    [self.step, f"{loss.item():.6f}", f"{time.time() - started:.1f}"]
                )
            if self.step % self.checkpoint_every == 0 or self.step == self.steps:
                self.save()
            yield self.step, loss.item()

    def _checkpoint_path(self) -> Path:
        return self.folder / f"{self.stage}.checkpoint.safetensors"

    def save(self) -> None:
        """Write weights, their running average and the optimizer's moments, in one file."""
        tensors = {f"ema.{k}": v for k, v in self.ema.items()}
        tensors |= {f"model.{k}": p.detach() for k, p in self.model.named_parameters()}
        tensors |= moments(dict(self._parameters()), self.optimizer)
        if self.offsets is not None:
            tensors |= self.offsets.tensors()
        header = {"step": self.step, "seed": self.seed, "further": self.further}
        header = {"format": FORMAT} | {name: str(value) for name, value in header.items()}
        write_tensors(self._checkpoint_path(), tensors, header)

    def _resume(self) -> None:
        path = self._checkpoint_path()
        tensors, header = read_tensors(path, FORMAT, "a pretraining checkpoint")
        if int(header["seed"]) != self.seed:
            raise BadInput(
                f"{path} was trained with seed {header['seed']}, not {self.seed}: use that seed, "
                "or another folder."
            )
        self.step = int(header["step"])
        self.further = header["further"] == "True"
        with torch.no_grad():
            for k, p in self.model.named_parameters():
                p.copy_(tensors[f"model.{k}"])
        trained = dict(self._parameters())
        self.ema = {k: tensors[f"ema.{k}"].to(self.device) for k in trained}
        restore_moments(trained, self.optimizer, tensors, self.step)
        if self.offsets is not None:
            self.offsets.restore(tensors)

    def _start(self, weights: str | Path | None) -> None:
        """From exported `weights`; else from an earlier stage, after a lesson in words if any."""
        if weights is not None:
            exported = "keyframes" if self.stage == "image" else self.stage  # they share weights
            self.denoiser.load_state_dict(load_denoiser(Path(weights), exported).state_dict())
            self.text_encoder.load_state_dict(load_text_encoder(Path(weights)).state_dict())
        elif self.stage != "image":
            self._start_from("image" if self.stage == "keyframes" else "keyframes")
            teach_motions(self.text_encoder, self.recipe.word_steps, self.seed)

    def _start_from(self, source: str) -> None:
        """Take the averaged text encoder of an earlier stage; for keyframes also its network."""
        path = self.folder / f"{source}.checkpoint.safetensors"
        if not path.exists():
            raise BadInput(f"{path} is missing: train the stage {source!r} first.")
        tensors, _ = read_tensors(path, FORMAT, "a pretraining checkpoint")
        with torch.no_grad():
            for k, p in self.model.named_parameters():
                if k.startswith("text_encoder.") or self.stage == "keyframes":
                    p.copy_(tensors.get(f"ema.{k}", tensors[f"model.{k}"]))

    def averaged(self) -> nn.ModuleDict:
        """A copy of the model with its averaged weights, in eval mode; training goes on without."""
        model = copy.deepcopy(self.model)
        model["denoiser"].unet.temporal = self.recipe.temporal
        with torch.no_grad():
            for k, p in model.named_parameters():
                if k in self.ema:
                    p.copy_(self.ema[k])
        return model.eval()


def export(folder: str | Path, out: str | Path) -> None:
    """Write the averaged float16 weights of every trained stage in `from_pretrained` layout."""
    folder, out = Path(folder), Path(out)
    index = {}
    for stage, recipe in RECIPES.items():
        if not (folder / f"{stage}.checkpoint.safetensors").exists():
            continue
        model = Pretraining(stage, folder).averaged()
        name = "keyframes" if stage == "image" else stage  # until the real ones come, if they do
        model["denoiser"].unet.half().save_pretrained(out / name)
        index[name] = {"patch": recipe.patch, "refines": recipe.refines}
        if stage in ("image", "keyframes"):  # the last that trained it
            model["text_encoder"].t5.half().save_pretrained(out / "text_encoder")
            model["text_encoder"].tokenizer.save_pretrained(out / "tokenizer")
    # Files of the folder itself are written about the weights, not part of them.
    files = sorted(f for f in out.glob("*/*") if f.suffix in (".safetensors", ".json"))
    hashes = {f.relative_to(out).as_posix(): sha256(f) for f in files}
    text = json.dumps({"stages": index, "sha256": hashes}, indent=2) + "\n"
    write_atomically(out / "model_index.json", text.encode())
