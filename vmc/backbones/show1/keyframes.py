"""Show-1's pixel denoisers, and the one among them that is tuned: the keyframe model."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vmc.backbones.projections import spatial_qkv, temporal_qkv
from vmc.backbones.show1.text import PromptEncoder
from vmc.backbones.unet import PixelUNet3D
from vmc.errors import BadInput
from vmc.residency import set_aside


class Show1Denoiser(nn.Module):
    """ε_θ of one pixel stage.

    The network's answer has six channels, ε and a variance; the published samplers have a fixed
    one and drop that half.
    """

    def __init__(self, unet: PixelUNet3D, alphas_cumprod: Float[Tensor, "T"]):
        super().__init__()
        self.unet = unet
        self.register_buffer("alphas_cumprod", alphas_cumprod.to(unet.device), persistent=False)

    def forward(
        self,
        noisy: Float[Tensor, "batch 3 frame height width"],
        timestep: int | Int[Tensor, "batch"],
        text: Float[Tensor, "batch token embedding"],
        condition: Float[Tensor, "batch extra frame height width"] | None = None,
        noise_level: int | Int[Tensor, "level"] | None = None,
    ) -> Float[Tensor, "batch 3 frame height width"]:
        """ε̂ in the dtype of `noisy`. `condition` holds channels beside the noisy ones."""
        seen = noisy if condition is None else torch.cat([noisy, condition], dim=1)
        dtype = self.unet.dtype
        answer = self.unet(seen.to(dtype), timestep, text.to(dtype), class_labels=noise_level)
        return answer[:, :3].to(noisy.dtype)


class Show1Backbone:
    """The keyframe model of Show-1, as the contract in `vmc.backbones` asks.

    Arguments:
        denoiser: as loaded; it is frozen.
        text: turns prompts into what the network reads.
        sampler: makes a fresh scheduler.
        fingerprint: of the weights' file.
        frames, size: of a clip.
    """

    name = "show-1"
    inversion_steps = 75
    sampling_steps = 75
    guidance_scale = 9.0
    tuning_steps = 400
    tuning_timesteps = (0, 1000)
    learning_rate = 1e-4
    inverts_tuned = True

    def __init__(
        self,
        denoiser: Show1Denoiser,
        text: PromptEncoder,
        sampler: Callable,
        fingerprint: str,
        frames: int = 8,
        size: tuple[int, int] = (40, 64),
    ):
        self.denoiser = denoiser.eval().requires_grad_(False)
        self.unet = denoiser.unet
        self.text = text
        self.sampler = sampler
        self.fingerprint = fingerprint
        self.frames, self.size = frames, tuple(size)
        self.alphas_cumprod = denoiser.alphas_cumprod
        self.device, self.dtype = self.unet.device, self.unet.dtype
        halvings = len(self.unet.down_blocks) - 1
        if frames < 2 or any(side <= 0 or side % 2**halvings for side in self.size):
            raise BadInput(
                f"Show-1's keyframes are at least two, with heights and widths that are multiples "
                f"of {2**halvings}; got {frames} of {self.size}."
            )

    @torch.no_grad()
    def encode_text(self, prompts: list[str]) -> Float[Tensor, "batch token embedding"]:
        """T5's last hidden states; prompts seen before come from memory.

        Where T5 is loaded for a new one, the network makes room for it on the GPU.
        """
        if self.text.knows(prompts) or self.text.device != self.device:
            encoded = self.text(prompts)
        else:
            with set_aside(self.unet, self.device):
                encoded = self.text(prompts)
        return encoded.to(self.device, self.dtype)

    def encode_video(
        self, video: Float[Tensor, "batch 3 frame height width"]
    ) -> Float[Tensor, "batch 3 frame height width"]:
        """The pixels themselves."""
        return video.to(self.device, torch.float32)

    def decode_video(
        self, latent: Float[Tensor, "batch 3 frame height width"]
    ) -> Float[Tensor, "batch 3 frame height width"]:
        return latent.float()

    def predict_noise(
        self,
        noisy: Float[Tensor, "batch 3 frame height width"],
        timestep: int | Int[Tensor, "batch"],
        text: Float[Tensor, "batch token embedding"],
    ) -> Float[Tensor, "batch 3 frame height width"]:
        return self.denoiser(noisy, timestep, text)

    def temporal_qkv(self) -> dict[str, nn.Parameter]:
        return temporal_qkv(self.unet)

    def spatial_qkv(self) -> dict[str, nn.Parameter]:
        return spatial_qkv(self.unet)
