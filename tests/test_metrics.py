import math

import numpy as np
import pytest
import torch

from vmc.errors import BadInput
from vmc.metrics import interval, motion_fidelity, proportion, trajectory_error
from vmc.sprites import HELD_OUT, Scene, held_out


def tracks(seed, count=4, frames=8):
    """Random walks, in fractions of the frame."""
    steps = torch.randn(count, frames, 2, generator=torch.Generator().manual_seed(seed))
    return 0.5 + 0.05 * steps.cumsum(1)


def test_trajectory_error_is_in_diagonals():
    corner = torch.zeros(5, 2)
    assert trajectory_error(corner, corner) == 0
    assert trajectory_error(corner, torch.ones(5, 2)) == pytest.approx(1)
    half_a_width = corner + torch.tensor([0.0, 0.5])
    assert trajectory_error(corner, half_a_width, (40, 64)) == pytest.approx(
        32 / math.hypot(40, 64)
    )
    assert trajectory_error(corner, half_a_width, (300, 400)) == pytest.approx(200 / 500)


def test_trajectory_error_is_the_mean_over_frames_in_their_order():
    asked = Scene(motion=held_out("zigzag")).centres()
    tracked = asked.clone()
    tracked[2, 0] += 0.1
    expected = 0.1 * 40 / math.hypot(40, 64) / len(asked)
    assert trajectory_error(tracked, asked) == pytest.approx(expected, rel=1e-5)
    assert trajectory_error(asked.flip(0), asked) > 0.2


@pytest.mark.parametrize("seed", range(3))
def test_motion_fidelity_is_one_with_itself_symmetric_and_bounded(seed):
    first, second = tracks(seed), tracks(seed + 10, count=7)
    assert motion_fidelity(first, first) == pytest.approx(1)
    there, back = motion_fidelity(first, second), motion_fidelity(second, first)
    assert there == pytest.approx(back)
    assert -1 <= there < 0.9


@pytest.mark.parametrize("motion", HELD_OUT)
def test_motion_fidelity_is_lower_for_the_clip_played_backward(motion):
    path = Scene(motion=held_out(motion)).centres()[None]
    assert motion_fidelity(path, path) == pytest.approx(1)
    assert motion_fidelity(path, path.flip(1)) < 0.5


def test_motion_fidelity_sees_neither_place_nor_speed_but_direction_in_the_picture():
    path = tracks(1, count=1)
    assert motion_fidelity(path, 0.3 + 2 * path) == pytest.approx(1)
    assert motion_fidelity(path, 1 - path) == pytest.approx(-1)
    across = torch.linspace(0, 1, 8)[None, :, None] * torch.tensor([0.0, 1.0])
    diagonal = torch.linspace(0, 1, 8)[None, :, None].expand(1, 8, 2)
    assert motion_fidelity(across, diagonal, (40, 64)) == pytest.approx(64 / math.hypot(40, 64))


def test_motion_fidelity_of_still_clips_is_finite():
    still, moving = (
        torch.full((2, 8, 2), 0.4),
        torch.linspace(0, 1, 8)[None, :, None].expand(3, 8, 2),
    )
    assert motion_fidelity(still, still) == 1
    assert motion_fidelity(still, moving) == 0
    half = moving.clone()
    half[:, 4:] = half[:, 4:5]  # rests from then on
    assert motion_fidelity(half, half) == pytest.approx(1)


def test_motion_fidelity_takes_the_best_match_in_both_directions():
    right = torch.linspace(0, 1, 8)[None, :, None] * torch.tensor([0.0, 1.0])
    both = torch.cat([right, right.flip(1)])
    # Everything in `right` is found in `both`; of `both`, one is found and one is its opposite.
    assert motion_fidelity(right, both) == pytest.approx((1 + 0) / 2)


def test_tracks_that_cannot_be_compared_are_named():
    with pytest.raises(BadInput, match="8 and 7 frames"):
        trajectory_error(torch.zeros(8, 2), torch.zeros(7, 2))
    with pytest.raises(BadInput, match="8 and 7 frames"):
        motion_fidelity(torch.zeros(1, 8, 2), torch.zeros(1, 7, 2))
    with pytest.raises(BadInput, match="no track"):
        motion_fidelity(torch.zeros(0, 8, 2), torch.zeros(1, 8, 2))


def coverage(trials, draw, clustered):
    """How often the interval holds the true mean, 0."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(trials):
        values, clusters = draw(rng)
        found = interval(values, clusters if clustered else None)
        held += found.low <= 0 <= found.high
    return held / trials


def test_interval_holds_the_mean_as_often_as_it_says():
    def draw(rng):
        return rng.standard_normal(40), None

    assert 0.9 <= coverage(200, draw, clustered=False) <= 0.99


def test_interval_over_clusters_allows_for_what_they_have_in_common():
    def draw(rng):
        common = rng.standard_normal(20).repeat(3)
        return common + 0.2 * rng.standard_normal(60), np.arange(60) // 3

    assert coverage(100, draw, clustered=False) < 0.85
    assert 0.88 <= coverage(100, draw, clustered=True) <= 0.99


def test_interval_of_a_ratio():
    rng = np.random.default_rng(1)
    base = rng.uniform(1, 2, 30)
    exact = interval(0.5 * base, over=base)
    assert (exact.mean, exact.low, exact.high) == pytest.approx((0.5, 0.5, 0.5))
    noisy = interval(0.5 * base + 0.3 * rng.standard_normal(30), over=base)
    assert noisy.low < 0.5 < noisy.high
    assert noisy.high - noisy.low < 0.3


def test_interval_is_the_same_each_time_and_nan_for_a_single_cluster():
    values = [0.1, 0.4, 0.2]
    assert interval(values) == interval(values)
    alone = interval(values, clusters=["a", "a", "a"])
    assert alone.mean == pytest.approx(0.7 / 3)
    assert math.isnan(alone.low) and math.isnan(alone.high)


@pytest.mark.parametrize(
    ("right", "low", "high"), [(8, 0.4902, 0.9433), (10, 0.7225, 1.0), (0, 0.0, 0.2775)]
)
def test_proportion_has_wilsons_interval(right, low, high):
    found = proportion([True] * right + [False] * (10 - right))
    assert found.mean == right / 10
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_proportion_counts_copies_within_a_cluster_once():
    once = [True] * 8 + [False] * 4
    copied = proportion(
        [r for r in once for _ in range(3)], [i for i in range(12) for _ in range(3)]
    )
    assert copied.mean == proportion(once).mean
    assert copied.high - copied.low > proportion(once).high - proportion(once).low
    # Clusters that differ no more than chance change little.
    rng = np.random.default_rng(3)
    independent, clusters = (rng.random(900) < 0.7).tolist(), np.arange(900) // 3
    plain, clustered = proportion(independent), proportion(independent, clusters)
    assert clustered.low == pytest.approx(plain.low, abs=0.005)


@pytest.mark.parametrize("values", [[], [0.1, math.nan]])
def test_intervals_of_nothing_or_nan_are_refused(values):
    with pytest.raises(BadInput, match="finite numbers"):
        interval(values)


def test_clusters_must_match_the_values():
    with pytest.raises(BadInput, match="3 values, but 2"):
        interval([1.0, 2.0, 3.0], clusters=["a", "b"])
