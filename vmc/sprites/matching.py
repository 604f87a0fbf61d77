"""The subject which, drawn onto the backdrop, explains the most of all frames of a clip.

Sought over the whole frame at half the resolution, upright, as one and as two; then around the
best spots also turned; then finely, for the subject, its pose and its colour.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from vmc.sprites.scene import _PAIR
from vmc.sprites.shapes import SUBJECTS
from vmc.sprites.templates import (
    PALETTE,
    SCALES,
    SIDE,
    SIZE,
    drawn,
    explained,
    features,
    templates,
    windows,
)

_COARSE = SCALES[1::3]
_PAIR_SCALE = 0.7  # of a pair's members, relative to one subject's
PAIR_GAIN = 1.35  # there are two if two explain this much more than one
_UPRIGHT = 0.9  # it stays upright if upright templates explain this much of what turned ones do
_SYMMETRY = {"ball": 2, "star": 5}  # turned by a full circle over this many, it looks the same
_OPACITIES = {1.0: 1.0, 0.85: 0.9, 0.7: 0.8, 0.55: 0.7}  # of a faint subject: how likely
_ALIKE = 0.03  # squared distance at which a pixel stops speaking for a colour


@dataclass(frozen=True, eq=False)
class Match:
    """The subject that fits best. Scores are unnormalised; `explained` is a share of [0, 1]."""

    subject: str
    count: int
    centres: Float[Tensor, "frame 2"]
    scale: Float[Tensor, " frame"]
    rotation: Float[Tensor, " frame"]
    explained: Float[Tensor, " frame"]
    subject_scores: Float[Tensor, " candidate"]
    colour_scores: Float[Tensor, " colour"]
    pair_gain: float


class Matcher:
    """Matches subjects of one style and colour with the frames of a clip."""

    def __init__(
        self,
        picture: Float[Tensor, "frame 3 40 64"],
        backdrop: Float[Tensor, "3 40 64"],
        style: str,
        colour: int,
    ):
        self.style, self.colour = style, PALETTE[colour]
        self.fine = features(picture, backdrop)
        self.coarse = features(F.avg_pool2d(picture, 2), F.avg_pool2d(backdrop, 2))

    def match(self) -> Match:
        spots, gain = self._locate(SUBJECTS, turns=1)
        upright, turned, near = self._identify(spots, turns=12)
        if upright.max() >= _UPRIGHT * turned.max():
            candidates = tuple(SUBJECTS[i] for i in upright.topk(3).indices)
            return self._refine(near, candidates, turns=1, pair_gain=gain)
        # It turns: upright templates may have been drawn to the wrong spots.
        spots, _ = self._locate((SUBJECTS[turned.argmax()],), turns=12, count=spots.shape[1])
        _, turned, near = self._identify(spots, turns=12, margin=2)
        candidates = (SUBJECTS[turned.argmax()],)
        return self._refine(
            near, candidates, turns=24, pair_gain=gain, subject_scores=turned, margin=3
        )

    def _score(self, maps, subjects, scales, turns, coarse=True):
        """What each template explains: (window, subject, scale · turn, y, x)."""
        bank = torch.cat([templates(self.style, s, scales, turns, coarse) for s in subjects])
        return explained(maps, bank, self.colour).unflatten(1, (len(subjects), -1))

    def _locate(self, subjects, turns, count=None):
        """Coarse spots (frame, member, 2) over the whole frame, and what a second member gains."""
        pad, step = SIDE // 4, round(_PAIR[1] * SIZE[1] / 2)
        wide = F.pad(self.coarse, (pad + step, pad + step, pad, pad))
        score = self._score(wide, subjects, _COARSE, turns)
        near = F.max_pool3d(score, (1, 3, 3), 1, (0, 1, 1))
        choices = score[..., step:-step], near[..., : -2 * step] + near[..., 2 * step :]
        totals = [choice.flatten(2).amax(2).sum(0) for choice in choices]
        gain = float(totals[1].max() / totals[0].max().clamp(min=1e-3))
        count = count or (2 if gain > PAIR_GAIN else 1)
        best = choices[count - 1][:, totals[count - 1].argmax()].amax(1)
        middle = _unravel(best.flatten(1).argmax(1), best.shape[2])
        members = [(0, 0)] if count == 1 else [(0, -step), (0, step)]
        return middle[:, None] + torch.tensor(members), gain

    def _identify(self, spots, turns, margin=1):
        """Scores of all subjects around the spots, upright and turned, and the improved spots."""
        around = windows(self.coarse, spots, SIDE // 2 + 2 * margin)
        score = self._score(around, SUBJECTS, _COARSE, turns)
        score = score.unflatten(0, spots.shape[:2]).flatten(-2)
        best = score.amax(-1).sum(1).unflatten(2, (-1, turns))  # frame, subject, scale, turn
        upright, turned = best[..., 0].amax(2).sum(0), best.amax((2, 3)).sum(0)
        place = score[:, :, turned.argmax()].amax(2).argmax(2)
        return upright, turned, spots + _unravel(place, 2 * margin + 1) - margin

    def _refine(self, spots, subjects, turns, pair_gain, subject_scores=None, margin=2):
        frames, count = spots.shape[:2]
        scales = SCALES if turns == 1 else SCALES[::2]
        around = windows(self.fine, 2 * spots, SIDE + 2 * margin)
        score = self._score(around, subjects, scales, turns, coarse=False)
        score = score.unflatten(0, (frames, count))
        best = score.flatten(-2).amax(-1).sum(1)  # frame, subject, scale · turn
        totals = best.amax(2).sum(0)
        subject, each = int(totals.argmax()), torch.arange(frames)
        pose = best[:, subject].argmax(1)
        maps = score[each, :, subject, pose].flatten(0, 1)
        spots = 2 * spots + _peak(maps).view(frames, count, 2) - margin

        scale = (pose // turns).clamp(1, len(scales) - 2)
        sizes = best[:, subject].unflatten(1, (-1, turns))[each, :, pose % turns]
        scale = scale + _vertex(*(sizes[each, scale + i] for i in (-1, 0, 1)))
        scale = scales[0] * (scales[1] / scales[0]) ** scale / (1 if count == 1 else _PAIR_SCALE)
        full = 2 * np.pi / _SYMMETRY.get(subjects[subject], 1)
        rotation = np.unwrap((pose % turns * (2 * np.pi / turns)).numpy() % full, period=full)

        template = templates(self.style, subjects[subject], scales, turns)[pose]
        crops = windows(self.fine, spots.round().long(), SIDE)
        energy = crops[:, 1:4].pow(2).sum((1, 2, 3)).view(frames, count).sum(1)
        weight = maps.flatten(1).amax(1).view(frames, count, 1).clamp(min=0)
        share = weight.sum((1, 2)) / (energy + 1)  # so that a blank frame has a share of 0
        members = torch.tensor([(0.0, 0.0)] if count == 1 else [[-d for d in _PAIR], _PAIR])
        centre = (spots / torch.tensor(SIZE) - members) * (weight + 1e-6)
        return Match(
            subject=subjects[subject],
            count=count,
            centres=centre.sum(1) / (weight + 1e-6).sum(1),
            scale=scale,
            rotation=torch.tensor(rotation, dtype=torch.float32),
            explained=share.clamp(0, 1),
            subject_scores=totals if subject_scores is None else subject_scores,
            colour_scores=_colour_scores(crops, template.repeat_interleave(count, 0)),
            pair_gain=pair_gain,
        )


def _colour_scores(crops, template):
    """How many pixels of the matched subject have each colour, the subject being faint or not."""
    back = crops[:, 5:8]
    change = drawn(back, template) - back
    weight = template[:, 1] * crops[:, 8]
    scores = [
        likely * (torch.exp(-(crops[:, 1:4] - o * change).pow(2).sum(2) / _ALIKE) * weight)
        for o, likely in _OPACITIES.items()
    ]
    return torch.stack(scores).sum((2, 3, 4)).amax(0)


def _unravel(index: Int[Tensor, "*any"], width: int) -> Int[Tensor, "*any 2"]:
    return torch.stack([index // width, index % width], -1)


def _vertex(before, at, after):
    """Where a parabola through three values has its top, from −1 to 1 around the middle one."""
    curve = (2 * at - before - after).clamp(min=1e-6)
    return (0.5 * (after - before) / curve).clamp(-1, 1)


def _peak(maps):
    """(y, x) of each map's maximum, to a fraction of a pixel."""
    each, (height, width) = torch.arange(len(maps)), maps.shape[1:]
    y, x = _unravel(maps.flatten(1).argmax(1), width).unbind(1)
    y, x = y.clamp(1, height - 2), x.clamp(1, width - 2)
    rows, columns = (
        [maps[each, y + i, x] for i in (-1, 0, 1)],
        [maps[each, y, x + i] for i in (-1, 0, 1)],
    )
    return torch.stack([y + _vertex(*rows), x + _vertex(*columns)], 1)
