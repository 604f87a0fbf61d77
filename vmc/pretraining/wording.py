"""Teaching the text encoder what words for motions are, before there are clips to learn it from.

Single pictures show no motion, so a text encoder that was trained with them reads "moving left" and
"moving right" almost alike, and what is hardly there has hardly a gradient.
"""

import copy

import numpy as np
import torch

from vmc.backbones.tiny import TextEncoder
from vmc.sprites import NAMED, random_scene

_BATCH = 48
_RATE = 2e-3
_LENGTH = 3.0  # of what a motion adds to each token


def teach_motions(encoder: TextEncoder, steps: int, seed: int) -> None:
    """Make every token of a caption say which motion it names, and else what it said before.

    Each named motion gets a direction of its own, at right angles to the others'. The encoder
    learns to give its former output plus that direction.
    """
    former = copy.deepcopy(encoder).eval()
    generator = torch.Generator().manual_seed(seed)
    width = encoder.t5.config.d_model
    directions = torch.linalg.qr(torch.randn(width, width, generator=generator))[0] * _LENGTH
    added = dict(zip(NAMED, directions[: len(NAMED)], strict=True))
    rng = np.random.default_rng([seed, steps])
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=_RATE, weight_decay=0)
    for step in range(steps):
        scenes = [random_scene(rng) for _ in range(_BATCH)]
        captions = [scene.caption(rng) for scene in scenes]
        motion = torch.stack([added.get(s.motion.name, torch.zeros(width)) for s in scenes])
        with torch.no_grad():
            target = former(captions) + motion[:, None]
        loss = (encoder(captions) - target).square().sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min(1.0, (steps - step) / (0.5 * steps))
        optimizer.step()
