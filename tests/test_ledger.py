"""Every row of the ledger leads to a function, a heading of a notebook, and tests that exist."""

import ast
import inspect
import re
import tomllib
from importlib import import_module
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
ROWS = tomllib.loads((ROOT / "ledger.toml").read_text(encoding="utf-8"))["row"]
LINKS = {"of", "says", "function", "notebook", "heading", "tests"}
each = pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.get('of')}: {row.get('says')}")


def function(path):
    """What a dotted path names: a function, a class or a method."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            found = getattr(found, name)
        return found
    raise ModuleNotFoundError(path)


def section(notebook, heading):
    """The text from a heading to the next one that is no deeper; '' if it is not there."""
    cells = nbformat.read(ROOT / "notebooks" / f"{notebook}.ipynb", as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    if not found:
        return ""
    rest = text[found.end() :]
    ends = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return found[0] + rest[: ends.start() if ends else None]


def equations(text):
    """The numbers of the equations that a docstring names: "Eqs. 9-17", "Eqs. 6 and 12"."""
    numbers = set()
    for listed in re.findall(r"Eqs?\. ([\d\-–, and]*\d)", text or ""):
        for first, last in re.findall(r"(\d+)(?:[-–](\d+))?", listed):
            numbers |= set(range(int(first), int(last or first) + 1))
    return numbers


def names_in(path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_equation_the_algorithm_and_the_figures_are_there_once():
    of = [row["of"] for row in ROWS if row["of"] != "claim"]
    assert len(of) == len(set(of))
    needed = {f"Eq. {n}" for n in range(1, 18)} | {"Algorithm 1"}
    assert needed | {f"Fig. {n}" for n in (2, 3, 4, 9)} <= set(of)


@each
def test_the_row_is_whole(row):
    assert row.keys() == LINKS and all(row.values())
    assert re.fullmatch(r"Eq\. \d+|Algorithm \d+|Fig\. \d+|Table \d+|claim", row["of"])


@each
def test_the_function_is_there_and_names_its_equation(row):
    found = function(row["function"])
    assert callable(found) and found.__module__.startswith("vmc.")
    if row["of"].startswith("Eq. "):
        named = equations(inspect.getdoc(found)) | equations(inspect.getmodule(found).__doc__)
        assert int(row["of"].removeprefix("Eq. ")) in named


@each
def test_the_heading_is_there_and_what_is_under_it_is_about_that(row):
    text = section(row["notebook"], row["heading"])
    assert text, f"{row['notebook']} has no heading {row['heading']!r}"
    if row["of"].startswith("Eq. "):
        number = row["of"].removeprefix("Eq. ")
        assert re.search(rf"\\tag\{{{number}[a-z]?\}}", text), "the equation itself is not there"
    elif row["of"] != "claim":
        assert row["of"] in text


@each
def test_the_tests_are_there(row):
    for link in row["tests"]:
        path, name = link.split("::")
        assert name in names_in(path), link
        assert name.startswith("test_")


def test_links_that_lead_nowhere_are_found():
    with pytest.raises(AttributeError):
        function("vmc.motion.no_such_function")
    with pytest.raises(ModuleNotFoundError):
        function("no_such_package.f")
    assert not section("01_diffusion", "No such heading")
    assert "Eq. 3" in section("01_diffusion", "3. The noise is the score (Eq. 3)")
    assert "\\tag{6}" not in section("01_diffusion", "3. The noise is the score (Eq. 3)")
    assert equations("of Eqs. 6 and 12, Eq. 3, Eqs. 9-11, step 5") == {3, 6, 9, 10, 11, 12}
