"""Explorers of the forward process: what noise does to a clip and to its motion vectors."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vmc.diffusion import add_noise, tweedie
from vmc.motion import frame_residual, motion_estimate
from vmc.pictures import enlarged, side_by_side
from vmc.video import contact_sheet
from vmc.widgets.explorer import Explorer, slider
from vmc.widgets.shown import STILL

Predict = Callable[[Tensor, int], Tensor]
"""(noisy clips, timestep) → ε_θ of the same shape, such as a backbone's `predict_noise` with its
text filled in."""

_COLUMNS = 8  # timesteps of a static picture


def explore_noise(
    clip: Float[Tensor, "3 frame height width"],
    alphas_cumprod: Float[Tensor, "T"],
    noise: Float[Tensor, "3 frame height width"] | None = None,
    predict: Predict | None = None,
    timestep: int = 300,
) -> None:
    """A slider over t: the noisy clip x_t (Eq. 1) and, with `predict`, x̂_0(t) from it (Eq. 6).

    Arguments:
        clip: in [-1, 1].
        noise: ε, one for all t; drawn with seed 0 if None.
        timestep: where the slider begins.
    The static picture shows one frame over t.
    """
    noised = _Noised(clip, alphas_cumprod, noise, predict)
    noise_explorer(noised, timestep).show()


def explore_motion(
    clip: Float[Tensor, "3 frame height width"],
    alphas_cumprod: Float[Tensor, "T"],
    predict: Predict | None = None,
    stride: int = 1,
    timestep: int = 300,
    pair: int | None = None,
) -> None:
    """Sliders over t and frame pair: two frames, their motion vector δv (Eq. 9), and it in noise.

    With `predict` also the estimate of Eq. 13 from the noisy ones. Grey is no difference. `pair`
    is the first frame of the pair to begin with, the one in the middle if None; the static picture
    shows that pair over t. Raises `BadInput` for a stride that leaves no pair.
    """
    noised = _Noised(clip, alphas_cumprod, None, predict)
    motion_explorer(noised, stride, timestep, pair).show()


class _Noised:
    """A clip with one and the same noise at every level, and what a model sees through it."""

    def __init__(self, clip, alphas_cumprod, noise, predict):
        generator = torch.Generator().manual_seed(0)
        self.clip, self.alphas_cumprod, self.predict = clip, alphas_cumprod, predict
        self.noise = torch.randn(clip.shape, generator=generator) if noise is None else noise
        self._predicted = {}

    @property
    def last(self) -> int:
        return len(self.alphas_cumprod) - 1

    def at(self, timestep: int) -> Float[Tensor, "1 3 frame height width"]:
        return add_noise(self.clip[None], self.noise[None], timestep, self.alphas_cumprod)

    @torch.no_grad()
    def prediction(self, timestep: int) -> Float[Tensor, "1 3 frame height width"]:
        if timestep not in self._predicted:
            self._predicted[timestep] = self.predict(self.at(timestep), timestep)
        return self._predicted[timestep]

    def clean(self, timestep: int) -> Float[Tensor, "3 frame height width"]:
        noisy, predicted = self.at(timestep), self.prediction(timestep)
        return tweedie(noisy, predicted, timestep, self.alphas_cumprod)[0]

    def motion(self, timestep: int, stride: int) -> Float[Tensor, "3 pair height width"]:
        noisy, predicted = self.at(timestep), self.prediction(timestep)
        return motion_estimate(noisy, predicted, timestep, self.alphas_cumprod, stride)[0]

    def levels(self, timestep: int) -> str:
        level = self.alphas_cumprod[timestep]
        return f"t = {timestep}: {level.sqrt():.2f} of clip, {(1 - level).sqrt():.2f} of noise"

    def timesteps(self) -> list[int]:
        return np.linspace(0, self.last, _COLUMNS).round().astype(int).tolist()


def noise_explorer(noised: _Noised, timestep: int) -> Explorer:
    def draw(timestep: int) -> Image.Image:
        rows = {noised.levels(timestep): noised.at(timestep)[0]}
        if noised.predict:
            rows["what the model takes the clean clip for"] = noised.clean(timestep)
        return contact_sheet(list(rows.values()), list(rows), height=STILL)

    timesteps, middle = noised.timesteps(), noised.clip.shape[1] // 2
    over = ", ".join(map(str, timesteps))
    rows = {f"frame {middle + 1} with noise at t = {over}": noised.at}
    if noised.predict:
        rows["what the model takes the clean frame for"] = lambda t: noised.clean(t)[None]
    frames = [torch.stack([row(t)[0, :, middle] for t in timesteps], 1) for row in rows.values()]
    return Explorer(
        {"timestep": slider("t", timestep, noised.last)},
        draw,
        contact_sheet(frames, list(rows), height=STILL),
        f"From left to right, at growing t: {'; below, '.join(rows)}",
    )


def motion_explorer(noised: _Noised, stride: int, timestep: int, pair: int | None) -> Explorer:
    true = frame_residual(noised.clip, stride)
    pair = true.shape[1] // 2 if pair is None else pair

    def draw(timestep: int, pair: int) -> Image.Image:
        noisy = frame_residual(noised.at(timestep)[0], stride)
        rows = {
            f"frame {pair + 1}": noised.clip[:, pair],
            f"frame {pair + stride + 1}": noised.clip[:, pair + stride],
            "their difference": true[:, pair] / 2,
            f"with noise, t = {timestep}": noisy[:, pair] / 2,
        }
        if noised.predict:
            estimate = noised.motion(timestep, stride)[:, pair] / 2
            rows["estimated from that"] = estimate
        clips = [enlarged(x[:, None], 2 * STILL) for x in rows.values()]
        return side_by_side(clips, list(rows))[0]

    timesteps = noised.timesteps()
    over = ", ".join(map(str, timesteps))
    noisy = [frame_residual(noised.at(t)[0], stride)[:, pair] for t in timesteps]
    apart = "neighbouring frames" if stride == 1 else f"frames that are {stride} apart"
    rows = {
        "the clip": noised.clip,
        f"differences of {apart}": true / 2,
        f"difference {pair + 1} with noise at t = {over}": torch.stack(noisy, 1) / 2,
    }
    if noised.predict:
        estimates = [noised.motion(t, stride)[:, pair] for t in timesteps]
        rows["what the model takes the true difference for"] = torch.stack(estimates, 1) / 2
    return Explorer(
        {
            "timestep": slider("t", timestep, noised.last),
            "pair": slider("first frame", pair, true.shape[1] - 1),
        },
        draw,
        contact_sheet(list(rows.values()), list(rows), height=STILL),
        "; below, ".join(rows),
    )
