"""What is done to a clip between its noise and its full size: sampling, and the later stages.

Interpolation puts three frames between two keyframes; super-resolution enlarges. Both work in
Show-1's windows, each window conditioned on what is already there, and are never tuned.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from vmc.diffusion import add_noise, guided


def sample(
    predict_noise: Callable[[Tensor, int], Tensor],
    scheduler,
    latents: Float[Tensor, "batch channel frame height width"],
    steps: int,
    on_step: Callable[[int, int, Tensor], None] | None = None,
) -> Float[Tensor, "batch channel frame height width"]:
    """Denoise `latents` along a diffusers scheduler.

    Frames are folded into the batch for the scheduler, so that its thresholding is per frame, as
    in Show-1.
    """
    batch = len(latents)
    scheduler.set_timesteps(steps)
    for number, timestep in enumerate(scheduler.timesteps, start=1):
        noise = predict_noise(latents, int(timestep))
        folded = (x.transpose(1, 2).flatten(0, 1) for x in (noise, latents))
        stepped = scheduler.step(next(folded), timestep, next(folded)).prev_sample
        latents = stepped.unflatten(0, (batch, -1)).transpose(1, 2)
        if on_step is not None:
            on_step(number, steps, latents)
    return latents


def between_keyframes(
    ends: Float[Tensor, "window 3 2 height width"],
) -> Float[Tensor, "window 4 5 height width"]:
    """What the interpolation stage is shown beside the noise.

    Three channels blend both ends linearly over the five frames; the fourth marks the given ends.
    """
    blend = F.interpolate(ends, (5, *ends.shape[-2:]), mode="trilinear", align_corners=True)
    mask = torch.zeros_like(blend[:, :1])
    mask[:, :, [0, -1]] = 1
    return torch.cat([blend, mask], dim=1)


def low_resolution_condition(
    low: Float[Tensor, "batch 3 frame h w"],
    size: tuple[int, int],
    level: Int[Tensor, "batch"],
    noise: Float[Tensor, "batch 3 frame height width"],
    alphas_cumprod: Float[Tensor, "T"],
    first: Float[Tensor, "batch 3 height width"] | None = None,
) -> Float[Tensor, "batch 3 frame height width"]:
    """What a super-resolution stage is shown: enlarged, noised at `level`, the first frame clean.

    The noise keeps the stage from trusting every blemish of its input. `first` is a frame that is
    already sharp, from which the others take their looks; without it there is only the low one.
    """
    frames = low.transpose(1, 2).flatten(0, 1)
    large = F.interpolate(frames, size, mode="bilinear", align_corners=False)
    large = large.unflatten(0, (len(low), -1)).transpose(1, 2)
    condition = add_noise(large, noise, level, alphas_cumprod)
    if first is not None:
        condition[:, :, 0] = first
    return condition


@dataclass
class Interpolation:
    """Eight keyframes → 29 frames: seven windows of five, conditioned on both ends."""

    denoiser: torch.nn.Module
    sampler: Callable[[], object]
    steps: int = 8
    guidance_scale: float = 1.0

    def __call__(self, keyframes, text, unconditional, generator, on_step=None):
        """(3, 8, h, w) keyframes → (3, 29, h, w). All windows start from the same noise."""
        frames = keyframes.transpose(0, 1)
        ends = torch.stack([frames[:-1], frames[1:]], dim=2)
        condition = between_keyframes(ends)
        windows = len(ends)
        noise = torch.randn((1, 3, 5, *keyframes.shape[-2:]), generator=generator)
        noise = noise.to(keyframes).expand(windows, -1, -1, -1, -1)
        predict = _predictor(self.denoiser, text, unconditional, self.guidance_scale, condition)
        made = sample(predict, self.sampler(), noise, self.steps, on_step).clamp(-1, 1)
        starts = made[:, :, :4].transpose(0, 1).flatten(1, 2)
        return torch.cat([starts, made[-1][:, 4:]], dim=1)


@dataclass
class SuperResolution:
    """Enlarges a clip: windows of eight frames, each but the first starting from a sharp frame."""

    denoiser: torch.nn.Module
    sampler: Callable[[], object]
    size: tuple[int, int]
    steps: int = 5
    guidance_scale: float = 1.0
    noise_level: int = 10
    window: int = 8

    def __call__(self, clip, text, unconditional, generator, on_step=None):
        """(3, frame, h, w) → (3, frame, *size). Every window starts from the same noise."""
        shape = (1, 3, self.window, *self.size)
        start = torch.randn(shape, generator=generator).to(clip)
        grain = torch.randn(shape, generator=generator).to(clip)
        level = torch.tensor([self.noise_level], device=clip.device)

        starts = range(0, clip.shape[1] - 1, self.window - 1)
        total, done = self.steps * (1 + len(starts)), 0

        def enlarge(low, first):
            nonlocal done
            count = low.shape[1]
            levels = self.denoiser.alphas_cumprod
            condition = low_resolution_condition(
                low[None], self.size, level, grain[:, :, :count], levels, first
            )
            predict = _predictor(
                self.denoiser, text, unconditional, self.guidance_scale, condition, level
            )
            before, done = done, done + self.steps
            counted = on_step and (lambda number, _, x: on_step(before + number, total, x))
            made = sample(predict, self.sampler(), start[:, :, :count], self.steps, counted)
            return made[0].clamp(-1, 1)

        frames = [enlarge(clip[:, :1], None)]
        for begin in starts:
            part = enlarge(clip[:, begin : begin + self.window], frames[-1][:, -1][None])
            frames.append(part[:, 1:])
        return torch.cat(frames, dim=1)


def _predictor(denoiser, text, unconditional, scale, condition, level=None):
    """ε with classifier-free guidance, the one prompt shared by all windows of a batch."""

    def once(noisy, timestep, words):
        return denoiser(noisy, timestep, words.expand(len(noisy), -1, -1), condition, level)

    if scale == 1:
        return lambda noisy, timestep: once(noisy, timestep, text)
    return lambda noisy, timestep: guided(
        once(noisy, timestep, unconditional), once(noisy, timestep, text), scale
    )
