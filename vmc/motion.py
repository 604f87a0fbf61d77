"""Motion vectors, their denoised estimates, and the losses that align them (Eqs. 9-17).

A motion vector is the difference of two frames, `stride` apart. What is constant over frames
cancels in it, so no loss on motion vectors sees what stands still. The colour and the outline of
what moves remain.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from vmc.diffusion import tweedie
from vmc.errors import BadInput

LOSSES = ("cosine", "l2", "released")


def frame_residual(
    video: Float[Tensor, "*batch channel frame height width"], stride: int = 1
) -> Float[Tensor, "*batch channel pair height width"]:
    """δv^n = v^{n+c} - v^n with c = `stride` (Eq. 9): frame - stride pairs along the frame axis.

    Of a clip, of noisy latents, or of noise; raises BadInput unless 0 < stride < frames.
    """
    frames = video.shape[-3]
    if not 1 <= stride < frames:
        raise BadInput(
            f"A frame residual with stride {stride} needs a stride from 1 up and more frames than "
            f"that, but the video has {frames}; shape {tuple(video.shape)} should be (…, channel, "
            "frame, height, width)."
        )
    return video[..., stride:, :, :] - video[..., :-stride, :, :]


def motion_estimate(
    noisy: Float[Tensor, "batch channel frame height width"],
    noise_prediction: Float[Tensor, "batch channel frame height width"],
    timestep: int | Int[Tensor, "batch"],
    alphas_cumprod: Float[Tensor, "T"],
    stride: int = 1,
) -> Float[Tensor, "batch channel pair height width"]:
    """δv̂_0^n(t) = (δv_t^n - √(1-ᾱ_t) δε_θ^n) / √ᾱ_t, the denoised motion vectors (Eq. 13).

    Tweedie's formula is linear, so the estimate of a residual is the residual of the estimates.
    With the true noise in place of the prediction it is the true motion vector (Eq. 14).
    """
    return tweedie(
        frame_residual(noisy, stride),
        frame_residual(noise_prediction, stride),
        timestep,
        alphas_cumprod,
    )


def alignment_loss(
    prediction: Float[Tensor, "*batch channel frame height width"],
    target: Float[Tensor, "..."],
    kind: str = "cosine",
    stride: int = 1,
) -> Float[Tensor, ""]:
    """How far the frame residuals of the predicted noise are from those of the true noise (Eq. 15).

    * "cosine", the paper's choice (Eq. 17): 1 - cos between δε_θ^n and δε^n, each flattened over
      channels and pixels to one vector per frame pair; mean over pairs and batch. 0 is perfect,
      about 1 is independent noise, 2 is the reversed motion.
    * "l2" (Eq. 16): squared difference of the residuals, mean over all elements so that its size
      does not depend on the resolution, without the weight (1-ᾱ_t) / ᾱ_t, which would span ten
      orders of magnitude over a training run. Independent noise gives 4.
    * "released", the published code's form: cosine along the frame axis, per pixel and channel,
      of the residuals' absolute values. It differs from Eq. 17 in both respects and is blind to
      direction: a sign-flipped prediction is as good as a perfect one.

    Arguments:
        prediction, target: ε_θ and ε, of the same shape. Computed in at least float32.
        stride: frames between the two of a pair (c in the paper, always 1 there).
    Raises:
        BadInput: other shapes, another kind, or a stride that leaves no pair.
    """
    if prediction.shape != target.shape:
        raise BadInput(
            f"Prediction and target must have one shape; got {tuple(prediction.shape)} and "
            f"{tuple(target.shape)}."
        )
    precision = torch.promote_types(prediction.dtype, torch.float32)
    predicted = frame_residual(prediction.to(precision), stride)
    true = frame_residual(target.to(precision), stride)
    if kind == "cosine":
        predicted = predicted.movedim(-3, -4).flatten(-3)  # (*batch, pair, channel·height·width)
        true = true.movedim(-3, -4).flatten(-3)
        return (1 - F.cosine_similarity(predicted, true, dim=-1)).mean()
    if kind == "l2":
        return F.mse_loss(predicted, true)
    if kind == "released":
        return (1 - F.cosine_similarity(predicted.abs(), true.abs(), dim=-3)).mean()
    raise BadInput(f"The alignment losses are {', '.join(LOSSES)}; got {kind!r}.")
