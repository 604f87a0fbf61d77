"""How a command shows that it is at work, and hears that it is to stop."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bars() -> Iterator[Callable[[str, str, int, int], None]]:
    """A function (row, label, done, total) that draws a row of progress, with the time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    progress, rows = Progress(*columns, console=Console(stderr=True)), {}

    def show(row: str, label: str, done: int, total: int) -> None:
        if not rows:
            progress.start()
        if row not in rows:
            rows[row] = progress.add_task(label, total=total, completed=done)
        elif done < progress.tasks[rows[row]].completed:  # the next stage of the same row
            progress.reset(rows[row], total=total)
        progress.update(rows[row], description=label, completed=done)

    try:
        yield show
    finally:
        if rows:
            progress.stop()


@contextmanager
def interrupt_noted() -> Iterator[threading.Event]:
    """Within the block the first Ctrl-C is only noted; a second one interrupts."""
    noted = threading.Event()

    def note(*_) -> None:
        if noted.is_set():
            raise KeyboardInterrupt
        noted.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)
