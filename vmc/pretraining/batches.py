"""What each stage is shown of a scene.

A batch is made by `BATCHES[stage](scenes, rng, generator)`; conditions and levels are those that
`vmc.stages` gives when it generates.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vmc.backbones.tiny import schedule
from vmc.sprites import FRAMES, render, silhouettes
from vmc.stages import between_keyframes, low_resolution_condition

KEYFRAME_TIMES = np.linspace(0, 1, 8)


NOISE_LEVELS = 60  # of what is enlarged; a patch's noise could not be taken out of it again
_GRID = 16  # pixels; every patch size divides it


@dataclass(frozen=True)
class Batch:
    """Clean frames, and what goes with them."""

    clean: Tensor
    """(scene, 3, frame, height, width)."""
    condition: Tensor | None = None
    """(scene, extra, frame, height, width): channels shown beside the noisy frames."""
    level: Tensor | None = None
    """(scene,): the noise level of the condition."""
    subject: Tensor | None = None
    """(scene, 1, frame, height, width): 1 on subjects and their outlines, 0 elsewhere."""

    def to(self, device: torch.device) -> "Batch":
        parts = (getattr(self, field.name) for field in fields(self))
        return Batch(*(part if part is None else part.to(device) for part in parts))


def _frames(scenes, times) -> Batch:
    return Batch(render(scenes, times), subject=silhouettes(scenes, times, margin=0.06).float())


def image_batch(scenes, rng, generator) -> Batch:
    return _frames(scenes, rng.uniform(0, 1, (len(scenes), 1)))


def keyframe_batch(scenes, rng, generator) -> Batch:
    return _frames(scenes, np.tile(KEYFRAME_TIMES, (len(scenes), 1)))


def interpolation_batch(scenes, rng, generator) -> Batch:
    """Five consecutive frames, with the blend of both ends and a mask beside them."""
    start = 4 * rng.integers(0, 7, (len(scenes), 1))
    batch = _frames(scenes, (start + np.arange(5)) / (FRAMES - 1))
    return replace(batch, condition=between_keyframes(batch.clean[:, :, ::4]))


def super_resolution_batch(size, low_size, frames):
    """Clips of `frames` frames at `size`, with their noised low-resolution version beside them.

    A quarter of each frame is enough: how to enlarge is a local matter.
    """

    def batch(scenes, rng, generator) -> Batch:
        count = 1 if rng.random() < 0.25 else frames
        start = rng.integers(0, FRAMES - count + 1, (len(scenes), 1))
        times = (start + np.arange(count)) / (FRAMES - 1)
        clean = render(scenes, times, size)
        low = F.interpolate(clean, (count, *low_size), mode="area")
        level = torch.randint(0, NOISE_LEVELS, (len(scenes),), generator=generator)
        noise = torch.randn(clean.shape, generator=generator)
        first = clean[:, :, 0] if count > 1 else None
        condition = low_resolution_condition(low, size, level, noise, schedule(), first)
        top, left = (_GRID * rng.integers(0, side // 2 // _GRID + 1) for side in size)
        part = (..., slice(top, top + size[0] // 2), slice(left, left + size[1] // 2))
        return Batch(clean[part], condition[part], level)

    return batch


BATCHES: dict[str, Callable] = {
    "image": image_batch,
    "keyframes": keyframe_batch,
    "interpolation": interpolation_batch,
    "super_resolution_1": super_resolution_batch((160, 256), (40, 64), 8),
    "super_resolution_2": super_resolution_batch((320, 576), (160, 256), 8),
}
