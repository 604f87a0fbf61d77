"""Executes the notebooks and keeps what is stored of them fit to read and to compare.

python tools/notebooks.py run NOTEBOOK OUTPUTS     execute, leave an HTML page beside the results
python tools/notebooks.py refresh NOTEBOOK...      execute in place, keep the text twins in step
python tools/notebooks.py strip NOTEBOOK...        take the widget state out
"""

import argparse
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
RESULTS = {".mp4", ".gif", ".png", ".html"}


def write_text(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def strip(notebook: nbformat.NotebookNode) -> None:
    """Takes out widget state and views, which no page without a kernel can show."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if WIDGET_VIEW not in o.get("data", {})]


def execute(path: Path) -> nbformat.NotebookNode:
    """The notebook at `path`, executed in its own folder, with a line of progress a section."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.kernelspec = KERNEL
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
    write_text(path, nbformat.writes(execute(path)))
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
