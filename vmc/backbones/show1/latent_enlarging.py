"""The last enlargement: Show-1's SR2 repaints the clip at 320×576, in an autoencoder's latents.

The clip is enlarged as a picture is, encoded, noised at four fifths of the schedule and denoised
from there (SDEdit), which sharpens it and keeps what it shows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel

from vmc.backbones.latent import load_tokenizer
from vmc.backbones.loading import load_network, load_text_encoder
from vmc.backbones.show1.latent_unet import latent_unet
from vmc.diffusion import add_noise, guided
from vmc.residency import OnDemand, at_hand
from vmc.stages import sample


@dataclass
class LatentEnlarging:
    """SR2. Its networks are loaded one after another, each for the time it works.

    Raises BadInput where its tokenizer is damaged: now, and not after the stages before it.
    """

    folder: Path
    """With the sub-folders unet, vae, text_encoder and tokenizer."""
    sampler: Callable[[], object]
    size: tuple[int, int]
    """Of the finished video; multiples of 8, or of more where the network halves oftener."""
    device: torch.device
    dtype: torch.dtype
    steps: int = 50
    strength: float = 0.8
    """How much of the schedule is gone through: 1 begins with noise, near 0 changes little."""
    guidance_scale: float = 15.0
    negative_prompt: str = "low resolution, blur"

    def __post_init__(self):
        self.tokenizer = load_tokenizer(self.folder / "tokenizer")

    @torch.no_grad()
    def read(self, prompt: str) -> tuple[Tensor, Tensor]:
        """The prompt and the negative prompt as CLIP's last hidden states, (1, token, width)."""
        tokens = self.tokenizer(
            [prompt, self.negative_prompt],
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        encoder = load_text_encoder(
            CLIPTextModel, self.folder / "text_encoder", self.device, self.dtype
        )
        states = encoder(tokens.to(self.device))[0]
        return states[:1], states[1:]

    @torch.no_grad()
    def __call__(self, clip, text, unconditional, generator, on_step=None):
        """(3, frame, h, w) → (3, frame, *size); text and unconditional are those of `read`."""
        scheduler = self.sampler()
        scheduler.set_timesteps(self.steps)
        skip = self.steps - min(int(self.steps * self.strength), self.steps)
        clean = self._encode(enlarged(clip, self.size).to(self.device), generator)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        levels = scheduler.alphas_cumprod.float()
        noisy = add_noise(clean, noise, int(scheduler.timesteps[skip]), levels)
        with at_hand(self._on_demand(latent_unet, "unet")) as unet:

            def answer(noisy, timestep, words):
                return unet(noisy.to(self.dtype), timestep, words).sample.float()

            def predict(noisy, timestep):
                noise = answer(noisy, timestep, text)
                if self.guidance_scale == 1:
                    return noise
                return guided(answer(noisy, timestep, unconditional), noise, self.guidance_scale)

            latents = sample(predict, scheduler, noisy, self.steps, on_step, skip=skip)
        del unet, answer, predict
        return self._decode(latents).clamp(-1, 1)

    def _on_demand(self, kind, part: str) -> OnDemand:
        return OnDemand(lambda: load_network(kind, self.folder / part, self.device, self.dtype))

    def _encode(self, video: Float[Tensor, "3 frame height width"], generator) -> Tensor:
        """Latents (1, channel, frame, h, w) in float32, drawn from what the encoder allows."""
        with at_hand(self._on_demand(AutoencoderKL, "vae")) as autoencoder:
            latents = []
            for frame in video.unbind(1):  # frame by frame: the memory is that of one picture
                allowed = autoencoder.encode(frame[None].to(self.dtype)).latent_dist
                noise = torch.randn(allowed.mean.shape, generator=generator).to(self.device)
                latents.append(allowed.mean.float() + allowed.std.float() * noise)
            return torch.stack(latents, dim=2) * autoencoder.config.scaling_factor

    def _decode(self, latents: Tensor) -> Float[Tensor, "3 frame height width"]:
        with at_hand(self._on_demand(AutoencoderKL, "vae")) as autoencoder:
            latents = (latents / autoencoder.config.scaling_factor).to(self.dtype)
            frames = [autoencoder.decode(frame).sample[0].float() for frame in latents.unbind(2)]
        return torch.stack(frames, dim=1)


def enlarged(
    clip: Float[Tensor, "3 frame h w"], size: tuple[int, int]
) -> Float[Tensor, "3 frame height width"]:
    """Every frame resized as the published script does it: as bytes, bicubic."""
    pictures = ((clip.clamp(-1, 1) + 1) * 127.5).permute(1, 2, 3, 0).to("cpu", torch.uint8)
    height, width = size
    resized = [np.asarray(Image.fromarray(p.numpy()).resize((width, height))) for p in pictures]
    return torch.from_numpy(np.stack(resized)).permute(3, 0, 1, 2).float() / 127.5 - 1
