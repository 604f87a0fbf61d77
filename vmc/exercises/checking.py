"""How an answer to an exercise is judged: by what it computes, never by how it is written.

The learner's function runs on the inputs of every case. Its results are compared with those of a
reference, which is the library itself, and then with those of well-known wrong ideas, so that the
learner is told which of them it was.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

_NOT_DONE = (None, NotImplemented, ...)
_NUMBERS = (bool, int, float, np.ndarray, np.generic, Tensor)


@dataclass(frozen=True)
class Misconception:
    """A wrong idea: what it computes, and what to tell whoever has it."""

    wrong: Callable
    hint: str
    """One sentence that names the mistake and points to the way out."""


def _call(function: Callable, *case) -> Any:
    return function(*case)


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Arguments:
        name: what `check` knows it by.
        notebook: the one that sets it, such as "03_motion_vectors".
        reference: the right answer, computed by the library.
        cases: makes the inputs, a tuple for each call; called anew for every function that is
            tried, so that none sees what another did to them. Small, seeded, and such that wrong
            ideas come out different: distinct sizes for all axes, more than one in the batch.
        misconceptions: the likely ones first.
        ask: what is compared, given a function and a case; its result, if not said otherwise.
            A function that returns nothing counts as not written yet, and goes no further.
        tolerance: by how much numbers may differ, relative to the largest of the reference.
    """

    name: str
    notebook: str
    reference: Callable
    cases: Callable[[], Iterable[tuple]]
    misconceptions: tuple[Misconception, ...]
    ask: Callable = _call
    tolerance: float = 1e-4

    def judge(self, function: Callable) -> str:
        """One line on `function`: right, not done yet, or what is wrong. Never raises."""
        try:
            results = self._results(_written(function))
        except NotImplementedError:
            return f"… {self.name}: not done yet (the function returns nothing)."
        except Exception as error:
            said = " ".join(str(error).split())
            said = said if len(said) <= 160 else f"{said[:160]} …"
            return f"✗ {self.name}: your function stopped with {type(error).__name__}: {said}"
        expected = self._results(self.reference)
        wrong = [x for x in zip(results, expected, strict=True) if not self._same(*x)]
        if not wrong:
            return f"✓ {self.name}: right."
        for misconception in self.misconceptions:
            if all(map(self._same, results, self._results(misconception.wrong))):
                return f"✗ {self.name}: {misconception.hint}"
        return f"✗ {self.name}: {_difference(*wrong[0])}"

    def _results(self, function: Callable) -> list:
        # Whoever draws noise in place of taking the given one draws the same in every trial.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return [self.ask(function, *case) for case in self.cases()]

    def _same(self, result: Any, right: Any) -> bool:
        return _same(result, right, self.tolerance)


def _written(function: Callable) -> Callable:
    """`function`, with NotImplementedError where it returns no more than a stub does."""

    def answer(*case):
        result = function(*case)
        if any(result is nothing for nothing in _NOT_DONE):
            raise NotImplementedError
        return result

    return answer


def _same(result: Any, right: Any, tolerance: float) -> bool:
    if isinstance(right, _NUMBERS):
        if not isinstance(result, _NUMBERS):
            return False
        result, right = _number(result), _number(right)
        if result.shape != right.shape:
            return False
        largest = right.abs().max().item() if right.numel() else 0.0
        return torch.allclose(result, right, rtol=0, atol=tolerance * max(largest, 0.01))
    if isinstance(right, Mapping):
        return (
            isinstance(result, Mapping)
            and result.keys() == right.keys()
            and all(_same(result[key], right[key], tolerance) for key in right)
        )
    if isinstance(right, list | tuple):
        return (
            isinstance(result, list | tuple)
            and len(result) == len(right)
            and all(_same(x, y, tolerance) for x, y in zip(result, right, strict=True))
        )
    return bool(result == right)


def _number(value: Any) -> Tensor:
    return torch.as_tensor(value).detach().to("cpu", torch.float64)


def _difference(result: Any, right: Any) -> str:
    """What tells a result from the right one, where no misconception explains it."""
    if isinstance(right, _NUMBERS) and isinstance(result, _NUMBERS):
        result, right = _number(result), _number(right)
        if result.shape != right.shape:
            return f"the result has shape {tuple(result.shape)}, not {tuple(right.shape)}."
        if not torch.isfinite(result).all():
            return "the result holds NaN or infinite values."
        off, size = (result - right).abs().max().item(), right.abs().max().item()
        return (
            f"the shape is right and the numbers are not: off by up to {off:.3g}, where the right "
            f"ones reach {size:.3g}; try the hint."
        )
    if type(result) is not type(right):
        return f"the result is of type {type(result).__name__}, expected {type(right).__name__}."
    return "the result is not the right one; try the hint."


def noise(seed: int, *shape: int) -> Tensor:
    """Standard normal numbers, always the same for a seed: inputs for cases."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
