"""Motions: where a subject is, how large and how turned, over the 29 frames of a video.

Three families. *Named* motions are captioned by name in training ("is rising"); *random* smooth
paths are captioned "is moving"; *held-out* motions are never trained on: they are what Video
Motion Customization is shown. The held-out ones are asymmetric in time, so that played backward
they are other motions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.interpolate import CubicSpline

from vmc.errors import BadInput

FRAMES = 29  # of the final video; every fourth is a keyframe
SCALE = 0.25  # a subject's usual radius, in fractions of the frame's height
_TIME = np.linspace(0, 1, FRAMES)

NAMED = ("moving right", "moving left", "rising", "falling", "growing", "shrinking", "spinning")
SHARES = dict.fromkeys(NAMED, 0.1) | {"moving": 0.3}  # of training's scenes
HELD_OUT = ("zigzag", "bounce", "loop", "figure eight", "spiral", "stop-and-go", "swing")


@dataclass(frozen=True, eq=False)
class Motion:
    """A trajectory, sampled evenly in time from a video's first frame to its last.

    `centre` is (sample, 2): (y, x) in fractions of the frame's height and width. `scale` (radius
    in fractions of the frame's height) and `rotation` (radians, clockwise) are (sample,) each.
    """

    centre: np.ndarray
    scale: np.ndarray
    rotation: np.ndarray
    name: str = "path"

    def at(self, time: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Centre, scale and rotation at `time` in [0, 1], linear between samples."""
        own = np.linspace(0, 1, len(self.centre))
        centre = np.stack([np.interp(time, own, self.centre[:, i]) for i in (0, 1)], axis=-1)
        return centre, np.interp(time, own, self.scale), np.interp(time, own, self.rotation)

    def reversed(self) -> "Motion":
        return Motion(
            self.centre[::-1], self.scale[::-1], self.rotation[::-1], f"{self.name} backward"
        )


def path(centre, scale=SCALE, rotation=0.0, name="path") -> Motion:
    """A motion from explicit centres, so that anyone can invent one.

    `centre`: two or more (y, x) pairs in fractions of the frame, evenly spread over the video.
    `scale` and `rotation`: one number, or one per centre. Raises `BadInput` on anything else.
    """
    centre = np.asarray(centre, dtype=float)
    if centre.ndim != 2 or centre.shape[1] != 2 or len(centre) < 2 or not np.isfinite(centre).all():
        raise BadInput(
            f"A path needs two or more finite (y, x) centres, but got an array of shape "
            f"{centre.shape}: pass a list of pairs in fractions of the frame."
        )
    try:
        scale, rotation = (
            np.broadcast_to(np.asarray(a, float), len(centre)) for a in (scale, rotation)
        )
    except ValueError as error:
        raise BadInput(
            f"A path of {len(centre)} centres needs one scale and one rotation, or {len(centre)} "
            "of each."
        ) from error
    return Motion(centre, scale, rotation, name)


def _zigzag(t):
    corners = np.array([0.0, 1.5, 3.5, 5.5, 7.0]) / 7
    return np.interp(t, corners, [0.3, 0.72, 0.28, 0.72, 0.36]), 0.18 + 0.64 * t


def _bounce(t):
    hits, heights = np.array([-0.22, 0.22, 0.62, 0.94, 1.2]), [0.48, 0.36, 0.22, 0.1]
    k = np.clip(np.searchsorted(hits, t, side="right") - 1, 0, 3)
    phase = (t - hits[k]) / (hits[k + 1] - hits[k])
    return 0.74 - np.array(heights)[k] * 4 * phase * (1 - phase), 0.18 + 0.62 * t


def _loop(t):
    turn = np.clip((t - 0.2) / 0.6, 0, 1) * 2 * np.pi
    along = np.where(t < 0.2, t, np.where(t > 0.8, t - 0.6, 0.2)) / 0.4
    return 0.5 + 0.22 * np.cos(turn), 0.2 + 0.6 * along + 0.16 * np.sin(turn)


def _figure_eight(t):
    phase = 2 * np.pi * t
    return 0.5 + 0.22 * np.sin(2 * phase), 0.5 - 0.3 * np.cos(phase)


def _spiral(t):
    angle, radius = 2 * np.pi * 1.25 * t, 0.03 + 0.23 * t
    return 0.5 + radius * np.sin(angle), 0.5 + 1.15 * radius * np.cos(angle)


def _stop_and_go(t):
    legs = np.array([0, 2, 4, 5, 7]) / 7
    return np.interp(t, legs, [0.66, 0.66, 0.66, 0.34, 0.34]), np.interp(
        t, legs, [0.2, 0.55, 0.55, 0.55, 0.8]
    )


def _swing(t):
    angle = 1.1 * np.exp(-0.9 * t) * np.cos(2 * np.pi * 1.4 * t)
    return 0.12 + 0.58 * np.cos(angle), 0.5 + 0.38 * np.sin(angle)


_HELD_OUT = dict(
    zip(
        HELD_OUT,
        (_zigzag, _bounce, _loop, _figure_eight, _spiral, _stop_and_go, _swing),
        strict=True,
    )
)


def held_out(name: str, rng: np.random.Generator | None = None) -> Motion:
    """A held-out motion by name; with `rng`, shifted and stretched a little at random."""
    if name not in _HELD_OUT:
        raise BadInput(
            f"There is no held-out motion {name!r}: choose one of {', '.join(HELD_OUT)}."
        )
    centre = np.stack(_HELD_OUT[name](_TIME), axis=1)
    if rng is not None:
        centre = 0.5 + (centre - 0.5) * rng.uniform(0.88, 1.05, 2) + rng.uniform(-0.03, 0.03, 2)
    return path(centre, name=name)


def named(name: str, rng: np.random.Generator) -> Motion:
    """One of the motions that training captions by name, with a random start, reach and pace.

    They lead through the frame's middle: which way along it, the caption says, and so a frame's
    number says where its subject is. Spinning is about half a turn, for the same reason: at a pace
    that is anyone's guess, late frames could show any angle. And it is little enough from keyframe
    to keyframe for a star, which looks the same after a fifth of a turn.
    """
    y, x = rng.uniform(0.44, 0.56), rng.uniform(0.42, 0.58)
    near, far = rng.uniform(0.14, 0.24), rng.uniform(0.76, 0.86)
    low, high = rng.uniform(0.24, 0.32), rng.uniform(0.68, 0.76)
    small, large = rng.uniform(0.13, 0.16), rng.uniform(0.26, 0.3)
    size = rng.uniform(0.21, 0.28)
    turn = rng.uniform(0.95, 1.05) * np.pi
    still = (y, y), (x, x), (size, size), (0, 0)
    ends = {
        "moving right": ((y, y), (near, far), *still[2:]),
        "moving left": ((y, y), (far, near), *still[2:]),
        "rising": ((high, low), *still[1:]),
        "falling": ((low, high), *still[1:]),
        "growing": (*still[:2], (small, large), (0, 0)),
        "shrinking": (*still[:2], (large, small), (0, 0)),
        "spinning": (*still[:3], (0, turn)),
    }[name]
    ys, xs, scale, rotation = (np.interp(_TIME, [0, 1], pair) for pair in ends)
    return path(np.stack([ys, xs], axis=1), scale, rotation, name)


def random_path(rng: np.random.Generator, way_points: tuple[int, int] = (2, 4)) -> Motion:
    """A smooth random path, never close to a held-out motion; straight or gently bent by default.

    `way_points`: the fewest, and one more than the most, that it leads through.
    """
    while True:
        count = rng.integers(*way_points)
        points = rng.uniform((0.24, 0.14), (0.76, 0.86), (count, 2))
        centre = CubicSpline(np.linspace(0, 1, count), points, bc_type="natural")(_TIME)
        centre = np.clip(centre, (0.2, 0.12), (0.8, 0.88))
        if resemblance(centre) > 0.35:
            return path(centre, rng.uniform(0.21, 0.28), name="moving")


def random_motion(rng: np.random.Generator, shares: Mapping[str, float] = SHARES) -> Motion:
    """One for training, of a named kind or "moving", which is a random path."""
    name = str(rng.choice(list(shares), p=list(shares.values())))
    return random_path(rng) if name == "moving" else named(name, rng)


def resemblance(centre: np.ndarray) -> float:
    """RMS distance to the nearest held-out path, each shifted to mean 0 and scaled to RMS 1.

    Mirrored and time-reversed versions count too. 0 is the same path; unrelated ones are near 1.4.
    """
    own = np.stack(
        [np.interp(_TIME, np.linspace(0, 1, len(centre)), c) for c in np.transpose(centre)], 1
    )
    difference = _normalised(own) - _held_out_variants()
    return float(np.sqrt((difference**2).sum(-1).mean(-1)).min())


def _normalised(centre: np.ndarray) -> np.ndarray:
    centre = (centre - centre.mean(0)) * (1.0, 1.6)
    return centre / max(np.sqrt((centre**2).sum(1).mean()), 1e-9)


@lru_cache(maxsize=1)
def _held_out_variants() -> np.ndarray:
    flips = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    curves = [
        _normalised(np.stack(curve(_TIME), 1)) * f for curve in _HELD_OUT.values() for f in flips
    ]
    return np.array([version for c in curves for version in (c, c[::-1])])
