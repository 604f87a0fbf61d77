"""How well a motion was transferred, and how sure a mean of such numbers is.

Every track is in fractions of the frame, (y, x), as `read_out(video).centres` and
`Scene.centres()` are; `size` is (height, width) in pixels, and is needed because distances and
angles are those in the picture, whose sides differ.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vmc.errors import BadInput

STILL = 0.005  # a step shorter than this, in diagonals, is none: 0.4 pixels at 40×64
_Z = 1.959964  # of a 95 % interval
_RESAMPLES = 4000


def trajectory_error(
    tracked: Float[Tensor, "_ 2"],
    asked: Float[Tensor, "_ 2"],
    size: tuple[int, int] = (40, 64),
) -> float:
    """Mean over frames of the distance between two paths, in fractions of the frame's diagonal.

    Σ_n |S (p_n - q_n)| / (N |S|) with S = diag(height, width): 0 is the same path, 1 the distance
    of opposite corners. Frames correspond by their number, so lagging behind is an error too.
    Raises `BadInput` for paths of different lengths.
    """
    _check_paths(tracked, asked)
    return _in_diagonals(tracked - asked, size).norm(dim=-1).mean().item()


def motion_fidelity(
    first: Float[Tensor, "_ _ 2"],
    second: Float[Tensor, "_ _ 2"],
    size: tuple[int, int] = (40, 64),
) -> float:
    """How alike the directions are in which two clips' tracklets move, from -1 to 1.

    From Yatim et al. (2023, arXiv 2311.17009, Sec. 5): a tracklet's correlation with another is
    the mean over time of the cosine between their displacements; each looks for its best match in
    the other clip. Here both directions are averaged, so that MF(a, b) = MF(b, a) and
    MF(a, a) = 1; and two tracklets that rest at the same time (steps below `STILL`) agree there,
    while one that rests and one that moves have cosine 0, so that no clip gives NaN. Speed and
    place do not matter. Raises `BadInput` for clips of different lengths, or without a tracklet.
    """
    _check_paths(first, second)
    steps = [_in_diagonals(tracks.diff(dim=1), size) for tracks in (first, second)]
    moving = [step.norm(dim=-1) >= STILL for step in steps]
    directions = [
        torch.where(m[..., None], s / s.norm(dim=-1, keepdim=True).clamp(min=STILL), 0.0)
        for s, m in zip(steps, moving, strict=True)
    ]
    cosine = torch.einsum("afd,bfd->abf", *directions)
    both_rest = ~moving[0][:, None] & ~moving[1][None]
    correlation = (cosine + both_rest).mean(-1)
    return ((correlation.amax(0).mean() + correlation.amax(1).mean()) / 2).item()


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % confidence interval; the ends are NaN where there is none."""

    mean: float
    low: float
    high: float


def interval(
    values: Iterable[float],
    clusters: Iterable | None = None,
    over: Iterable[float] | None = None,
    seed: int = 0,
) -> Interval:
    """The mean of `values` with a 95 % bootstrap interval (percentiles of 4,000 resamples).

    `clusters` names for each value the clip (or the like) that it belongs to: whole clusters are
    drawn, because values of one clip resemble each other. With `over`, values paired with
    `values`, it is the ratio of both means. A single cluster has no interval.
    """
    values = _finite(values)
    over = np.ones_like(values) if over is None else _finite(over)
    sums, weights = _cluster_sums(clusters, values, over)
    mean = float(values.sum() / over.sum())
    if len(sums) < 2:
        return Interval(mean, float("nan"), float("nan"))
    drawn = np.random.default_rng(seed).integers(len(sums), size=(_RESAMPLES, len(sums)))
    means = sums[drawn].sum(1) / weights[drawn].sum(1)
    return Interval(mean, *map(float, np.percentile(means, (2.5, 97.5))))


def proportion(right: Iterable[bool], clusters: Iterable | None = None) -> Interval:
    """How many of `right` are True, with Wilson's 95 % interval.

    With `clusters`, the sample counts for as many independent ones as the spread between the
    clusters says (n divided by the design effect), and never for more than there are.
    """
    right = _finite(right)
    count, share = len(right), float(right.mean())
    effective = float(count)
    if clusters is not None and 0 < share < 1:
        sums, sizes = _cluster_sums(clusters, right, np.ones(count))
        between = ((sums - share * sizes) ** 2).sum() * len(sums) / max(len(sums) - 1, 1)
        effective /= max(between / (count * share * (1 - share)), 1.0)
    shrink = 1 + _Z**2 / effective
    centre = (share + _Z**2 / (2 * effective)) / shrink
    spread = _Z / shrink * (share * (1 - share) / effective + (_Z / (2 * effective)) ** 2) ** 0.5
    return Interval(share, max(centre - spread, 0.0), min(centre + spread, 1.0))


def _in_diagonals(vectors: Tensor, size: tuple[int, int]) -> Tensor:
    sides = torch.tensor(size, dtype=vectors.dtype)
    return vectors * sides / sides.norm()


def _check_paths(first: Tensor, second: Tensor) -> None:
    if first.shape[-2] != second.shape[-2]:
        raise BadInput(
            f"Tracks of {first.shape[-2]} and {second.shape[-2]} frames cannot be compared: read "
            "both at the same times."
        )
    if not first.numel() or not second.numel():
        raise BadInput("There is no track to compare: each clip needs one or more.")


def _finite(values: Iterable) -> np.ndarray:
    values = np.array(list(values), dtype=float)
    if not values.size or not np.isfinite(values).all():
        raise BadInput(
            f"An interval needs finite numbers, but among these {values.size} are none or NaN."
        )
    return values


def _cluster_sums(clusters: Iterable | None, *columns: np.ndarray) -> list[np.ndarray]:
    """The sum of each column over each cluster; without clusters, every value is its own."""
    if clusters is None:
        return list(columns)
    names = list(clusters)
    if len(names) != len(columns[0]):
        raise BadInput(f"There are {len(columns[0])} values, but {len(names)} cluster names.")
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    index = [number[name] for name in names]
    return [np.bincount(index, weights=column) for column in columns]
