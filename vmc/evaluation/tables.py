"""Rows of what was asked and what was read, the file that keeps them, and Markdown tables."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from vmc.errors import BadInput
from vmc.metrics import Interval
from vmc.sprites import ReadOut, Scene
from vmc.video import write_atomically

Progress = Callable[[int, int, str], None]
"""Called as progress(done, total, what is being done)."""

ATTRIBUTES = ("subject", "colour", "place")
NUMBERS = ("trajectory_error", "motion_fidelity")


def asked_and_read(scene: Scene, seen: ReadOut) -> dict[str, str]:
    """subject, subject_read, colour, colour_read, place, place_read."""
    pairs = ((name, getattr(scene, name), getattr(seen, name)) for name in ATTRIBUTES)
    return {key: value for name, a, b in pairs for key, value in ((name, a), (f"{name}_read", b))}


def clips_of(rows: Iterable[dict]) -> list[tuple[str, int]]:
    """For each row, the clip that it belongs to: its motion and seed."""
    return [(row["motion"], row["seed"]) for row in rows]


def right(rows: Iterable[dict], name: str) -> list[bool]:
    """For each row, whether what was read is what was asked."""
    return [row[name] == row[f"{name}_read"] for row in rows]


class RowFile:
    """Rows of finished clips, in memory and, with a path, in a CSV file that a later run takes up.

    Every row carries `settings`; `BadInput` if those in the file are others, or if it is no such
    file.
    """

    def __init__(self, path: str | Path | None, settings: str):
        self._path = None if path is None else Path(path)
        self._settings = settings
        self._rows: list[dict] = []
        if self._path is None or not self._path.exists():
            return
        try:
            with self._path.open(newline="") as file:
                self._rows = list(csv.DictReader(file))
            for row in self._rows:
                row["seed"] = int(row["seed"])
                row |= {name: float(row[name]) for name in NUMBERS}
            others = {row["settings"] for row in self._rows} - {settings}
        except (KeyError, TypeError, ValueError, csv.Error, OSError) as error:
            raise BadInput(
                f"{path} is not a file of this comparison's rows; name another one."
            ) from error
        if others:
            raise BadInput(
                f"{path} holds rows of another comparison, {others.pop()}, and this is one of "
                f"{settings}; name another file, or repeat that one."
            )

    def of(self, motion: str, seed: int) -> list[dict]:
        """A clip's rows; none if it is not finished."""
        return [row for row in self._rows if (row["motion"], row["seed"]) == (motion, seed)]

    def add(self, rows: Iterable[dict]) -> None:
        """Add all rows of a clip; the file gets them together or not at all."""
        self._rows += [row | {"settings": self._settings} for row in rows]
        if self._path is not None:
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, list(self._rows[0]))
            writer.writeheader()
            writer.writerows(self._rows)
            write_atomically(self._path, text.getvalue().encode())


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown that also reads well as text."""
    table = [list(head), *map(list, lines)]
    widths = [max(len(line[i]) for line in table) for i in range(len(head))]
    padded = [[cell.ljust(w) for cell, w in zip(line, widths, strict=True)] for line in table]
    padded.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def number(interval: Interval) -> str:
    """ "0.123 [0.101, 0.145]"; without the brackets where there is no interval."""
    if interval.low != interval.low:  # NaN
        return f"{interval.mean:.3f}"
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def percent(interval: Interval) -> str:
    """ "97.3 % [94.5, 98.7]"."""
    mean, low, high = (100 * share for share in (interval.mean, interval.low, interval.high))
    return f"{mean:.1f} % [{low:.1f}, {high:.1f}]"
