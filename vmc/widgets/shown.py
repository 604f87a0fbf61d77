"""Clips that play beside one another, and tables."""

from collections.abc import Sequence
from html import escape

from jaxtyping import Float
from torch import Tensor

from vmc.errors import BadInput
from vmc.pictures import Paths, animated_png, enlarged, side_by_side
from vmc.video import contact_sheet
from vmc.widgets.output import picture, png, publish

STILL = 80  # height of a frame on a contact sheet: two pixels for one of a keyframe


def show(
    *clips: Float[Tensor, "3 _ _ _"],
    labels: Sequence[str] = (),
    paths: Sequence[Paths | None] = (),
    height: int = 120,
    fps: int | float = 6,
    alt: str | None = None,
) -> None:
    """Play clips side by side and in step, above a contact sheet that holds still.

    Arguments:
        clips: in [-1, 1]; they may differ in size and length, and take equally long.
        labels: one for each clip.
        paths: for each clip its true centres (drawn in white) and, optionally, tracked ones
            (in yellow); None for a clip without.
        height: of a clip, in pixels.
        fps: of the longest clip.
        alt: what a reader who cannot see the pictures is told; the labels if None.
    Raises:
        BadInput: no clip; a number of labels, paths or centres that does not match.
    """
    for name, given in (("labels", labels), ("paths", paths)):
        if not clips or (given and len(given) != len(clips)):
            raise BadInput(
                f"There are {len(clips)} clips and {len(given)} {name} to show; give a clip or "
                "more, and one of these for each."
            )
    pairs = list(zip(clips, paths or [None] * len(clips), strict=True))
    playing = side_by_side([enlarged(clip, height, path) for clip, path in pairs], labels)
    rows = [enlarged(clip, STILL, path) for clip, path in pairs]
    alt = alt or "; ".join(labels) or f"{len(clips)} clip{'s' * (len(clips) > 1)}"
    publish(*picture(animated_png(playing, fps), f"Animation: {alt}"))
    sheet = contact_sheet(rows, labels, height=STILL)
    publish(*picture(png(sheet), f"Frames from first to last: {alt}"))


def table(header: Sequence[str], rows: Sequence[Sequence]) -> None:
    """Show rows of text and numbers, these with three decimals."""
    publish(*table_bundle(header, rows))


def table_bundle(header: Sequence[str], rows: Sequence[Sequence]) -> tuple[dict, dict]:
    """The same, to be published with something else."""
    text = [[f"{x:.3f}" if isinstance(x, float) else str(x) for x in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *text, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (header, *text)]
    head = "".join(f"<th>{escape(x)}</th>" for x in header)
    body = ["".join(f"<td>{escape(x)}</td>" for x in row) for row in text]
    html = "".join(f"<tr>{row}</tr>" for row in (head, *body))
    return {"text/html": f"<table>{html}</table>", "text/plain": "\n".join(lines)}, {}
