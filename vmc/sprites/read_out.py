"""Read-outs: from any video back to what is in it, of which colour, where, and how sure.

Analysis by synthesis at the keyframes' size: the place whose backdrop is nearest to the temporal
median, the colour that most of what differs from the backdrop has, and then the subject which,
drawn in that colour onto that backdrop, explains the most of all frames.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vmc.errors import BadInput
from vmc.sprites.matching import PAIR_GAIN, Matcher
from vmc.sprites.places import PLACES
from vmc.sprites.scene import COLOURS, INK, STYLES
from vmc.sprites.templates import PALETTE, SCALES, SIDE, SIZE, backdrops, drawn, templates

_UNLIKE = 0.15  # mean distance at which a picture has nothing to do with a backdrop
_NOTHING = 0.1  # share of the picture that a subject must explain to be taken for one


@dataclass(frozen=True, eq=False)
class ReadOut:
    """What a video shows, in the rendered world's words.

    `centres` are (y, x) in fractions of the frame, of the pair's middle for a `count` of 2;
    `scale` and `rotation` are those of a `Motion`. Rotation is 0 unless the subject turns, and is
    known up to the subject's symmetry.

    `confidence` holds a number in [0, 1] for each of subject, colour, place and count: how far the
    choice is ahead of the next best, times how well it fits. `centre_confidence` is the share of
    what differs from the backdrop there that the subject explains; it means nothing where the
    place's confidence is 0, as in footage from elsewhere. Frames where it is next to nothing take
    their centre from the frames before and after (the middle if there are none).
    """

    subject: str
    colour: str
    place: str
    count: int
    centres: Float[Tensor, "frame 2"]
    scale: Float[Tensor, " frame"]
    rotation: Float[Tensor, " frame"]
    confidence: dict[str, float]
    centre_confidence: Float[Tensor, " frame"]


def read_out(video: Float[Tensor, "3 frame height width"], style: str = "plain") -> ReadOut:
    """What a clip in [-1, 1], of any size and length, shows, and how sure that is.

    `style` is the one it is expected to be drawn in. Raises `BadInput` for an unknown style, and
    for a video that is empty or not finite.
    """
    picture = _picture(video, style)
    median = picture.median(0).values
    away = (backdrops(style) - median).abs().mean(2).clamp(max=0.3).mean((2, 3)).amin(1)
    place = int(away.argmin())
    nearest, second = away.topk(2, largest=False).values.tolist()
    backdrop = _fitted(median, backdrops(style)[place])
    colour = int(_votes(picture, backdrop, style).argmax())
    match = Matcher(picture, backdrop, style, colour).match()
    if colour != (colour := int(match.colour_scores.argmax())):
        match = Matcher(picture, backdrop, style, colour).match()
    known = max(1 - nearest / _UNLIKE, 0)  # that it is the rendered world at all
    sure = float(match.explained.mean()) * min(2 * known, 1)
    return ReadOut(
        subject=match.subject,
        colour=tuple(COLOURS)[colour],
        place=PLACES[place],
        count=match.count,
        centres=_filled(match.centres, match.explained),
        scale=match.scale,
        rotation=match.rotation,
        confidence={
            "subject": sure * _lead(match.subject_scores),
            "colour": sure * _lead(match.colour_scores),
            "place": (1 - nearest / second) * known,
            "count": sure * min(abs(match.pair_gain - PAIR_GAIN) / 0.3, 1),
        },
        centre_confidence=match.explained,
    )


def _picture(video, style):
    if style not in STYLES:
        raise BadInput(f"There is no style {style!r}: choose one of {', '.join(STYLES)}.")
    if video.ndim != 4 or video.shape[0] != 3 or 0 in video.shape:
        raise BadInput(
            f"A read-out needs a video of shape (3, frame, height, width), but got "
            f"{tuple(video.shape)}: pass one clip, not a batch, with at least one frame."
        )
    if not torch.isfinite(video).all():
        raise BadInput(
            "A read-out needs finite values, but this video has NaN or infinite ones: look at what "
            "made it."
        )
    frames = F.interpolate(video.detach().float().cpu().transpose(0, 1), SIZE, mode="area")
    return (frames.clamp(-1, 1) + 1) / 2


def _fitted(median, variants):
    """The median picture without a subject that stays in its place.

    First the blend of the place's variants and a colour cast that is nearest to the median, with
    weights that forget what no backdrop explains; then the small differences, pixel by pixel.
    """
    nearest = variants[(variants - median).abs().clamp(max=0.3).mean((1, 2, 3)).argmin()]
    basis = torch.cat([variants, torch.eye(3)[:, :, None, None].expand(3, 3, *SIZE)]).flatten(1)
    ridge = 0.05 * torch.eye(len(basis))  # the variants of a place are nearly dependent
    fitted = nearest
    for _ in range(3):
        weight = 1 / (1 + ((median - fitted).abs().mean(0) / 0.06) ** 2) ** 2
        weighted = basis * weight.expand(3, *SIZE).flatten()
        target = weighted @ (median - nearest).flatten()
        mix = torch.linalg.solve(weighted @ basis.T + ridge, target)
        fitted = nearest + (mix @ basis).view(3, *SIZE)
    return fitted + (median - fitted).clamp(-0.08, 0.08)


def _votes(picture, backdrop, style):
    """How many pixels that differ from the backdrop have each colour of the palette, softly."""
    away = (picture - backdrop).pow(2).sum(1)
    away = away / (away + 0.03)
    weight = away * F.avg_pool2d(away, 9, 1, 4) ** 2  # alone among backdrop, it is noise
    middle = templates(style, "fish", SCALES)[-1:, :, SIDE // 2, SIDE // 2, None, None]
    others = torch.tensor([INK, (1.0, 1.0, 1.0)])[:, :, None, None].expand(-1, -1, *SIZE)
    options = torch.cat([drawn(backdrop, middle)[:, 0], others, backdrop[None]])[:, None]
    alike = torch.softmax(-(picture - options).pow(2).sum(2) / 0.02, 0)
    return (alike * weight).sum((1, 2, 3))[: len(PALETTE)]


def _lead(scores):
    """How far the best is ahead of the second, from 0 (a tie) to 1 (by a quarter or more)."""
    best, second = scores.clamp(min=0).topk(2).values.tolist()
    return min(4 * (1 - second / best), 1.0) if best > 0 else 0.0


def _filled(centres, explained):
    """The centres, with those of frames that show no subject taken from their neighbours."""
    shown = np.flatnonzero(explained.numpy() > _NOTHING)
    if not len(shown):
        return torch.full_like(centres, 0.5)
    frames = np.arange(len(centres))
    axes = [np.interp(frames, shown, axis) for axis in centres.numpy()[shown].T]
    return torch.tensor(np.stack(axes, 1), dtype=torch.float32)
