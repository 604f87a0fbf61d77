"""What a subject does to the picture behind it, and how well that explains a given picture.

In every style a subject turns a backdrop P into (1 − A) P + A T, and A T is linear in the
subject's colour c: A T = W c + R. A template holds (A, W, R) on a square around the centre.
"""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from vmc.sprites.motions import path
from vmc.sprites.places import PLACES, VARIANTS
from vmc.sprites.scene import _PAINTERS, COLOURS, STYLES, Scene, _distances

SIZE = (40, 64)  # of the pictures that are matched: the keyframes', whose pixels are square
SIDE = 32  # of a template, in pixels: holds the largest subject turned any way
SCALES = tuple(np.geomspace(0.08, 0.33, 13).tolist())  # down to the smaller ones of a pair
PALETTE = torch.tensor(list(COLOURS.values()))
_OPACITY = (0.4, 1.2)  # generated subjects can be faint, or too strong


@lru_cache(maxsize=512)
def templates(
    style: str, subject: str, scales: tuple[float, ...], turns: int = 1, coarse: bool = False
) -> Float[Tensor, "template 5 side side"]:
    """A, W and R (three channels) for `scales` × `turns` of a subject, spread over a full circle.

    `coarse` halves the resolution.
    """
    scenes = [
        Scene(subject, motion=path([(0.5, 0.5)] * 2, scale, 2 * np.pi * i / turns), style=style)
        for scale in scales
        for i in range(turns)
    ]
    rows, columns = (slice((side - SIDE) // 2, (side + SIDE) // 2) for side in SIZE)
    distance, detail = (
        d[:, None, None, rows, columns]
        for d in _distances(scenes, np.zeros((len(scenes), 1)), SIZE)
    )
    far = torch.full_like(distance[:1], 9.0)

    def painted(back, colour, distance=distance, detail=detail):
        back, colour = (torch.full((1, 1, 3, 1, 1), value) for value in (back, colour))
        return _PAINTERS[style](back, colour, distance, detail, 1 / SIZE[0])[:, 0]

    black, white = painted(0.0, 0.0, far, far), painted(1.0, 0.0, far, far)
    on_black, on_white, filled = painted(0.0, 0.0), painted(1.0, 0.0), painted(0.0, 1.0)
    through = ((on_white - on_black) / (white - black))[:, :1]  # 1 − A
    parts = [1 - through, (filled - on_black)[:, :1], on_black - black * through]
    return F.avg_pool2d(torch.cat(parts, 1), 2 if coarse else 1)


@lru_cache(maxsize=len(STYLES))
def backdrops(style: str) -> Float[Tensor, "place variant 3 height width"]:
    """Every place without a subject, in [0, 1]."""
    outside = path([(9.0, 9.0)] * 2)
    empty = [
        Scene(place=place, variant=variant, style=style, motion=outside).render(1, SIZE)
        for place in PLACES
        for variant in range(VARIANTS)
    ]
    return (torch.stack(empty)[:, :, 0].unflatten(0, (len(PLACES), VARIANTS)) + 1) / 2


def drawn(
    backdrop: Float[Tensor, "*#template 3 height width"],
    template: Float[Tensor, "template 5 #height #width"],
) -> Float[Tensor, "colour template 3 height width"]:
    """Templates in every colour of the palette on a backdrop: (1 − A) P + W c + R."""
    fill = template[:, 1:2] * PALETTE[:, None, :, None, None]
    return (1 - template[:, :1]) * backdrop + fill + template[:, 2:]


def features(
    picture: Float[Tensor, "frame 3 height width"], backdrop: Float[Tensor, "3 height width"]
) -> Float[Tensor, "frame 9 height width"]:
    """What `explained` needs of a picture I on a backdrop P: D·P, D = I − P, P·P, P and 1."""
    difference, back = picture - backdrop, backdrop.expand_as(picture)
    first, second = ((d * back).sum(1, keepdim=True) for d in (difference, back))
    return torch.cat([first, difference, second, back, torch.ones_like(first)], 1)


def explained(
    features: Float[Tensor, "window 9 height width"],
    template: Float[Tensor, "template 5 side side"],
    colour: Float[Tensor, "3"],
) -> Float[Tensor, "window template y x"]:
    """How much of the squared error Σ D² each template removes, at each of its positions.

    A template of opacity o leaves Σ (D + o (A P − A T))², so it removes o L − o² Q, where L and Q
    are correlations of the features with the template; o is the best one within its range.
    """
    cover = template[:, :1]
    paint = template[:, 1:2] * colour[:, None, None] + template[:, 2:]
    linear = torch.cat([-2 * cover, 2 * paint], 1)
    square = torch.cat([cover**2, -2 * cover * paint, (paint**2).sum(1, keepdim=True)], 1)
    linear, square = F.conv2d(features[:, :4], linear), F.conv2d(features[:, 4:], square)
    opacity = (linear / (2 * square).clamp(min=1e-3)).clamp(*_OPACITY)
    return opacity * (linear - opacity * square)


def windows(
    maps: Float[Tensor, "frame channel height width"],
    spots: Int[Tensor, "frame member 2"],
    side: int,
) -> Float[Tensor, "window channel {side} {side}"]:
    """Squares around the pixel corners `spots` (y, x) of each frame, zero outside of the frame."""
    maps = F.pad(maps, (side,) * 4)
    starts = (spots + side - side // 2).tolist()
    return torch.stack(
        [maps[f, :, y : y + side, x : x + side] for f, row in enumerate(starts) for y, x in row]
    )
