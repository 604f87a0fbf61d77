"""What each stage is shown of a scene: the clean frames, a condition beside them, a noise level.

A batch is made by `BATCHES[stage](scenes, rng, generator)`; conditions and levels are those that
`vmc.stages` gives when it generates.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from vmc.backbones.tiny import schedule
from vmc.sprites import FRAMES, render
from vmc.stages import between_keyframes, low_resolution_condition

KEYFRAME_TIMES = np.linspace(0, 1, 8)


def image_batch(scenes, rng, generator):
    return render(scenes, rng.uniform(0, 1, (len(scenes), 1))), None, None


def keyframe_batch(scenes, rng, generator):
    return render(scenes, np.tile(KEYFRAME_TIMES, (len(scenes), 1))), None, None


def interpolation_batch(scenes, rng, generator):
    """Five consecutive frames, with the blend of both ends and a mask beside them."""
    start = 4 * rng.integers(0, 7, (len(scenes), 1))
    clean = render(scenes, (start + np.arange(5)) / (FRAMES - 1))
    return clean, between_keyframes(clean[:, :, ::4]), None


def super_resolution_batch(size, low_size, frames):
    """Clips of `frames` frames at `size`, with their noised low-resolution version beside them."""

    def batch(scenes, rng, generator):
        count = 1 if rng.random() < 0.25 else frames
        start = rng.integers(0, FRAMES - count + 1, (len(scenes), 1))
        times = (start + np.arange(count)) / (FRAMES - 1)
        clean = render(scenes, times, size)
        low = F.interpolate(clean, (count, *low_size), mode="area")
        level = torch.randint(0, 400, (len(scenes),), generator=generator)
        noise = torch.randn(clean.shape, generator=generator)
        first = clean[:, :, 0] if count > 1 else None
        return clean, low_resolution_condition(low, size, level, noise, schedule(), first), level

    return batch


BATCHES: dict[str, Callable] = {
    "image": image_batch,
    "keyframes": keyframe_batch,
    "interpolation": interpolation_batch,
    "super_resolution_1": super_resolution_batch((160, 256), (40, 64), 8),
    "super_resolution_2": super_resolution_batch((320, 576), (160, 256), 8),
}
