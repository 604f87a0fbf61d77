"""Contact sheets with the asked and the tracked paths over the frames."""

import io
from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from vmc.cascade import Generated
from vmc.pictures import enlarged
from vmc.sprites import read_out
from vmc.video import contact_sheet, write_atomically

_HEIGHT = 120  # of a frame on a sheet: three times the keyframes'


def sheet_with_paths(
    clips: Sequence[Float[Tensor, "3 _ _ _"]],
    labels: Sequence[str],
    asked: Float[Tensor, "_ 2"] | None = None,
    tracked: Sequence[Float[Tensor, "_ 2"] | None] | None = None,
) -> Image.Image:
    """A row of frames for each clip; `asked` in white over all, each one's own `tracked` in yellow.

    Paths are centres (y, x) in fractions of the frame, spread evenly over the clip.
    """
    rows = []
    for clip, own in zip(clips, tracked or [None] * len(clips), strict=True):
        paths = [_timed(path, clip.shape[1]) for path in (asked, own) if path is not None]
        rows.append(enlarged(clip, _HEIGHT, paths))
    return contact_sheet(rows, labels, height=_HEIGHT)


def comparison_sheet(
    source: Float[Tensor, "3 _ _ _"],
    results: Sequence[Generated],
    asked: Float[Tensor, "_ 2"] | None = None,
    label: str = "the clip",
) -> Image.Image:
    """A row of frames for the source clip, and one for each result at its last stage.

    With `asked`, the true centres, they are drawn in white over every row, and the path that is
    read from each result in yellow.
    """
    last = [
        next(c for c in (r.video, r.interpolated, r.keyframes) if c is not None) for r in results
    ]
    tracked = None if asked is None else [None, *(read_out(clip).centres for clip in last)]
    return sheet_with_paths([source, *last], [label, *(r.prompt for r in results)], asked, tracked)


def save_picture(picture: Image.Image, path: str | Path) -> None:
    """Write a PNG, whole or not at all; `BadInput` where it cannot be written."""
    data = io.BytesIO()
    picture.save(data, "PNG")
    write_atomically(path, data.getvalue())


def _timed(path: Float[Tensor, "_ 2"], frames: int) -> Float[Tensor, "frame 2"]:
    """The path with one centre for each of so many frames."""
    return F.interpolate(path.T[None], frames, mode="linear", align_corners=True)[0].T
