"""The notebooks as they are stored: short cells, real outputs, twins and solutions in step."""

import contextlib
import io
import re
import statistics
import sys
from base64 import b64decode
from pathlib import Path

import jupytext
import nbformat
import pytest

from vmc.exercises import EXERCISES

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import notebooks  # noqa: E402
import solutions  # noqa: E402

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
EVERY = [*NOTEBOOKS, *sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))]
WITH_EXERCISES = [path for path in NOTEBOOKS if path.stem[:2] != "00"]
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_with_exercises = pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda path: path.stem)


def code_cells(path):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


@each
def test_it_opens_with_what_it_is_for_and_what_it_takes(path):
    opening = nbformat.read(path, as_version=4).cells[0].source
    assert opening.startswith("# ")
    for part in ("do", "learn", "need"):
        assert f"**What you'll {part}.**" in opening
    header, row = (
        [cell.split(",")[0].strip() for cell in line.strip("| ").split("|")]
        for line in notebooks.TABLE.findall(opening)[0].splitlines()[::2]
    )
    row = dict(zip(header, row, strict=True))
    assert float(row["minutes"]) <= 3
    assert float(row["peak memory"].removesuffix(" GB")) <= 1.5


@each
def test_cells_are_short(path):
    lengths = [len(cell.source.splitlines()) for cell in code_cells(path)]
    assert statistics.median(lengths) <= 8
    assert max(lengths) <= 20


@each
def test_outputs_are_those_of_one_run_from_top_to_bottom(path):
    notebook = nbformat.read(path, as_version=4)
    assert "widgets" not in notebook.metadata
    code = code_cells(path)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for output in (output for cell in code for output in cell.outputs):
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.text
        assert notebooks.WIDGET_VIEW not in output.get("data", {})


@each
def test_every_picture_has_words_and_every_animation_a_still(path):
    for cell in code_cells(path):
        pictures = [o for o in cell.outputs if "image/png" in o.get("data", {})]
        animated = []
        for output in pictures:
            assert len(output.metadata.get("image/png", {}).get("alt", "").split()) >= 3, (
                cell.source
            )
            animated.append(b"acTL" in b64decode(output.data["image/png"])[:200])
        assert sum(animated) <= len(animated) - sum(animated), cell.source


@each
def test_the_text_twin_is_in_step(path):
    twin = jupytext.read(path.with_suffix(".py"))
    cells = nbformat.read(path, as_version=4).cells
    assert [(c.cell_type, c.source) for c in twin.cells] == [(c.cell_type, c.source) for c in cells]


@pytest.mark.parametrize("path", EVERY, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_links_to_files_lead_somewhere(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\((?!https?://|#)([^)\s#]+)", cell.source):
                assert (path.parent / target).exists(), target


@each
def test_no_formula_holds_a_line_that_markdown_takes_for_a_list(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            for formula in re.findall(r"\$\$.+?\$\$|\$[^$`]+\$", cell.source, re.DOTALL):
                assert not re.search(r"\n\s*[-+=*>#] ", formula), formula


def names_of(path, code):
    """What the code may use: the imports of its notebook."""
    names = {}
    exec(solutions.imports(nbformat.read(path, as_version=4), code), names)
    return names


def answered(path, code):
    """What the check at the end of an exercise's cell prints."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(code, names_of(path, code))
    return said.getvalue()


@each_with_exercises
def test_exercises_are_numbered_complete_and_not_done_yet(path):
    solved = solutions.exercises(nbformat.read(path, as_version=4))
    assert len(solved) >= 3
    numbers = [solutions.HEADING.match(exercise.text).groups() for exercise in solved]
    own = int(path.stem[:2])
    assert numbers == [(str(own), str(n)) for n in range(1, len(solved) + 1)]
    expected = [name for name, exercise in EXERCISES.items() if exercise.notebook == path.stem]
    assert [exercise.name for exercise in solved] == expected
    for exercise in solved:
        assert answered(path, exercise.stub).startswith(f"… {exercise.name}: not done yet")


@each_with_exercises
def test_every_solution_is_right(path):
    for exercise in solutions.exercises(nbformat.read(path, as_version=4)):
        assert answered(path, exercise.code) == f"✓ {exercise.name}: right.\n"


@each_with_exercises
def test_the_solutions_are_in_step_and_answered(path):
    stored = nbformat.read(path.parent / "solutions" / path.name, as_version=4)
    written = solutions.sheet(path)
    assert [c.source for c in stored.cells] == [c.source for c in written.cells]
    said = [o.text for c in stored.cells for o in c.get("outputs", [])]
    count = len(solutions.exercises(nbformat.read(path, as_version=4)))
    assert len(said) == count and all(re.fullmatch(r"✓ \w+: right\.\n", text) for text in said)


def test_every_exercise_belongs_to_a_notebook():
    assert {e.notebook for e in EXERCISES.values()} == {path.stem for path in WITH_EXERCISES}


def test_the_solution_takes_the_place_of_the_stub():
    stub = 'x = 1\n\n\ndef f(a):\n    """Doc."""\n    ...\n\n\ncheck("e", f)'
    solved = solutions.Solved("e", "", stub, "def f(a):\n    return a", "")
    assert solved.code == 'x = 1\n\n\ndef f(a):\n    return a\n\n\ncheck("e", f)'


def test_a_solution_imports_what_it_uses_and_no_more():
    source = (
        "import os\nimport numpy as np\nfrom a.b import C, d, e\nfrom vmc.x import f\nimport torch"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    code = "from here import f\n\n\ndef g():\n    return np.sum(C(d, f)) + os.sep"
    expected = "import os\n\nimport numpy as np\nfrom a.b import C, d"
    assert solutions.imports(notebook, code) == expected
    assert solutions.imports(notebook, "f(e)") == "from a.b import e\n\nfrom vmc.x import f"


def test_an_exercise_out_of_format_is_refused():
    cells = [
        nbformat.v4.new_markdown_cell("### Exercise 3.1: a\n\n*Difficulty ●○○, 3 minutes.*"),
        nbformat.v4.new_code_cell('def f(a): ...\n\n\ncheck("e", f)'),
        nbformat.v4.new_markdown_cell("<details><summary>Hint</summary>\n\nYes.\n\n</details>"),
    ]
    with pytest.raises(ValueError, match="'e' needs a heading"):
        solutions.exercises(nbformat.v4.new_notebook(cells=cells))


def test_what_was_measured_goes_into_the_table():
    table = "a\n\n| machine | minutes, all cells | of which tuning | peak memory |\n|---|---|---|---|\n| ? | 0 | 0.5 | ? |\n\nb"  # noqa: E501
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(table)])
    took = {"machine": "2 CPU cores", "minutes": "1.8", "peak memory": "1.35 GB"}
    notebooks.write_measured(notebook, took)
    lines = notebook.cells[0].source.splitlines()
    assert lines[-3] == "| 2 CPU cores | 1.8 | 0.5 | 1.35 GB |"
    assert lines[:4] == table.splitlines()[:4] and lines[-1] == "b"


def test_stripping_takes_views_and_leaves_their_pictures():
    view, plain = {"model_id": "1"}, {"text/plain": "VBox()"}
    datas = [plain, {notebooks.WIDGET_VIEW: view, **plain}]
    datas.append({notebooks.WIDGET_VIEW: view, **plain, "image/png": "="})
    outputs = [nbformat.v4.new_output("display_data", data=dict(data)) for data in datas]
    outputs.append(nbformat.v4.new_output("stream", text="said"))
    cell = nbformat.v4.new_code_cell("x", outputs=outputs)
    notebooks.strip(nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {}}))
    assert [o.get("data") for o in cell.outputs] == [plain, {**plain, "image/png": "="}, None]


def test_a_run_is_measured(tmp_path):
    path = tmp_path / "small.ipynb"
    cells = [nbformat.v4.new_code_cell("1 + 1")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    notebook, took = notebooks.measured(path)
    assert [c.outputs[0].data["text/plain"] for c in notebook.cells] == ["2"]
    assert re.fullmatch(r"\d+ CPU cores?", took["machine"])
    assert re.fullmatch(r"\d\.\d", took["minutes"])
    assert 0.01 < float(took["peak memory"].removesuffix(" GB")) < 2
