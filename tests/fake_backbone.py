"""Two backbones for tests: one small and random, one whose every answer is known in closed form."""

import zlib

import torch
from torch import nn

from vmc.backbones import fingerprint
from vmc.backbones.unet import PixelUNet3D


def cosine_alphas_cumprod(num_timesteps=1000):
    """Show-1's squared-cosine schedule."""
    at = torch.linspace(0, 1, num_timesteps + 1, dtype=torch.float64)
    level = torch.cos((at + 0.008) / 1.008 * torch.pi / 2) ** 2
    betas = (1 - level[1:] / level[:-1]).clamp(max=0.999)
    return torch.cumprod(1 - betas, 0).float()


class Settings:
    frames = 4
    size = (8, 8)
    device = torch.device("cpu")
    dtype = torch.float32
    inversion_steps = 20
    sampling_steps = 20
    guidance_scale = 2.0
    tuning_steps = 6
    tuning_timesteps = (0, 1000)
    learning_rate = 1e-2
    inverts_tuned = True

    def __init__(self):
        self.alphas_cumprod = cosine_alphas_cumprod()

    def encode_video(self, video):
        return video

    def decode_video(self, latent):
        return latent

    def sampler(self):
        from diffusers import DDIMScheduler

        return DDIMScheduler(beta_schedule="squaredcos_cap_v2", clip_sample=False)


class RandomBackbone(Settings):
    """A PixelUNet3D with random weights, 3 -> 6 channels, of which the first half is ε."""

    name = "random"

    def __init__(self, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.unet = PixelUNet3D(
                block_out_channels=(32,),
                down_block_types=("SimpleCrossAttnDownBlock3D",),
                up_block_types=("SimpleCrossAttnUpBlock3D",),
                layers_per_block=1,
                attention_head_dim=16,
                cross_attention_dim=32,
                encoder_hid_dim=12,
                addition_embed_type=None,
                norm_num_groups=8,
            ).eval()
            for parameter in self.unet.parameters():  # also those which start at zero
                nn.init.normal_(parameter, std=0.1) if parameter.ndim > 1 else None
        self.fingerprint = fingerprint(self.unet)

    def to(self, dtype):
        self.dtype = dtype
        for parameter in self.unet.parameters():
            parameter.data = parameter.data.to(dtype)

    def encode_text(self, prompts):
        def token(word):
            generator = torch.Generator().manual_seed(zlib.crc32(word.encode()))
            return torch.randn(12, generator=generator)

        rows = [(prompt.split() + [""] * 5)[:5] for prompt in prompts]
        return torch.stack([torch.stack([token(word) for word in row]) for row in rows])

    def predict_noise(self, noisy, timestep, text):
        output = self.unet(noisy.to(self.dtype), timestep, text.to(self.dtype))
        return output[:, :3].to(noisy.dtype)

    def _qkv(self, part):
        return {
            name: parameter
            for name, parameter in self.unet.named_parameters()
            if part in name and any(leaf in name for leaf in ("to_q.", "to_k.", "to_v."))
        }

    def temporal_qkv(self):
        return self._qkv("temp_attentions.")

    def spatial_qkv(self):
        return self._qkv(".attentions.")


class GaussianBackbone(Settings):
    """The exact ε of data whose pixels are independent N(mean, std²), given per pixel.

    The posterior mean of the noise and the whole path of the probability-flow ODE are known, so
    that what an integrator gets wrong is all its own.
    """

    name = "gaussian"
    fingerprint = "gaussian"
    unet = nn.Identity()

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        shape = (3, self.frames, *self.size)
        self.mean = torch.rand(shape, generator=generator) - 0.5
        self.std = 0.1 + 0.4 * torch.rand(shape, generator=generator)
        self.asked = []

    def clip(self):
        generator = torch.Generator().manual_seed(2)
        return (self.mean + self.std * torch.randn(self.mean.shape, generator=generator)).clamp(
            -1, 1
        )

    def encode_text(self, prompts):
        return torch.zeros(len(prompts), 1, 1)

    def predict_noise(self, noisy, timestep, text):
        self.asked.append(timestep)
        level = self.alphas_cumprod[timestep]
        deviation = noisy - level.sqrt() * self.mean
        return (1 - level).sqrt() * deviation / (level * self.std**2 + 1 - level)

    def flow(self, latent, start, end):
        """`latent` at timestep `start`, carried along the ODE to timestep `end`, exactly."""
        first, last = self.alphas_cumprod[start], self.alphas_cumprod[end]
        spread = (last * self.std**2 + 1 - last) / (first * self.std**2 + 1 - first)
        return last.sqrt() * self.mean + spread.sqrt() * (latent - first.sqrt() * self.mean)

    def temporal_qkv(self):
        return {}

    spatial_qkv = temporal_qkv
