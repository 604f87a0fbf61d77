"""The exercises of the notebooks, with an instant answer to each.

    from vmc.exercises import check

    def residual(video):
        ...

    check("frame_residual", residual)

There is one module for each notebook, named by its subject, and it holds a tuple `EXERCISES` of
`vmc.exercises.checking.Exercise`. `vmc/exercises/motion.py` is the one to imitate; wrong answers as
students write them are in `tests/wrong_answers/`, under the same name.

In the notebook an exercise is three cells: Markdown that begins with `### Exercise 3.1: …` and says
how hard it is and how many minutes it takes (`*Difficulty ●●○, 5 minutes.*`); code with a stub,
whose body is `...`, and `check(…)` as its last line; Markdown with two collapsed blocks,
`<details><summary>Hint</summary>` and `<details><summary>Solution</summary>`, the second holding
the solution in a ```python block. `make solutions` writes notebooks/solutions/ from these: the
solution takes the place of the stub of the same name. It may use what the notebook imports, and
nothing else of it.
"""

import difflib
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules

from vmc.errors import BadInput
from vmc.exercises.checking import Exercise

_MODULES = sorted({module.name for module in iter_modules(__path__)} - {"checking"})

EXERCISES: dict[str, Exercise] = {
    exercise.name: exercise
    for module in _MODULES
    for exercise in import_module(f"{__name__}.{module}").EXERCISES
}
"""Every exercise by its name."""


def check(name: str, function: Callable) -> None:
    """Run `function` on small inputs and print one line: right, not done yet, or what is wrong.

    Raises `BadInput` for a name that no exercise has.
    """
    if name not in EXERCISES:
        near = difflib.get_close_matches(name, EXERCISES, n=3, cutoff=0.4) or sorted(EXERCISES)
        raise BadInput(f"There is no exercise {name!r}: did you mean {', '.join(near)}?")
    print(EXERCISES[name].judge(function))
