"""The places of the rendered world: still backdrops, drawn at any size.

World coordinates: y from 0 (top) to 1, x from 0 to `ASPECT` (the keyframes' 64/40), so that one
unit is the frame's height. Each backdrop repeats horizontally with period `ASPECT` and comes in
`VARIANTS` shifts, so that a place is more than one fixed picture.
"""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

ASPECT = 1.6
VARIANTS = 8


def _mix(a, b, weight):
    """Blend two colours (each a triple or an image) by a weight image in [0, 1]."""
    a, b = (c if isinstance(c, Tensor) else torch.tensor(c)[:, None, None] for c in (a, b))
    return a + (b - a) * weight


def _edge(distance, softness):
    """1 where `distance` is negative, 0 where positive, with a linear ramp of width `softness`."""
    return (0.5 - distance / softness).clamp(0, 1)


def _blobs(y, x, spots, softness):
    """Union of soft ellipses (cy, cx, ry, rx), periodic in x."""
    image = torch.zeros_like(y)
    for cy, cx, ry, rx in spots:
        dx = (x - cx + ASPECT / 2) % ASPECT - ASPECT / 2
        distance = (((y - cy) / ry) ** 2 + (dx / rx) ** 2).sqrt() - 1
        image = torch.maximum(image, _edge(distance * min(ry, rx), softness))
    return image


def _wave(x, cycles, phase=0.0):
    return torch.sin(2 * torch.pi * (cycles * x / ASPECT + phase))


def _sky(y, x):
    clouds = [(0.2, 0.3, 0.08, 0.22), (0.33, 0.42, 0.05, 0.2), (0.68, 1.15, 0.07, 0.26)]
    return _mix(
        _mix((0.4, 0.7, 0.95), (0.74, 0.89, 1.0), y), (1.0, 1.0, 1.0), _blobs(y, x, clouds, 0.12)
    )


def _sand(y, x):
    ripples = 0.5 + 0.5 * torch.sin(2 * torch.pi * (4 * y + 0.25 * _wave(x, 2)))
    ground = _mix((0.93, 0.82, 0.58), (0.86, 0.73, 0.47), ripples)
    above = _mix((0.62, 0.86, 0.93), (0.3, 0.67, 0.78), _edge(0.22 - y, 0.03))
    return _mix(above, ground, _edge(0.36 + 0.03 * _wave(x, 1) - y, 0.03))


def _snow(y, x):
    above = _mix((0.62, 0.7, 0.8), (0.76, 0.82, 0.88), y * 2)
    hills = _edge(0.4 + 0.08 * _wave(x, 2) + 0.03 * _wave(x, 3, 0.3) - y, 0.03)
    return _mix(above, _mix((0.97, 0.98, 1.0), (0.86, 0.91, 0.97), y), hills)


def _underwater(y, x):
    rays = (0.5 + 0.5 * _wave(x + 0.5 * y, 4)) * (1 - y)
    water = _mix(_mix((0.08, 0.5, 0.58), (0.02, 0.2, 0.34), y), (0.35, 0.75, 0.75), 0.45 * rays)
    return _mix(water, (0.38, 0.42, 0.36), _edge(0.9 + 0.03 * _wave(x, 3) - y, 0.03))


def _night(y, x):
    sky = _mix((0.02, 0.03, 0.12), (0.1, 0.1, 0.27), y)
    stars = [
        (0.15 + 0.61 * (i * 0.382 % 1), ASPECT * (i * 0.618 % 1), 0.018, 0.018) for i in range(9)
    ]
    sky = _mix(sky, (0.85, 0.85, 0.95), _blobs(y, x, stars, 0.03))
    sky = _mix(sky, (0.95, 0.93, 0.75), _blobs(y, x, [(0.17, 1.2, 0.09, 0.09)], 0.03))
    return _mix(sky, (0.03, 0.05, 0.06), _edge(0.9 + 0.04 * _wave(x, 2) - y, 0.03))


def _forest(y, x):
    air = _mix((0.55, 0.72, 0.5), (0.4, 0.58, 0.36), y)
    trunks = _edge(0.75 - _wave(x, 4, 0.1), 0.3)
    air = _mix(air, (0.33, 0.25, 0.17), trunks)
    canopy = _edge(y - 0.2 - 0.05 * _wave(x, 5), 0.04)
    ground = _edge(0.82 + 0.02 * _wave(x, 3) - y, 0.03)
    return _mix(_mix(air, (0.1, 0.33, 0.13), canopy), (0.22, 0.36, 0.15), ground)


def _road(y, x):
    above = _mix((0.8, 0.88, 0.92), (0.55, 0.68, 0.42), _edge(0.16 - y, 0.03))
    asphalt = _mix((0.42, 0.42, 0.44), (0.33, 0.33, 0.35), y)
    lane = _edge((y - 0.64).abs() - 0.025, 0.02) * _edge(-_wave(x, 3), 0.3)
    return _mix(above, _mix(asphalt, (0.95, 0.95, 0.9), lane), _edge(0.3 - y, 0.03))


def _sunset(y, x):
    sky = _mix(
        _mix((0.32, 0.18, 0.42), (0.85, 0.36, 0.4), (y * 2).clamp(0, 1)),
        (1.0, 0.68, 0.35),
        (y * 2 - 1).clamp(0, 1),
    )
    sky = _mix(sky, (1.0, 0.88, 0.55), _blobs(y, x, [(0.74, 0.8, 0.17, 0.17)], 0.03))
    return _mix(sky, (0.2, 0.1, 0.2), _edge(0.8 + 0.02 * _wave(x, 2) - y, 0.03))


# The phrase that a caption uses for each place, and the function that paints it.
_PLACES = {
    "in the sky": _sky,
    "on the sand": _sand,
    "on the snow": _snow,
    "underwater": _underwater,
    "at night": _night,
    "in the forest": _forest,
    "on the road": _road,
    "at sunset": _sunset,
}
PLACES = tuple(_PLACES)


def paint(
    place: str, variant: int, y: Float[Tensor, "height 1"], x: Float[Tensor, "1 width"]
) -> Float[Tensor, "3 height width"]:
    """The backdrop's colours in [0, 1] at world coordinates `y` (column) and `x` (row)."""
    y, x = torch.broadcast_tensors(y, (x + ASPECT * variant / VARIANTS) % ASPECT)
    return _PLACES[place](y, x).expand(3, *y.shape).clamp(0, 1)


@lru_cache(maxsize=512)
def keyframe_backdrop(place: str, variant: int, height: int, width: int) -> Tensor:
    """`paint` on a small pixel grid, kept: training draws the same few hundred again and again."""
    return paint(place, variant, *pixel_centres(height, width))


def pixel_centres(height: int, width: int) -> tuple[Tensor, Tensor]:
    """World coordinates of the pixel centres, as a column of y and a row of x."""
    y = (torch.arange(height) + 0.5) / height
    x = (torch.arange(width) + 0.5) / width * ASPECT
    return y[:, None], x[None, :]
