"""What a text-to-video model must offer to be customized.

`Backbone` is the whole contract between the method (tuning, inversion, generation) and a keyframe
model. To add a model, write one class with the attributes and methods below and hand an instance
to `vmc.finetune` or `vmc.invert`; nothing else in the library knows which network is inside. There
is no base class to inherit from. In particular:

* The method speaks of noise ε. A model that predicts velocity, or a variance beside the noise,
  turns its output into ε inside `predict_noise`.
* The network works on `encode_video(video)`: the pixels themselves for a pixel model, the
  autoencoder's latents, already multiplied by its scaling factor, for a latent one.
* `unet` stays in eval mode. While a motion is tuned or applied, some of its parameters are
  exchanged for others of the same name and shape: a forward pass must read them afresh each time.
"""

import hashlib
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vmc.errors import BadInput


@runtime_checkable
class Backbone(Protocol):
    """A keyframe model. Video is (batch, channel, frame, height, width) in [-1, 1]."""

    name: str
    """What `Cascade.from_pretrained` calls it, such as "tiny"; written into adapters."""
    fingerprint: str
    """Identifies the published weights; the same for every dtype and device they are loaded in,
    and unmoved by tuning. `fingerprint(weights)`, of these as they come from the file."""

    unet: nn.Module
    """The network whose parameters are tuned."""
    device: torch.device
    dtype: torch.dtype
    """What the network computes in. Latents outside it stay float32."""
    alphas_cumprod: Float[Tensor, "T"]
    """The noise schedule ᾱ_t that the network was trained with, in float32; T is usually 1000."""

    frames: int
    """Keyframes in a clip: 8."""
    size: tuple[int, int]
    """Height and width of a keyframe in pixels: (40, 64)."""

    # Settings that were measured to work; every call that uses one lets the caller override it.
    inversion_steps: int
    sampling_steps: int
    guidance_scale: float
    tuning_steps: int
    tuning_timesteps: tuple[int, int]
    """First and last + 1 of those that tuning draws; (0, 1000) in the paper."""
    learning_rate: float
    inverts_tuned: bool
    """Whether the noise for tuned weights comes from the tuned network's inversion, as in the
    published code, or from the untuned one's. The paper does not say."""

    def encode_text(self, prompts: list[str]) -> Float[Tensor, "batch token width"]:
        """The prompts as the network reads them; "" is the unconditional one."""
        ...

    def encode_video(
        self, video: Float[Tensor, "batch 3 frame height width"]
    ) -> Float[Tensor, "batch channel frame h w"]:
        """Pixels to what the network denoises, in float32 on `device`."""
        ...

    def decode_video(
        self, latent: Float[Tensor, "batch channel frame h w"]
    ) -> Float[Tensor, "batch 3 frame height width"]:
        """Back to pixels, in float32; not clamped."""
        ...

    def predict_noise(
        self,
        noisy: Float[Tensor, "batch channel frame h w"],
        timestep: int | Int[Tensor, "batch"],
        text: Float[Tensor, "batch token width"],
    ) -> Float[Tensor, "batch channel frame h w"]:
        """ε_θ(noisy, timestep, text), computed in `dtype` and returned in the dtype of `noisy`."""
        ...

    def sampler(self) -> Any:
        """A fresh diffusers scheduler, set up as the model's authors sample from it."""
        ...

    def temporal_qkv(self) -> dict[str, nn.Parameter]:
        """to_q, to_k and to_v of every temporal attention, under their names within `unet`."""
        ...

    def spatial_qkv(self) -> dict[str, nn.Parameter]:
        """The same of every attention within a frame (over pixels and over the text)."""
        ...


def fingerprint(weights: nn.Module | dict[str, Tensor]) -> str:
    """16 hex digits of the SHA-256 over names, dtypes, shapes and bytes of all weights."""
    tensors = weights.state_dict() if isinstance(weights, nn.Module) else weights
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def keyframe_backbone(cascade) -> Backbone:
    """The backbone that the method works on: a cascade's keyframe stage, or a backbone itself."""
    return getattr(cascade, "base", cascade)


def checked_clip(
    clip: Float[Tensor, "..."], backbone: Backbone
) -> Float[Tensor, "3 frame height width"]:
    """`clip` in float32 on the backbone's device, or BadInput that says why it will not do."""
    expected = (3, backbone.frames, *backbone.size)
    if tuple(clip.shape) != expected:
        raise BadInput(
            f"The clip has shape {tuple(clip.shape)}, but {backbone.name} works on {expected} "
            "(channel, frame, height, width); load it with vmc.load_video, which crops and resizes."
        )
    if not torch.isfinite(clip).all():
        raise BadInput(
            "The clip holds NaN or infinite values; replace them before the clip is used."
        )
    if clip.abs().max() > 1.001:
        low, high = clip.min().item(), clip.max().item()
        raise BadInput(
            f"The clip's values run from {low:.3g} to {high:.3g}, but must lie in [-1, 1]; "
            "bytes become that by dividing by 127.5 and subtracting 1."
        )
    return clip.to(backbone.device, torch.float32)
