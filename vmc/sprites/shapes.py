"""The subjects of the rendered world as signed distances, sampled once into a small atlas.

A subject lives in local coordinates (v down, u right) within about one unit of its centre. Its
silhouette and its details (windows, stripes, eyes) are unions of ellipses and polygons. The signed
distance (negative inside) makes outlines, glows and antialiasing at any size a matter of one
comparison, and looking it up in an atlas makes every subject equally cheap to draw.
"""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

EXTENT = 2.0  # the atlas covers [-EXTENT, EXTENT] in both local coordinates
RESOLUTION = 208


def _ellipse(v, u, cv, cu, rv, ru):
    """Signed distance to an ellipse, to first order (exact for a circle)."""
    k = np.hypot((v - cv) / rv, (u - cu) / ru)
    gradient = np.hypot((v - cv) / rv**2, (u - cu) / ru**2)
    return k * (k - 1) / np.maximum(gradient, 1e-6)


def _polygon(v, u, corners):
    """Exact signed distance to a simple polygon given as (v, u) corners."""
    distance = np.full(v.shape, np.inf)
    inside = np.zeros(v.shape, bool)
    for (v0, u0), (v1, u1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        dv, du = v1 - v0, u1 - u0
        along = np.clip(((v - v0) * dv + (u - u0) * du) / (dv**2 + du**2), 0, 1)
        distance = np.minimum(distance, np.hypot(v - v0 - along * dv, u - u0 - along * du))
        crosses = (v0 > v) != (v1 > v)
        inside ^= crosses & (u < u0 + (v - v0) / np.where(crosses, dv, 1) * du)
    return np.where(inside, -distance, distance)


def _box(v0, u0, v1, u1):
    return np.array([(v0, u0), (v0, u1), (v1, u1), (v1, u0)])


def _star(inner, outer=1.0):
    angles = np.arange(10) * np.pi / 5
    radii = np.where(np.arange(10) % 2 == 0, outer, inner)
    return np.stack([-radii * np.cos(angles), radii * np.sin(angles)], axis=1)


# Each subject: (silhouette, details). An ellipse is a 4-tuple (cv, cu, rv, ru), a polygon an array.
_SUBJECTS = {
    "car": (
        [
            _box(-0.05, -1.0, 0.45, 1.0),
            np.array([(-0.55, -0.5), (-0.55, 0.35), (0.0, 0.7), (0.0, -0.8)]),
            (0.45, -0.55, 0.27, 0.27),
            (0.45, 0.55, 0.27, 0.27),
        ],
        [np.array([(-0.4, -0.35), (-0.4, 0.25), (-0.08, 0.45), (-0.08, -0.5)])],
    ),
    "fish": (
        [(0.0, 0.2, 0.52, 0.8), np.array([(0.0, -0.3), (-0.6, -1.0), (0.6, -1.0)])],
        [(-0.12, 0.55, 0.14, 0.14)],
    ),
    "bird": (
        [
            (0.1, 0.0, 0.3, 0.62),
            (-0.12, 0.6, 0.27, 0.27),
            np.array([(0.1, 0.4), (-0.95, -0.35), (0.1, -0.35)]),
            np.array([(0.1, -0.4), (-0.2, -1.0), (0.4, -1.0)]),
            np.array([(-0.2, 0.8), (-0.03, 1.15), (0.02, 0.75)]),
        ],
        [(-0.15, 0.64, 0.11, 0.11)],
    ),
    "plane": (
        [
            (0.0, 0.0, 0.2, 1.05),
            np.array([(0.0, 0.4), (-0.95, -0.3), (-0.95, -0.6), (0.0, -0.25)]),
            np.array([(0.0, 0.4), (0.95, -0.3), (0.95, -0.6), (0.0, -0.25)]),
            np.array([(0.0, -0.6), (-0.45, -0.95), (0.45, -0.95)]),
        ],
        [(0.0, 0.7, 0.1, 0.18)],
    ),
    "boat": (
        [
            np.array([(0.3, -1.0), (0.3, 1.0), (0.8, 0.6), (0.8, -0.6)]),
            np.array([(-1.0, 0.05), (0.3, 0.8), (0.3, 0.05)]),
            np.array([(-0.75, -0.08), (0.3, -0.6), (0.3, -0.08)]),
            _box(-1.0, -0.1, 0.4, 0.1),
        ],
        [_box(0.45, -0.7, 0.6, 0.7)],
    ),
    "rocket": (
        [
            np.array([(-1.1, 0.0), (-0.5, 0.34), (0.6, 0.34), (0.6, -0.34), (-0.5, -0.34)]),
            np.array([(0.1, 0.3), (0.85, 0.8), (0.6, 0.2)]),
            np.array([(0.1, -0.3), (0.85, -0.8), (0.6, -0.2)]),
            np.array([(0.55, -0.22), (1.0, 0.0), (0.55, 0.22)]),
        ],
        [(-0.3, 0.0, 0.18, 0.18)],
    ),
    "ball": ([(0.0, 0.0, 0.82, 0.82)], [_box(-0.16, -0.66, 0.16, 0.66)]),
    "star": ([_star(0.45, 1.1)], [(0.02, 0.0, 0.2, 0.2)]),
}
SUBJECTS = tuple(_SUBJECTS)


def _union(v, u, parts):
    return np.min(
        [_polygon(v, u, p) if isinstance(p, np.ndarray) else _ellipse(v, u, *p) for p in parts], 0
    )


@lru_cache(maxsize=1)
def atlas() -> Float[Tensor, "subject 2 resolution resolution"]:
    """Signed distances in local units: channel 0 the silhouette, channel 1 the details."""
    axis = (np.arange(RESOLUTION) + 0.5) / RESOLUTION * 2 * EXTENT - EXTENT
    v, u = np.meshgrid(axis, axis, indexing="ij")
    tables = [[_union(v, u, parts) for parts in subject] for subject in _SUBJECTS.values()]
    return torch.tensor(np.array(tables), dtype=torch.float32)
