"""Executes the notebooks and keeps what is stored of them fit to read and to compare.

python tools/notebooks.py run NOTEBOOK OUTPUTS     execute, leave an HTML page beside the results
python tools/notebooks.py refresh NOTEBOOK...      execute in place, write what it took into the
                                                   opening table, keep the text twins in step
python tools/notebooks.py strip NOTEBOOK...        take the widget state out
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PICTURES = {"image/png", "text/html"}
RESULTS = {".mp4", ".gif", ".png", ".html"}
# The table that every notebook opens with: its first row is for the machine that executed it.
TABLE = re.compile(r"^\| machine \|.*\n\|[-|]+\|\n\|.*\|$", re.MULTILINE)
ASK = "import vmc.machine as m; print(m.cores(), m.peak_memory()['resident'])"


def write_text(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def strip(notebook: nbformat.NotebookNode) -> None:
    """Takes out widget state and views, which no page without a kernel can show.

    A picture that was published with a view, for such pages, stays.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for output in cell.outputs:
                if output.get("data", {}).pop(WIDGET_VIEW, None) and not PICTURES & {*output.data}:
                    output.data.clear()
            cell.outputs = [o for o in cell.outputs if o.get("data", True)]


def execute(path: Path, afterwards: str | None = None) -> nbformat.NotebookNode:
    """The notebook at `path`, executed in its own folder, with a line of progress a section.

    Code to run `afterwards` becomes its last cell.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.kernelspec = KERNEL
    if afterwards is not None:
        notebook.cells.append(new_code_cell(afterwards))
    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    started = time.perf_counter()

    def report(cell, cell_index):
        if cell.cell_type == "markdown":
            heading = next((x for x in cell.source.splitlines() if x.startswith("#")), None)
            if heading:
                done = sum(i < cell_index for i in code)
                seconds = time.perf_counter() - started
                print(f"[{done:2}/{len(code)} {seconds:4.0f} s] {heading.lstrip('# ')}", flush=True)

    NotebookClient(
        notebook,
        timeout=None,
        kernel_name=KERNEL["name"],
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=False,
        record_timing=False,
        on_cell_start=report,
    ).execute()
    strip(notebook)
    print(f"[{len(code)}/{len(code)} {time.perf_counter() - started:4.0f} s] done", flush=True)
    return notebook


def measured(path: Path) -> tuple[nbformat.NotebookNode, dict[str, str]]:
    """`path`, executed, and what that took, as the columns of its opening table.

    The minutes are those of a fresh kernel from its start to its last cell, and the memory is the
    most that this kernel held.
    """
    started = time.perf_counter()
    notebook = execute(path, ASK)
    minutes = (time.perf_counter() - started) / 60
    cores, resident = map(int, notebook.cells.pop().outputs[0].text.split())
    took = {
        "machine": f"{cores} CPU core{'s' * (cores > 1)}",
        "minutes": f"{minutes:.1f}",
        "peak memory": f"{resident / 1e9:.2f} GB",
    }
    print(", ".join(f"{column}: {value}" for column, value in took.items()), flush=True)
    return notebook, took


def write_measured(notebook: nbformat.NotebookNode, took: dict[str, str]) -> None:
    """Puts what was measured into the opening table, and leaves its other columns alone."""

    def row(table: re.Match) -> str:
        header, cells = (line.strip("| ").split("|") for line in table[0].splitlines()[::2])
        names = [name.split(",")[0].strip() for name in header]  # "minutes, all cells"
        values = [took.get(n, c.strip()) for n, c in zip(names, cells, strict=True)]
        return "\n".join([*table[0].splitlines()[:2], f"| {' | '.join(values)} |"])

    opening = notebook.cells[0]
    opening.source = TABLE.sub(row, opening.source, count=1)


def run(path: Path, outputs: Path) -> None:
    from nbconvert import HTMLExporter

    outputs.mkdir(parents=True, exist_ok=True)
    started = time.time()
    notebook = execute(path)
    page, _ = HTMLExporter().from_notebook_node(notebook)
    write_text(outputs / f"{path.stem}.html", page)
    left = [p for p in sorted(outputs.iterdir()) if p.stat().st_mtime >= started - 1]
    left = [p for p in left if p.suffix in RESULTS]
    if not {".mp4", ".gif"} & {p.suffix for p in left} or not any(
        "contact" in p.name for p in left
    ):
        sys.exit(f"{path} ended without leaving its videos and a contact sheet in {outputs}/.")
    print(f"\nLook at these in {outputs}/:")
    for result in left:
        print(f"  {result.name}")


def sync(path: Path) -> None:
    """Brings a notebook and its text twin in step; the one edited last is followed."""
    from jupytext.cli import jupytext

    jupytext(["--quiet", "--sync", str(path)])


def refresh(path: Path) -> None:
    print(path)
    sync(path)
    notebook, took = measured(path)
    write_measured(notebook, took)
    write_text(path, nbformat.writes(notebook))
    sync(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run")
    one.add_argument("notebook", type=Path)
    one.add_argument("outputs", type=Path)
    for name in ("refresh", "strip"):
        commands.add_parser(name).add_argument("notebooks", type=Path, nargs="*")
    arguments = parser.parse_args()
    try:
        if arguments.command == "run":
            run(arguments.notebook, arguments.outputs)
        elif arguments.command == "refresh":
            for path in arguments.notebooks:
                refresh(path)
        else:
            for path in arguments.notebooks:
                notebook = nbformat.read(path, as_version=4)
                strip(notebook)
                write_text(path, nbformat.writes(notebook))
    except CellExecutionError as error:
        sys.exit(f"A cell failed:\n{error}")


if __name__ == "__main__":
    main()
