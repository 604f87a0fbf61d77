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
from vmc.residency import OnDemand, at_hand


def sample(
    predict_noise: Callable[[Tensor, int], Tensor],
    scheduler,
    latents: Float[Tensor, "batch channel frame height width"],
    steps: int,
    on_step: Callable[[int, int, Tensor], None] | None = None,
    generator: torch.Generator | None = None,
    skip: int = 0,
) -> Float[Tensor, "batch channel frame height width"]:
    """Denoise `latents` along a diffusers scheduler.

    Frames are folded into the batch for the scheduler, so that its thresholding is per frame, as
    in Show-1. A scheduler that adds noise needs the `generator`, and may be given a learned
    variance in further channels of what `predict_noise` returns. `skip` leaves out the first, and
    noisiest, steps: `latents` then have the noise of the first that is taken.
    """
    batch = len(latents)
    scheduler.set_timesteps(steps)
    if skip:
        scheduler.set_begin_index(skip)
    drawn = {} if generator is None else {"generator": generator}
    for number, timestep in enumerate(scheduler.timesteps[skip:], start=1):
        noise = predict_noise(latents, int(timestep))
        folded = (x.transpose(1, 2).flatten(0, 1) for x in (noise, latents))
        stepped = scheduler.step(next(folded), timestep, next(folded), **drawn).prev_sample
        latents = stepped.unflatten(0, (batch, -1)).transpose(1, 2)
        if on_step is not None:
            on_step(number, steps - skip, latents)
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
    align_corners: bool = False,
) -> Float[Tensor, "batch 3 frame height width"]:
    """What a super-resolution stage is shown: enlarged, noised at `level`, the first frame clean.

    The noise keeps the stage from trusting every blemish of its input. `first` is a frame that is
    already sharp, from which the others take their looks; without it there is only the low one.
    """
    frames = low.transpose(1, 2).flatten(0, 1)
    large = F.interpolate(frames, size, mode="bilinear", align_corners=align_corners)
    large = large.unflatten(0, (len(low), -1)).transpose(1, 2)
    condition = add_noise(large, noise, level, alphas_cumprod)
    if first is not None:
        condition[:, :, 0] = first
    return condition


@dataclass
class Interpolation:
    """Eight keyframes → 29 frames: seven windows of five, conditioned on both ends."""

    denoiser: torch.nn.Module | OnDemand
    sampler: Callable[[], object]
    steps: int = 2
    guidance_scale: float = 1.0
    windows_at_once: int | None = None
    """How many are denoised together; all if None. Fewer need less memory."""

    def __call__(self, keyframes, text, unconditional, generator, on_step=None):
        """(3, 8, h, w) keyframes → (3, 29, h, w). All windows start from the same noise."""
        frames = keyframes.transpose(0, 1)
        ends = torch.stack([frames[:-1], frames[1:]], dim=2)
        groups = between_keyframes(ends).split(self.windows_at_once or len(ends))
        noise = torch.randn((1, 3, 5, *keyframes.shape[-2:]), generator=generator)
        noise, counted = noise.to(keyframes), _Counted(on_step, self.steps * len(groups))
        made = []
        with at_hand(self.denoiser) as denoiser:
            for group in groups:
                predict = _predictor(denoiser, text, unconditional, self.guidance_scale, group)
                start = noise.expand(len(group), -1, -1, -1, -1)
                made.append(sample(predict, self.sampler(), start, self.steps, counted))
        made = torch.cat(made).clamp(-1, 1)
        # Where two windows meet, the later one's version of the keyframe is taken.
        starts = made[:, :, :4].transpose(0, 1).flatten(1, 2)
        return torch.cat([starts, made[-1][:, 4:]], dim=1)


@dataclass
class SuperResolution:
    """Enlarges a clip: windows of eight frames, each but the first starting from a sharp frame."""

    denoiser: torch.nn.Module | OnDemand
    sampler: Callable[[], object]
    size: tuple[int, int]
    steps: int = 2
    guidance_scale: float = 1.0
    noise_level: int = 0
    window: int = 8
    align_corners: bool = False
    """Of the bilinear enlargement that the denoiser is shown."""
    first_frame: Callable | None = None
    """A stage that makes the first sharp frame; None leaves it to the denoiser, alone."""
    replaces_shared: bool = False
    """Two windows share a frame, the first's last and the second's first; True takes the second's
    version of it (and of the first frame of all), False keeps the first's."""

    def __call__(self, clip, text, unconditional, generator, on_step=None):
        """(3, frame, h, w) → (3, frame, *size). Every window starts from the same noise."""
        shape = (1, 3, self.window, *self.size)
        start = torch.randn(shape, generator=generator).to(clip)
        grain = torch.randn(shape, generator=generator).to(clip)
        level = torch.tensor([self.noise_level], device=clip.device)
        starts = range(0, clip.shape[1] - 1, self.window - 1)
        lead = self.steps if self.first_frame is None else self.first_frame.steps
        counted = _Counted(on_step, lead + self.steps * len(starts))

        def enlarge(denoiser, low, first):
            count = low.shape[1]
            condition = low_resolution_condition(
                low[None],
                self.size,
                level,
                grain[:, :, :count],
                denoiser.alphas_cumprod,
                first,
                self.align_corners,
            )
            predict = _predictor(
                denoiser, text, unconditional, self.guidance_scale, condition, level
            )
            made = sample(predict, self.sampler(), start[:, :, :count], self.steps, counted)
            return made[0].clamp(-1, 1)

        frames = []
        if self.first_frame is not None:
            frames = [self.first_frame(clip[:, :1], text, unconditional, generator, counted)]
        with at_hand(self.denoiser) as denoiser:
            frames = frames or [enlarge(denoiser, clip[:, :1], None)]
            for begin in starts:
                low = clip[:, begin : begin + self.window]
                part = enlarge(denoiser, low, frames[-1][:, -1][None])
                if self.replaces_shared:
                    frames[-1] = frames[-1][:, :-1]
                frames.append(part if self.replaces_shared else part[:, 1:])
        return torch.cat(frames, dim=1)


class _Counted:
    """`on_step` for several runs of `sample`, whose steps it counts as one."""

    def __init__(self, on_step, total: int):
        self.on_step, self.total, self.done = on_step, total, 0

    def __call__(self, _number: int, _total: int, latents: Tensor) -> None:
        self.done += 1
        if self.on_step is not None:
            self.on_step(self.done, self.total, latents)


def _predictor(denoiser, text, unconditional, scale, condition, level=None):
    """ε with classifier-free guidance, the one prompt shared by all windows of a batch."""

    def once(noisy, timestep, words):
        return denoiser(noisy, timestep, words.expand(len(noisy), -1, -1), condition, level)

    if scale == 1:
        return lambda noisy, timestep: once(noisy, timestep, text)
    return lambda noisy, timestep: guided(
        once(noisy, timestep, unconditional), once(noisy, timestep, text), scale
    )
