"""Curves over one axis, with words for whoever cannot see them."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vmc.errors import BadInput
from vmc.widgets.output import picture, publish

Numbers = Sequence[float] | Float[Tensor, "_"]


def curves(
    lines: Mapping[str, tuple[Numbers, Numbers]],
    labels: tuple[str, str],
    alt: str,
    scale: str = "linear",
) -> None:
    """Show lines in one picture, the earlier ones thicker, so that lines that coincide are seen.

    Arguments:
        lines: (x, y) of each line by its name.
        labels: of the x-axis and of the y-axis.
        alt: what a reader who cannot see the picture is told.
        scale: of the y-axis, "linear" or "log".
    Raises:
        BadInput: no line, or one with more x than y.
    """
    from matplotlib.figure import Figure

    uneven = [name for name, (x, y) in lines.items() if len(x) != len(y)]
    if uneven or not lines:
        raise BadInput(
            f"Curves are one line or more, each with as many x as y; {', '.join(uneven) or 'none'} "
            "is not such a line."
        )
    figure = Figure(figsize=(7, 3), dpi=100, layout="constrained")
    axes = figure.subplots()
    widths = np.linspace(4, 1.5, len(lines)) if len(lines) > 1 else [1.5]
    for width, (name, (x, y)) in zip(widths, lines.items(), strict=True):
        axes.plot(x, y, label=name, linewidth=width, alpha=0.75)
    axes.set(xlabel=labels[0], ylabel=labels[1], yscale=scale)
    axes.grid(alpha=0.3)
    axes.legend()
    data = io.BytesIO()
    figure.savefig(data, format="png")
    publish(*picture(data.getvalue(), alt))
