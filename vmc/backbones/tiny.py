"""The tiny tier: a text-to-video cascade of the rendered world, small enough for two CPU cores.

Every network in it is a `Denoiser`: Show-1's U-Net at about 1/400 of the size, which sees the
picture through a fixed, lossless space-to-depth and predicts the clean picture. Both are hidden at
its boundary, so that everything outside works on pixels and on the paper's ε.
"""

import difflib
import hashlib
import json
from functools import lru_cache
from pathlib import Path

import torch
from diffusers import DPMSolverMultistepScheduler
from jaxtyping import Float, Int
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from vmc.backbones import fingerprint
from vmc.backbones.projections import spatial_qkv, temporal_qkv
from vmc.backbones.unet import PixelUNet3D
from vmc.diffusion import noise_from_clean
from vmc.errors import BadInput
from vmc.stages import Interpolation, SuperResolution

WEIGHTS = Path(__file__).parent.parent / "weights" / "tiny"
TOKENS = 16  # every prompt is padded to this many

# The published schedule of Show-1's keyframe model; `alphas_cumprod` does not depend on the solver.
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "epsilon",
    "algorithm_type": "dpmsolver++",
    "solver_order": 2,
    "lambda_min_clipped": -5.1,  # starts at t = 995: above it ε says nothing of x_0 any more
    "thresholding": True,
    "sample_max_value": 1.0,  # Show-1's is 1.5; 1.0 clips the estimate of x_0, see `Solver`
    "final_sigmas_type": "zero",
}


@lru_cache(maxsize=1)
def schedule() -> Float[Tensor, "1000"]:
    """ᾱ_t of every stage."""
    return DPMSolverMultistepScheduler.from_config(SCHEDULE).alphas_cumprod.float()


class Solver(DPMSolverMultistepScheduler):
    """DPM-Solver++ that clips its estimate of x_0 to [-1, 1].

    With a `sample_max_value` of 1, dynamic thresholding comes to the same. diffusers looks for the
    quantile all the same, and sorting a large frame for it takes a fifth of a step's time.
    """

    def _threshold_sample(self, sample: Tensor) -> Tensor:
        return sample.clamp(-1, 1)


class Denoiser(nn.Module):
    """ε_θ for one stage: space-to-depth by `patch`, the U-Net, and its answer turned into ε.

    The U-Net predicts the clean picture, not ε or a velocity: a patch holds more numbers than the
    U-Net has channels to carry their noise through, while its clean content is simple. Where it
    `refines`, the condition begins with a first guess of the picture, and the U-Net predicts what
    is to be changed in it.
    """

    def __init__(self, unet: PixelUNet3D, patch: int, refines: bool = False):
        super().__init__()
        self.unet = unet
        self.patch = patch
        self.refines = refines
        self.register_buffer("alphas_cumprod", schedule().clone(), persistent=False)

    def clean(
        self,
        noisy: Float[Tensor, "batch 3 frame height width"],
        timestep: int | Int[Tensor, "batch"],
        text: Float[Tensor, "batch token text"],
        condition: Float[Tensor, "batch extra frame height width"] | None = None,
        noise_level: int | Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch 3 frame height width"]:
        """The estimate of x_0. `condition` holds channels beside the noisy ones."""
        seen = noisy if condition is None else torch.cat([noisy, condition], dim=1)
        folded = F.pixel_unshuffle(seen.transpose(1, 2), self.patch).transpose(1, 2)
        output = self.unet(folded, timestep, text, class_labels=noise_level)
        picture = F.pixel_shuffle(output.transpose(1, 2), self.patch).transpose(1, 2)
        return condition[:, :3] + picture if self.refines else picture

    def forward(self, noisy, timestep, text, condition=None, noise_level=None):
        """ε̂ in the dtype of `noisy`; arguments as in `clean`."""
        dtype = self.unet.conv_in.weight.dtype
        inputs = [x if x is None else x.to(dtype) for x in (noisy, text, condition)]
        clean = self.clean(inputs[0], timestep, inputs[1], inputs[2], noise_level)
        return noise_from_clean(noisy, clean.to(noisy.dtype), timestep, self.alphas_cumprod)


class TextEncoder(nn.Module):
    """A small T5 over a closed list of words."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, t5: T5EncoderModel):
        super().__init__()
        self.tokenizer = tokenizer
        self.t5 = t5

    def check(self, prompt: str) -> None:
        """Raise `BadInput` for words that the model was never taught, naming the nearest known."""
        known = [w for w in self.tokenizer.get_vocab() if w.isalpha()]
        words = prompt.lower().replace(",", " ").replace(".", " ").split()
        unknown = [w for w in words if w not in known]
        if unknown:
            near = difflib.get_close_matches(unknown[0], known, n=3, cutoff=0.5)
            listed = (
                f"the nearest are {', '.join(near)}"
                if near
                else f"it knows {', '.join(sorted(known))}"
            )
            raise BadInput(
                f"The tiny model does not know the word{'s' * (len(unknown) > 1)} "
                f"{', '.join(map(repr, unknown))} in {prompt!r}: {listed}."
            )
        if len(words) >= TOKENS:
            raise BadInput(
                f"The prompt {prompt!r} has {len(words)} words, but the tiny model reads at most "
                f"{TOKENS - 1}: shorten it."
            )

    def forward(self, prompts: list[str]) -> Float[Tensor, "batch token width"]:
        tokens = self.tokenizer(
            [p.lower() for p in prompts],
            padding="max_length",
            max_length=TOKENS,
            truncation=True,
            return_tensors="pt",
        ).to(self.t5.device)
        return self.t5(tokens.input_ids, attention_mask=tokens.attention_mask)[0]


class TinyBackbone:
    """The keyframe model of the tiny tier, as the contract in `vmc.backbones` asks."""

    name = "tiny"
    frames = 8
    size = (40, 64)
    inversion_steps = 50
    sampling_steps = 25
    guidance_scale = 4.0
    tuning_steps = 150
    # Where motion is decided. Below these, the noisy frames themselves show where everything is.
    tuning_timesteps = (850, 1000)
    learning_rate = 2e-3
    inverts_tuned = False  # the noise that the tuned network finds keeps less of the path

    def __init__(self, denoiser: Denoiser, text_encoder: TextEncoder):
        self.denoiser = denoiser.eval().requires_grad_(False)
        self.text_encoder = text_encoder.eval().requires_grad_(False)
        self.unet = denoiser.unet
        self.fingerprint = fingerprint(self.unet)
        self.alphas_cumprod = denoiser.alphas_cumprod

    @property
    def device(self) -> torch.device:
        return self.unet.conv_in.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.unet.conv_in.weight.dtype

    @torch.no_grad()
    def encode_text(self, prompts: list[str]) -> Float[Tensor, "batch token width"]:
        for prompt in prompts:
            self.text_encoder.check(prompt)
        return self.text_encoder(prompts).to(self.dtype)

    def encode_video(self, video):
        return video.to(self.device, torch.float32)

    def decode_video(self, latent):
        return latent.float()

    def predict_noise(self, noisy, timestep, text):
        return self.denoiser(noisy, timestep, text)

    def sampler(self) -> Solver:
        return Solver.from_config(SCHEDULE)

    def temporal_qkv(self) -> dict[str, nn.Parameter]:
        return temporal_qkv(self.unet)

    def spatial_qkv(self) -> dict[str, nn.Parameter]:
        return spatial_qkv(self.unet)


def load_denoiser(folder: Path, name: str) -> Denoiser:
    """One network of a tiny cascade from its folder."""
    index = read_index(folder)
    if name not in index["stages"]:
        raise BadInput(f"{folder} holds no stage {name!r}: only {', '.join(index['stages'])}.")
    unet = PixelUNet3D.from_config(PixelUNet3D.load_config(folder / name))
    unet.load_state_dict(load_file(folder / name / "diffusion_pytorch_model.safetensors"))
    return Denoiser(unet, **index["stages"][name])


def load_text_encoder(folder: Path) -> TextEncoder:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer")
    t5 = T5EncoderModel(T5Config.from_pretrained(folder / "text_encoder"))
    weights = load_file(folder / "text_encoder" / "model.safetensors")
    t5.load_state_dict(weights, strict=False)  # the file holds tied embeddings only once
    return TextEncoder(tokenizer, t5)


def load_backbone(folder: str | Path = WEIGHTS, stage: str = "keyframes") -> TinyBackbone:
    """The keyframe model; or, with stage="image", the text-to-image model that it grew from.

    They share their weights: on clips, the image model was trained on beside its temporal layers.
    """
    folder = Path(folder)
    backbone = TinyBackbone(load_denoiser(folder, "keyframes"), load_text_encoder(folder))
    backbone.unet.temporal = stage != "image"
    return backbone


def load_stages(
    name: str | Path, device: torch.device, dtype: torch.dtype | None = None
) -> tuple[TinyBackbone, Interpolation, tuple[SuperResolution, ...]]:
    """All stages of a tiny cascade: the shipped one ("tiny"), or a folder in the same layout.

    They compute in float32 if `dtype` is None.
    """
    folder = WEIGHTS if name == "tiny" else Path(name)
    base = load_backbone(folder)
    # Two steps each. More make interpolated frames noisier (0.165, 0.174, 0.181 off after 2, 4, 8)
    # and enlarged ones hardly better (0.0413 and 0.0309 off after 2, 0.0405 and 0.0305 after 3).
    interpolation = Interpolation(load_denoiser(folder, "interpolation"), base.sampler)
    stages = (("super_resolution_1", (160, 256)), ("super_resolution_2", (320, 576)))
    super_resolution = tuple(
        SuperResolution(load_denoiser(folder, stage), base.sampler, size) for stage, size in stages
    )
    base.text_encoder.to(device)
    for network in (base.denoiser, interpolation.denoiser, *(s.denoiser for s in super_resolution)):
        network.eval().requires_grad_(False).to(device)
        if dtype is not None:
            network.unet.to(dtype)
    return base, interpolation, super_resolution


def read_index(folder: Path) -> dict:
    """`model_index.json`, after every file that it lists was found and its hash compared."""
    path = folder / "model_index.json"
    if not path.is_file():
        raise BadInput(
            f'There is no cascade at {folder} (no model_index.json): ask for "tiny", or for a '
            "folder that `vmc pretrain` wrote; if this is the installed package, reinstall it."
        )
    index = json.loads(path.read_text())
    for file, expected in index["sha256"].items():
        if not (folder / file).is_file():
            raise BadInput(f"The weights at {folder} lack {file}: copy or install them again.")
        if sha256(folder / file) != expected:
            raise BadInput(
                f"{folder / file} is not the file that {path.name} lists (its SHA-256 differs): it "
                "was altered or damaged, so copy or install it again."
            )
    return index


@lru_cache
def _sha256(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file; computed once for as long as the file does not change."""
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)
