"""A tuning run to look at: its loss, the time left, and how it sees the clip."""

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vmc.finetuning import Finetuning, Step
from vmc.loss_curve import draw_loss, mean_width
from vmc.video import to_uint8
from vmc.widgets.output import Bundle, Live, picture


def watch(run: Finetuning, clip: Float[Tensor, "3 frame height width"]) -> None:
    """Run a tuning to its end while showing its loss, the time left and how it sees the clip.

    That view is the `x0` of the steps that have one (`preview_every` of `vmc.finetune`). When the
    run ends or is stopped, its last figure stays; what was learned is in `run.adapter`.
    """
    live, preview = Live(), None
    try:
        for step in run:
            preview = preview if step.x0 is None else step
            live.offer(tuning_bundle, run, clip, preview)
    finally:
        if run.history:
            live.settle(*tuning_bundle(run, clip, preview))


def tuning_state(run: Finetuning) -> str:
    """How far a run is, its mean loss and the time left, in one line."""
    history, state = run.history, f"step {run.number} of {run.total}"
    if not history:
        return state
    mean = np.mean([step.loss for step in history[-mean_width(history) :]])
    each = np.mean([step.seconds for step in history[-50:]])
    left = f"{each * (run.total - run.number):.0f} s left"
    if run.number == run.total:
        left = f"{sum(step.seconds for step in history):.0f} s in all"
    return f"{state}, mean loss {mean:.2g}, {left}"


def tuning_picture(run: Finetuning, clip: Tensor, preview: Step | None) -> bytes:
    """A PNG of the loss of every step and its mean; below, the clip and how a step saw it."""
    from matplotlib.figure import Figure

    rows = {"the clip": clip}
    if preview:
        rows[f"x̂₀ at t = {preview.timestep[0]}"] = preview.x0
    heights = (4, *[1] * len(rows))
    figure = Figure(figsize=(8, sum(heights) * 2 / 3), dpi=100, layout="constrained")
    curve, *strips = figure.subplots(len(heights), height_ratios=heights)
    if run.history:
        dots = draw_loss(curve, list(run.history), run.total, size=8)
        figure.colorbar(dots, ax=curve, label="timestep", pad=0.01)
    curve.set(title=tuning_state(run), xlim=(0, run.total + 1), xlabel="step")
    _draw_strips(strips, rows)
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()


def tuning_bundle(run: Finetuning, clip: Tensor, preview: Step | None) -> Bundle:
    return picture(tuning_picture(run, clip, preview), f"Tuning: {tuning_state(run)}")


def _draw_strips(axes: Sequence, rows: dict[str, Tensor]) -> None:
    """Each clip's frames beside one another, its name in front."""
    gaps = ((0, 0), (0, 0), (0, 2), (0, 0))
    for strip, (name, frames) in zip(axes, rows.items(), strict=True):
        strip.imshow(np.concatenate(np.pad(to_uint8(frames), gaps, constant_values=255), 1))
        strip.set_ylabel(name, rotation=0, ha="right", va="center")
        strip.set(xticks=[], yticks=[], frame_on=False)
