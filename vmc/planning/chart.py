"""A plan as a picture: what each part of a run holds in memory, beside what cards have."""

import io
from collections.abc import Sequence

from vmc.planning.parts import Need
from vmc.planning.plan import ASIDE


def memory_chart(needs: dict[str, Need], cards: Sequence[float] = (8e9, 16e9, 24e9)) -> bytes:
    """PNG of one bar for each need, under its name, and a line for each size of card in bytes.

    The line is where a card of that size is full, with what CUDA itself takes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.1 + 0.3 * len(needs)), dpi=100, layout="constrained")
    axes = figure.subplots()
    names, left = list(needs), [0.0] * len(needs)
    for label, part in (
        ("weights", "weights"),
        ("tuned weights, gradients, AdamW", "optimizer"),
        ("activations", "activations"),
    ):
        sizes = [getattr(need, part) / 1e9 for need in needs.values()]
        axes.barh(names, sizes, left=left, label=label)
        left = [a + b for a, b in zip(left, sizes, strict=True)]
    for card in cards:
        full = (card - ASIDE) / 1e9
        axes.axvline(full, color="0.5", linestyle=":", zorder=0)
        axes.annotate(f"{card / 1e9:g} GB card", (full, 1), xycoords=("data", "axes fraction"),
                      ha="right", va="bottom", fontsize=8, color="0.3")  # fmt: skip
    axes.invert_yaxis()
    axes.set(xlabel="GB", xlim=(0, None))
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()
