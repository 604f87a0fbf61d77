"""The way back from inverted noise to the clip: what an inversion has kept, made visible.

`vmc.invert` is only as good as this return: had it made no error, DDIM sampling (Eq. 5 with η = 0)
from its noise would give the clip again.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from vmc.backbones import keyframe_backbone
from vmc.diffusion import ddim_step
from vmc.errors import BadInput


@torch.no_grad()
def reconstruct(
    cascade,
    inverted: Float[Tensor, "1 channel frame h w"],
    steps: int | None = None,
    prompt: str = "",
    on_step: Callable[[int, int, Tensor], None] | None = None,
) -> Float[Tensor, "3 frame height width"]:
    """DDIM sampling with η = 0 and no guidance, over the timesteps of an inversion in `steps`.

    Arguments:
        cascade: a Cascade, whose keyframe stage is used, or a Backbone.
        inverted: from `vmc.invert` with the same number of steps and the same prompt.
        steps: 2 … T; the backbone's own number of inversion steps if None.
        prompt: the words that the inversion was given.
        on_step: called as on_step(number, steps - 1, latent) after each step, number from 1.
    Returns:
        the clip that comes back, not clamped.
    Raises:
        BadInput: steps out of range.
    """
    backbone = keyframe_backbone(cascade)
    levels = backbone.alphas_cumprod
    steps = backbone.inversion_steps if steps is None else steps
    if not 2 <= steps <= len(levels):
        raise BadInput(f"The way back takes from 2 to {len(levels)} steps; got {steps}.")
    text, latent, stride = backbone.encode_text([prompt]), inverted, len(levels) // steps
    for number in range(1, steps):
        timestep = (steps - number) * stride
        prediction = backbone.predict_noise(latent, timestep, text)
        latent = ddim_step(latent, prediction, timestep, levels, previous=timestep - stride)
        if on_step is not None:
            on_step(number, steps - 1, latent)
    return backbone.decode_video(latent)[0]


def reconstruction_error(
    reconstructed: Float[Tensor, "3 frame height width"],
    clip: Float[Tensor, "3 frame height width"],
) -> float:
    """Root mean square over pixels, channels and frames; 0 is the clip itself, 2 its opposite."""
    return (reconstructed - clip).square().mean().sqrt().item()
