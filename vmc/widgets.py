"""What the notebooks show: clips, tables, a tuning run as it goes, progress with the time left.

Everything is a PNG, plain text or a bare HTML table, so that it looks the same in JupyterLab, on
GitHub and on an exported page. What changes while a cell runs is one output that is replaced;
where nobody watches (nbconvert, nbval, a terminal) only its last state is left.
"""

import io
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape

import numpy as np
from IPython import get_ipython
from IPython.display import display
from jaxtyping import Float
from torch import Tensor

from vmc.errors import BadInput
from vmc.finetuning import Finetuning, Step
from vmc.pictures import Paths, animated_png, enlarged, side_by_side
from vmc.video import contact_sheet, to_uint8

_STILL = 80  # height of a frame on a contact sheet: two pixels for one of a keyframe


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
    rows = [enlarged(clip, _STILL, path) for clip, path in pairs]
    alt = alt or "; ".join(labels) or f"{len(clips)} clip{'s' * (len(clips) > 1)}"
    _publish(*_picture(animated_png(playing, fps), f"Animation: {alt}"))
    sheet = io.BytesIO()
    contact_sheet(rows, labels, height=_STILL).save(sheet, "png")
    _publish(*_picture(sheet.getvalue(), f"Frames from first to last: {alt}"))


def table(header: Sequence[str], rows: Sequence[Sequence]) -> None:
    """Show rows of text and numbers, these with three decimals."""
    text = [[f"{x:.3f}" if isinstance(x, float) else str(x) for x in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *text, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (header, *text)]
    head = "".join(f"<th>{escape(x)}</th>" for x in header)
    body = ["".join(f"<td>{escape(x)}</td>" for x in row) for row in text]
    html = "".join(f"<tr>{row}</tr>" for row in (head, *body))
    _publish({"text/html": f"<table>{html}</table>", "text/plain": "\n".join(lines)})


def watch(run: Finetuning, clip: Float[Tensor, "3 frame height width"]) -> None:
    """Run a tuning to its end while showing its loss, the time left and how it sees the clip.

    That view is the `x0` of the steps that have one (`preview_every` of `vmc.finetune`). When the
    run ends or is stopped, its last figure stays; what was learned is in `run.adapter`.
    """
    live, preview = _Live(), None
    try:
        for step in run:
            preview = preview if step.x0 is None else step
            live.offer(_tuning, run, clip, preview)
    finally:
        if run.history:
            live.settle(*_tuning(run, clip, preview))


@contextmanager
def progress() -> Iterator[Callable[..., None]]:
    """An `on_step` for `Cascade.generate` and `vmc.invert` that shows a bar and the time left.

        with progress() as on_step:
            cascade.generate("a ball is moving", on_step=on_step)

    In the end one line says how long each stage took.
    """
    live, seconds = _Live(), {}
    before, began, now = ("", 0), 0.0, time.perf_counter()

    def on_step(*state):
        nonlocal before, began, now
        stage, number, total = state[:3] if isinstance(state[0], str) else ("inversion", *state[:2])
        if stage != before[0] or number <= before[1]:
            began = now  # a stage, or the next window of one, begins where the last one ended
        before, last, now = (stage, number), now, time.perf_counter()
        seconds[stage] = seconds.get(stage, 0) + now - last
        live.offer(_bar, stage, number, total, now - began)

    try:
        yield on_step
    finally:
        stages = " · ".join(f"{stage} {spent:.1f} s" for stage, spent in seconds.items())
        live.settle({"text/plain": stages})


class _Live:
    """One output of a cell, replaced as things go on.

    At most twice a second, and for at most a tenth of the time: to show a thing must not slow it
    down.
    """

    def __init__(self):
        self._handle = None
        self._due = 0.0

    def offer(self, make: Callable[..., tuple[dict, dict]], *arguments) -> None:
        """Show `make(*arguments)` if it is time for that and there is where to."""
        began = time.perf_counter()
        if began >= self._due and _in_notebook():
            data, metadata = make(*arguments)
            if self._handle is None:
                self._handle = display(data, metadata=metadata, raw=True, display_id=True)
            else:
                self._handle.update(data, metadata=metadata, raw=True)
            ended = time.perf_counter()
            self._due = ended + max(0.5, 9 * (ended - began))

    def settle(self, data: dict, metadata: dict | None = None) -> None:
        """Show this, and leave it."""
        if self._handle is None:
            _publish(data, metadata)
        else:
            self._handle.update(data, metadata=metadata or {}, raw=True)


def _in_notebook() -> bool:
    return hasattr(get_ipython(), "kernel")


def _publish(data: dict, metadata: dict | None = None) -> None:
    if _in_notebook():
        display(data, metadata=metadata or {}, raw=True)
    else:
        print(data["text/plain"])


def _picture(png: bytes, alt: str) -> tuple[dict, dict]:
    return {"image/png": b64encode(png).decode(), "text/plain": alt}, {"image/png": {"alt": alt}}


def _bar(stage: str, number: int, total: int, elapsed: float) -> tuple[dict, dict]:
    from tqdm import tqdm

    return {"text/plain": tqdm.format_meter(number, total, elapsed, prefix=stage)}, {}


def _tuning(run: Finetuning, clip: Tensor, preview: Step | None) -> tuple[dict, dict]:
    """The loss of every step and its mean; below, the clip and how a step saw it."""
    from matplotlib.figure import Figure

    loss = np.array([step.loss for step in run.history])
    width = max(1, min(25, len(loss) // 4))
    mean = np.convolve(loss, np.full(width, 1 / width), "valid")
    each = np.mean([step.seconds for step in run.history[-50:]])
    left = f"{each * (run.total - run.number):.0f} s left"
    if run.number == run.total:
        left = f"{sum(step.seconds for step in run.history):.0f} s in all"
    title = f"step {run.number} of {run.total}, mean loss {mean[-1]:.3f}, {left}"

    figure = Figure(figsize=(8, 4 if preview else 2.4), dpi=100, layout="constrained")
    curve, *strips = figure.subplots(
        3 if preview else 1, height_ratios=(4, 1, 1) if preview else None, squeeze=False
    )[:, 0]
    curve.plot(range(1, len(loss) + 1), loss, ".", color="0.7", markersize=3)
    curve.plot(range(width, len(loss) + 1), mean, label=f"mean of {width} steps")
    curve.set(title=title, xlabel="step", ylabel="loss", xlim=(0, run.total + 1))
    curve.legend(loc="upper right")
    if preview:
        seen = rf"$\hat{{x}}_0$ at t = {preview.timestep[0]}"
        for strip, name, frames in zip(strips, ("the clip", seen), (clip, preview.x0), strict=True):
            gaps = ((0, 0), (0, 0), (0, 2), (0, 0))
            strip.imshow(np.concatenate(np.pad(to_uint8(frames), gaps, constant_values=255), 1))
            strip.set_ylabel(name, rotation=0, ha="right", va="center")
            strip.set(xticks=[], yticks=[], frame_on=False)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return _picture(png.getvalue(), f"Tuning: {title}")
