"""Writes each notebook's exercises, solved, from the solutions that the notebook itself holds.

    python tools/solutions.py NOTEBOOK...

In a notebook an exercise is a heading, a cell with a stub and its check, and a cell with collapsed
blocks, of which one is the solution (see `vmc.exercises`). In notebooks/solutions/ the solution
stands in the stub's place, and the check has answered it.
"""

import ast
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from notebooks import KERNEL, execute, write_text

HEADING = re.compile(r"^### Exercise (\d+)\.(\d+): \S.*", re.MULTILINE)
EFFORT = re.compile(r"\*Difficulty (●○○|●●○|●●●), \d+ minutes?\.\*")
HINT = re.compile(r"<details><summary>Hint</summary>\n(.+?)</details>", re.DOTALL)
SOLUTION = re.compile(r"<details><summary>Solution</summary>\n(.+?)</details>", re.DOTALL)
CODE = re.compile(r"```python\n(.+?)\n```\n?", re.DOTALL)
CHECK = re.compile(r"^check\(\"(\w+)\", (\w+)\)$", re.MULTILINE)


@dataclass(frozen=True)
class Solved:
    """One exercise as a notebook sets and solves it; all source text."""

    name: str
    text: str
    stub: str
    solution: str
    why: str

    @property
    def code(self) -> str:
        """The cell, with the solution in place of the functions that it defines."""
        lines = self.stub.splitlines()
        new = {node.name for node in _functions(self.solution)}
        old = [node for node in _functions(self.stub) if node.name in new]
        first = old[0].lineno
        for node in reversed(old):
            del lines[node.lineno - 1 : node.end_lineno]
        lines[first - 1 : first - 1] = self.solution.splitlines()
        return "\n".join(lines)


def _functions(code: str) -> list[ast.FunctionDef]:
    return [node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)]


def exercises(notebook: nbformat.NotebookNode) -> list[Solved]:
    """The exercises of a notebook in their order; ValueError where one is not in the format."""
    found, cells = [], notebook.cells
    for index, cell in enumerate(cells):
        checked = CHECK.search(cell.source) if cell.cell_type == "code" else None
        if not checked:
            continue
        text, after = cells[index - 1].source, cells[index + 1].source
        solution = SOLUTION.search(after)
        code = CODE.search(solution[1]) if solution else None
        named = code and checked[2] in [node.name for node in _functions(code[1])]
        if not (HEADING.match(text) and EFFORT.search(text) and HINT.search(after) and named):
            raise ValueError(
                f"The exercise {checked[1]!r} needs a heading '### Exercise N.M: …' with "
                f"'*Difficulty ●○○, 5 minutes.*' before it, and a hint and a solution that defines "
                f"{checked[2]!r} after it."
            )
        why = CODE.sub("", solution[1]).strip()
        found.append(Solved(checked[1], text, cell.source, code[1], why))
    return found


def imports(notebook: nbformat.NotebookNode, code: str) -> str:
    """What the notebook imports, of which `code` uses a name that it does not import itself."""
    used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    used -= {alias.asname or alias.name for alias in _aliases(ast.parse(code))}
    whole, parts = set(), defaultdict(set)
    for cell in notebook.cells:
        for node in ast.parse(cell.source).body if cell.cell_type == "code" else ():
            for alias in getattr(node, "names", ()):
                if (alias.asname or alias.name).split(".")[0] in used:
                    names = parts[node.module] if isinstance(node, ast.ImportFrom) else whole
                    names.add(ast.unparse(alias))
    lines = {f"import {name}": name for name in sorted(whole)}
    lines |= {f"from {m} import {', '.join(sorted(parts[m]))}": m for m in sorted(parts)}
    groups = [[line for line in lines if _origin(lines[line]) == origin] for origin in range(3)]
    return "\n\n".join("\n".join(group) for group in groups if group)


def _origin(module: str) -> int:
    """0 for the standard library, 1 for installed packages, 2 for this one."""
    first = module.split()[0].split(".")[0]
    return 0 if first in sys.stdlib_module_names else 2 if first == "vmc" else 1


def _aliases(tree: ast.Module) -> list[ast.alias]:
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    return [alias for node in nodes for alias in node.names]


def sheet(path: Path) -> nbformat.NotebookNode:
    """The exercises of the notebook at `path`, solved, not yet executed."""
    notebook = nbformat.read(path, as_version=4)
    solved = exercises(notebook)
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    opening = (
        f"# Solutions: {title}\n\nThe exercises of [{path.stem}](../{path.name}), solved. Try them "
        "there first.\n\n<!-- Written by `make solutions` from the notebook: change it there. -->"
    )
    needed = imports(notebook, "\n".join(exercise.code for exercise in solved))
    cells = [new_markdown_cell(opening), *([new_code_cell(needed)] if needed else [])]
    for exercise in solved:
        cells += [new_markdown_cell(exercise.text), new_code_cell(exercise.code)]
        cells += [new_markdown_cell(exercise.why)] if exercise.why else []
    for number, cell in enumerate(cells):
        cell.id = f"{path.stem[:2]}-{number:02}"
    # No text twin: this is written from a notebook that has one.
    return new_notebook(
        cells=cells, metadata={"kernelspec": KERNEL, "jupytext": {"formats": "ipynb"}}
    )


def main(paths: list[Path]) -> None:
    for path in paths:
        if not exercises(nbformat.read(path, as_version=4)):
            continue
        target = path.parent / "solutions" / path.name
        target.parent.mkdir(exist_ok=True)
        print(target)
        write_text(target, nbformat.writes(sheet(path)))
        write_text(target, nbformat.writes(execute(target)))


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
