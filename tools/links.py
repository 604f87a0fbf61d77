"""Writes the links and badges that need the public address, between a file's `links` markers.

A line of code `repository = "…"` in a notebook is given the address too.

    python tools/links.py README.md notebooks/*.ipynb

The address is `[tool.vmc] repository` in pyproject.toml. While it is empty there are no links.
"""

import re
import sys
import tomllib
from pathlib import Path

import nbformat

from notebooks import sync, write_text

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"<!-- links -->.*?<!-- /links -->", re.DOTALL)
LINE = re.compile(r'^repository = ".*?"', re.MULTILINE)
QUICKSTART = "notebooks/00_quickstart.ipynb"


def repository() -> str:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return settings["tool"]["vmc"]["repository"].rstrip("/")


def badges(address: str, notebook: str) -> str:
    """Badges that open `notebook` from `address`; Colab and Binder read GitHub."""
    if not address.startswith("https://github.com/"):
        return f"[Repository]({address})" if address else ""
    name = address.removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{name}/blob/main/{notebook}"
    binder = f"https://mybinder.org/v2/gh/{name}/main?labpath={notebook}"
    return (
        f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab})\n"
        f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder})"
    )


def fill(text: str, address: str, notebook: str) -> str:
    """`text` with the block between its markers and the line of code, if it has them, anew."""
    lines = ["<!-- links -->", badges(address, notebook), "<!-- /links -->"]
    text = LINE.sub(lambda _: f'repository = "{address}"', text)
    return BLOCK.sub(lambda _: "\n".join(filter(None, lines)), text)


def main(paths: list[Path]) -> None:
    address = repository()
    for path in paths:
        if path.suffix == ".ipynb":
            notebook = nbformat.read(path, as_version=4)
            for cell in notebook.cells:
                cell.source = fill(cell.source, address, f"notebooks/{path.name}")
            write_text(path, nbformat.writes(notebook))
            sync(path)
        else:
            write_text(path, fill(path.read_text(encoding="utf-8"), address, QUICKSTART))


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
