"""Algorithm 1: one clip's motion, learned by the temporal attention of a video diffusion model.

    for step in finetune(cascade, clip, "a ball is moving", preview_every=20):
        print(step.number, step.loss)

Each step draws a timestep and noise, predicts the noise of the noised clip, and aligns the frame
residuals of both (Eqs. 16, 17). The caller draws, pauses and stops; the backbone is touched only
inside a step, so between steps and afterwards it is the model it was, and what was learned is in
`.adapter`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vmc.adapter import Motion, MotionAdapter, exchanged, versions
from vmc.backbones import checked_clip, keyframe_backbone
from vmc.diffusion import add_noise, tweedie
from vmc.errors import BadInput
from vmc.interrupts import interrupts_held
from vmc.motion import alignment_loss
from vmc.tuning_record import Step, read_checkpoint, write_checkpoint
from vmc.tuning_settings import TuningSettings, check_range

MAX_GRADIENT_NORM = 1.0  # of all tuned weights together; in the published code, not in the paper


class Finetuning:
    """Tune a backbone to a clip's motion: an iterator of `Step`s (Algorithm 1).

    The U-Net stays in eval mode; the published code trains with the dropout of 0.1 in its temporal
    convolutions active. Weights are tuned in float32 whatever the backbone's dtype; one in half
    precision computes, each step, with their rounded copies. Equal arguments give equal bits on one
    device.

    Leaving the loop pauses: iterating again goes on. After Ctrl-C the run is whole, at the last
    finished step. With `checkpoint`, the same call in another process goes on from the file to the
    bit-identical result; it is written every `checkpoint_every` steps, at the end, and when a step
    is interrupted, `stop()` takes effect or `close()` is called.

    Arguments:
        cascade: a Cascade, whose keyframe stage is tuned, or a Backbone.
        clip: (3, frame, height, width) in [-1, 1], of the backbone's frames and size.
        prompt: what moves and how, without place or style (`vmc.prompts.appearance_invariant`).
        steps: 400 in the paper; the backbone's own number if None. More may be asked on resuming.
        loss: "cosine" (Eq. 17), "l2" (Eq. 16) or "released"; see `vmc.motion.alignment_loss`.
        parameters: which to_q, to_k, to_v train: those of the "temporal" attentions (the method),
            of the "spatial" ones (self- and cross-attention, the ablation), or "all" of both.
        learning_rate: of AdamW, constant; 1e-4 in the paper, the backbone's own if None.
        weight_decay: of AdamW.
        stride: c of Eq. 9.
        seed: of timesteps and noise, ≥ 0.
        timesteps: (first, last + 1) of those drawn, uniformly; all of the schedule in the paper,
            the backbone's own if None.
        batch_size: (timestep, noise) pairs per step; 1 in the paper.
        preview_every: give every so manieth step its `x0`.
        checkpoint: a file to write to and, with `resume`, to go on from where it exists.
        resume: False starts anew and replaces the file.
    Raises:
        BadInput: for any of these out of range; for a checkpoint of another run; from a step whose
            loss or gradient is not finite, before it changes anything.
    """

    def __init__(
        self,
        cascade,
        clip: Float[Tensor, "..."],
        prompt: str,
        steps: int | None = None,
        loss: str = "cosine",
        parameters: str = "temporal",
        learning_rate: float | None = None,
        weight_decay: float = 0.01,
        stride: int = 1,
        seed: int = 0,
        timesteps: tuple[int, int] | None = None,
        batch_size: int = 1,
        preview_every: int | None = None,
        checkpoint: str | Path | None = None,
        checkpoint_every: int = 25,
        resume: bool = True,
    ):
        backbone = keyframe_backbone(cascade)
        clip = checked_clip(clip, backbone)
        settings = TuningSettings.on(
            backbone,
            prompt=prompt,
            seed=seed,
            loss=loss,
            parameters=parameters,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            stride=stride,
            timesteps=timesteps,
            batch_size=batch_size,
        )
        self.total = backbone.tuning_steps if steps is None else steps
        check_range("steps", self.total, 1)
        check_range("preview_every", 1 if preview_every is None else preview_every, 1)
        check_range("checkpoint_every", checkpoint_every, 1)

        self.backbone = backbone
        self.history: list[Step] = []
        """Every step so far, also those before a resumption, without x0."""
        self.settings = settings.recorded()
        self._identity = settings.identity(backbone, clip)
        self._preview_every = preview_every
        self._checkpoint = None if checkpoint is None else Path(checkpoint)
        self._checkpoint_every = checkpoint_every
        self._saved = 0
        self._stopped = False

        backbone.unet.eval()
        self._weights = {
            name: nn.Parameter(parameter.detach().to(torch.float32, copy=True))
            for name, parameter in settings.trainable(backbone).items()
        }
        self._optimizer = torch.optim.AdamW(
            self._weights.values(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            foreach=False,  # all at once would need as much memory again on a GPU
        )
        if self._checkpoint is not None and resume and self._checkpoint.exists():
            self.history = read_checkpoint(
                self._checkpoint, self._identity, self.total, self._weights, self._optimizer
            )
            self._saved = self.number
        with torch.no_grad():
            self._latent = backbone.encode_video(clip[None])
            self._text = backbone.encode_text([prompt])

    @property
    def number(self) -> int:
        """How many steps are done."""
        return len(self.history)

    @property
    def adapter(self) -> MotionAdapter:
        """The motion as learned so far; a copy that later steps leave alone."""
        weights = {name: w.detach().to("cpu", copy=True) for name, w in self._weights.items()}
        metadata = {
            "backbone": self.backbone.name,
            "fingerprint": self.backbone.fingerprint,
            "prompt": self._identity["prompt"],
            "seed": self._identity["seed"],
            "steps": self.number,
            "settings": self.settings,
            "versions": versions(),
        }
        return MotionAdapter((Motion(weights, metadata),))

    def stop(self) -> None:
        """End the run before its next step; may be called from another thread, such as a button."""
        self._stopped = True

    def close(self) -> None:
        """End the run and write its checkpoint; `contextlib.closing` calls it in every case."""
        self.stop()
        self._save()

    def __iter__(self) -> "Finetuning":
        return self

    def __next__(self) -> Step:
        if self._stopped or self.number >= self.total:
            self._save()
            raise StopIteration
        try:
            step = self._step()
        except BaseException:
            self._save()
            raise
        if step.number % self._checkpoint_every == 0 or step.number == self.total:
            self._save()
        return step

    def _step(self) -> Step:
        started = time.perf_counter()
        number, rate = self.number + 1, self.settings["learning_rate"]
        timestep, noise = self._draw(number)
        levels = self.backbone.alphas_cumprod
        noisy = add_noise(self._latent.expand_as(noise), noise, timestep, levels)
        text = self._text.expand(len(noise), -1, -1)

        self._optimizer.zero_grad()
        # Half the gradients of a float16 network would round to zero without a factor.
        scale = 2.0**10 if self.backbone.dtype == torch.float16 else 1.0
        with self._tuned_unet(scale):
            prediction = self.backbone.predict_noise(noisy, timestep, text)
            loss = alignment_loss(prediction, noise, self.settings["loss"], self.settings["stride"])
            (scale * loss).backward()
        weights = list(self._weights.values())
        norm = nn.utils.clip_grad_norm_(weights, MAX_GRADIENT_NORM)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise BadInput(
                f"Step {number} has loss {loss.item():.3g} and gradient norm {norm.item():.3g}, "
                f"so it was not taken and the weights of step {self.number} are kept; lower the "
                f"learning rate (now {rate:g}) or run the backbone in float32."
            )
        x0 = None
        if self._preview_every is not None and number % self._preview_every == 0:
            with torch.no_grad():
                x0 = tweedie(noisy[:1], prediction[:1], timestep[:1], levels)
                x0 = self.backbone.decode_video(x0)[0].clamp(-1, 1).cpu()
        timesteps, seconds = tuple(timestep.tolist()), time.perf_counter() - started
        step = Step(number, self.total, loss.item(), rate, timesteps, norm.item(), seconds, x0)
        self._commit(step)
        return step

    def _commit(self, step: Step) -> None:
        """The only place where the run changes: all of it or, for Ctrl-C, nothing."""
        with interrupts_held():
            try:
                self._optimizer.step()
            except BaseException:
                # Weights half updated must not reach the file, which keeps an earlier step.
                self._stopped, self._checkpoint = True, None
                raise
            self.history.append(replace(step, x0=None))

    def _draw(self, number: int) -> tuple[Tensor, Tensor]:
        """Timesteps and noise of one step, from the seed and its number alone.

        So a resumed run needs no generator's state, and draws alike on every device.
        """
        low, high = self.settings["timesteps"]
        batch = self.settings["batch_size"]
        random = np.random.default_rng([self._identity["seed"], number])
        timestep = torch.from_numpy(random.integers(low, high, size=batch))
        generator = torch.Generator().manual_seed(int(random.integers(2**63)))
        noise = torch.randn(batch, *self._latent.shape[1:], generator=generator)
        return timestep.to(self.backbone.device), noise.to(self.backbone.device)

    @contextmanager
    def _tuned_unet(self, scale: float) -> Iterator[None]:
        """The network with the weights as tuned so far, and gradients for nothing else.

        Gradients of a loss that was multiplied by `scale` are in `_weights` after the block.
        """
        trained = [p for p in self.backbone.unet.parameters() if p.requires_grad]
        used, dtype = self._weights, self.backbone.dtype
        if dtype != torch.float32:
            used = {name: nn.Parameter(w.detach().to(dtype)) for name, w in used.items()}
        try:
            for parameter in trained:
                parameter.requires_grad_(False)
            with exchanged(self.backbone.unet, used), torch.enable_grad():
                yield
            if used is not self._weights:
                for name, weight in self._weights.items():
                    if (gradient := used.pop(name).grad) is not None:
                        weight.grad = gradient.float() / scale
        finally:
            for parameter in trained:
                parameter.requires_grad_(True)

    def _save(self) -> None:
        if self._checkpoint is None or self._saved == self.number:
            return
        number = self.number
        write_checkpoint(
            self._checkpoint, self._identity, self.history, self._weights, self._optimizer
        )
        self._saved = number


finetune = Finetuning
