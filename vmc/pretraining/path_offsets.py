"""Practice in holding a motion where Video Motion Customization writes it.

A network that has learned motions from captions alone places a subject by word and frame number,
for the most part in its convolutions. Tuned to one clip, its temporal attention finds the path in
the looks of that clip, and nothing of it comes over to others. So, in a part of training, each of
some fixed paths has offsets of its own to the queries, keys and values of the temporal attentions.
A batch shows one path in many looks, under captions that only say "is moving": which path it is,
nothing but the offsets can tell. They are trained with the network and left behind with the
checkpoint; what stays is a network in which these projections can hold a path, whatever is drawn.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from vmc.adapter import exchanged
from vmc.backbones.projections import temporal_qkv
from vmc.backbones.unet import PixelUNet3D
from vmc.sprites.motions import Motion, random_path
from vmc.storage import moments, restore_moments

PATHS = 48
_RATE = 5.0  # of the offsets, relative to the network's


class PathOffsets:
    """Random paths, and for each of them offsets to a network's temporal projections."""

    def __init__(self, unet: PixelUNet3D, seed: int, count: int = PATHS):
        self.unet = unet
        self.paths: list[Motion] = [
            random_path(np.random.default_rng([seed, number]), way_points=(3, 7))
            for number in range(count)
        ]
        self._offsets = [
            {name: nn.Parameter(torch.zeros_like(p)) for name, p in temporal_qkv(unet).items()}
            for _ in self.paths
        ]
        self._optimizers = [
            torch.optim.AdamW(offsets.values(), lr=0.0, betas=(0.9, 0.99), weight_decay=0.0)
            for offsets in self._offsets
        ]
        self._visits = [0] * count

    @contextmanager
    def applied(self, number: int) -> Iterator[None]:
        """Within the block the network holds path `number`.

        A gradient that a projection got there becomes that of the network's own and of the offset.
        """
        own, offsets = temporal_qkv(self.unet), self._offsets[number]
        used = {name: nn.Parameter(p.detach() + offsets[name].detach()) for name, p in own.items()}
        with exchanged(self.unet, used):
            yield
        for name, parameter in used.items():
            own[name].grad = parameter.grad
            offsets[name].grad = None if parameter.grad is None else parameter.grad.clone()

    def step(self, number: int, rate: float) -> None:
        """Follow the gradient of path `number`, at `rate` times a factor of the offsets' own."""
        for group in self._optimizers[number].param_groups:
            group["lr"] = _RATE * rate
        self._optimizers[number].step()
        self._visits[number] += 1

    def tensors(self) -> dict[str, Tensor]:
        """Offsets and the optimizers' moments of the paths that were shown, for a checkpoint."""
        tensors = {"visits": torch.tensor(self._visits)}
        for number, visits in enumerate(self._visits):
            if visits:
                tensors |= self._named(number)
                tensors |= moments(self._named(number), self._optimizers[number])
        return tensors

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `tensors()` gave."""
        self._visits = tensors["visits"].tolist()
        for number, visits in enumerate(self._visits):
            if visits:
                named = self._named(number)
                for name, offset in named.items():
                    offset.copy_(tensors[name])
                restore_moments(named, self._optimizers[number], tensors, visits)

    def _named(self, number: int) -> dict[str, nn.Parameter]:
        return {f"path.{number}.{name}": p for name, p in self._offsets[number].items()}
