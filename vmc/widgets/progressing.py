"""A progress bar with the time left, for long work outside a dashboard."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vmc.widgets.output import Bundle, Live


@contextmanager
def progress() -> Iterator[Callable[..., None]]:
    """An `on_step` for `Cascade.generate` and `vmc.invert` that shows a bar and the time left.

        with progress() as on_step:
            cascade.generate("a ball is moving", on_step=on_step)

    In the end one line says how long each stage took.
    """
    live, seconds = Live(), {}
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


def _bar(stage: str, number: int, total: int, elapsed: float) -> Bundle:
    from tqdm import tqdm

    return {"text/plain": tqdm.format_meter(number, total, elapsed, prefix=stage)}, {}
