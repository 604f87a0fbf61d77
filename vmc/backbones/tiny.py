"""The tiny tier: a text-to-video cascade of the rendered world, small enough for two CPU cores.

Every network in it is a `Denoiser`: Show-1's U-Net at about 1/400 of the size, which sees the
picture through a fixed, lossless space-to-depth and predicts velocity. Both are hidden at its
boundary, so that everything outside works on pixels and on the paper's ε.
"""

import difflib
import json
from pathlib import Path

import torch
from diffusers import DPMSolverMultistepScheduler
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast, T5EncoderModel

from vmc.backbones import fingerprint
from vmc.backbones.unet import PixelUNet3D
from vmc.diffusion import noise_from_velocity
from vmc.errors import BadInput

WEIGHTS = Path(__file__).parent.parent / "weights" / "tiny"
TOKENS = 16  # every prompt is padded to this many

# The published schedule of Show-1's keyframe model; `alphas_cumprod` does not depend on the solver.
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "epsilon",
    "algorithm_type": "dpmsolver++",
    "solver_order": 2,
    "thresholding": False,
    "final_sigmas_type": "zero",
}


class Denoiser(nn.Module):
    """ε_θ for one stage: space-to-depth by `patch`, the U-Net, and velocity turned into ε."""

    def __init__(self, unet: PixelUNet3D, patch: int):
        super().__init__()
        self.unet = unet
        self.patch = patch
        schedule = DPMSolverMultistepScheduler.from_config(SCHEDULE)
        self.register_buffer("alphas_cumprod", schedule.alphas_cumprod.float(), persistent=False)

    def velocity(
        self,
        noisy: Float[Tensor, "batch 3 frame height width"],
        timestep: int | Int[Tensor, "batch"],
        text: Float[Tensor, "batch token width"],
        condition: Float[Tensor, "batch extra frame height width"] | None = None,
        noise_level: int | Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch 3 frame height width"]:
        """The network's own output. `condition` holds channels beside the noisy ones."""
        seen = noisy if condition is None else torch.cat([noisy, condition], dim=1)
        folded = F.pixel_unshuffle(seen.transpose(1, 2), self.patch).transpose(1, 2)
        output = self.unet(folded, timestep, text, class_labels=noise_level)
        return F.pixel_shuffle(output.transpose(1, 2), self.patch).transpose(1, 2)

    def forward(self, noisy, timestep, text, condition=None, noise_level=None):
        """ε̂ in the dtype of `noisy`; arguments as in `velocity`."""
        dtype = self.unet.dtype
        inputs = [x if x is None else x.to(dtype) for x in (noisy, text, condition)]
        predicted = self.velocity(inputs[0], timestep, inputs[1], inputs[2], noise_level)
        return noise_from_velocity(noisy, predicted.to(noisy.dtype), timestep, self.alphas_cumprod)


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
            listed = f"the nearest are {', '.join(near)}" if near else f"it knows {', '.join(sorted(known))}"
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
    tuning_steps = 200
    learning_rate = 2e-3

    def __init__(self, denoiser: Denoiser, text_encoder: TextEncoder):
        self.denoiser = denoiser.eval().requires_grad_(False)
        self.text_encoder = text_encoder.eval().requires_grad_(False)
        self.unet = denoiser.unet
        self.fingerprint = fingerprint(self.unet)
        self.alphas_cumprod = denoiser.alphas_cumprod

    @property
    def device(self) -> torch.device:
        return self.unet.device

    @property
    def dtype(self) -> torch.dtype:
        return self.unet.dtype

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

    def sampler(self) -> DPMSolverMultistepScheduler:
        return DPMSolverMultistepScheduler.from_config(SCHEDULE)

    def temporal_qkv(self) -> dict[str, nn.Parameter]:
        return self._qkv(".temp_attentions.", ("to_q", "to_k", "to_v"))

    def spatial_qkv(self) -> dict[str, nn.Parameter]:
        names = ("to_q", "to_k", "to_v", "add_k_proj", "add_v_proj")
        return self._qkv(".attentions.", names)

    def _qkv(self, place: str, projections: tuple[str, ...]) -> dict[str, nn.Parameter]:
        return {
            name: parameter
            for name, parameter in self.unet.named_parameters()
            if place in name and name.split(".")[-2] in projections and name.endswith("weight")
        }


def load_denoiser(folder: str | Path, name: str) -> Denoiser:
    """One stage of a tiny cascade from its folder."""
    index = json.loads((Path(folder) / "model_index.json").read_text())
    unet = PixelUNet3D.from_pretrained(Path(folder) / name, torch_dtype=torch.float32)
    return Denoiser(unet, index[name]["patch"])


def load_text_encoder(folder: str | Path) -> TextEncoder:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(Path(folder) / "tokenizer")
    t5 = T5EncoderModel.from_pretrained(Path(folder) / "text_encoder", dtype=torch.float32)
    return TextEncoder(tokenizer, t5)
