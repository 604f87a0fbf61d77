"""What holds for the project as a whole: its size, its start-up time, its one list of versions."""

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import vmc

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "vmc").rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = [
    Requirement(line)
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]

sys.path.insert(0, str(ROOT / "tools"))
import links  # noqa: E402


def test_import_takes_no_more_than_three_seconds():
    command = [sys.executable, "-c", "import vmc, time; print(time.process_time())"]
    seconds = [float(subprocess.check_output(command, cwd=ROOT)) for _ in range(3)]
    assert statistics.median(seconds) <= 3


@pytest.mark.parametrize("name", vmc.__all__)
def test_public_name_resolves(name):
    assert getattr(vmc, name) is not None


def test_modules_need_no_import_of_their_own():
    command = "import vmc; vmc.motion.frame_residual; vmc.errors.BadInput; print(*dir(vmc))"
    names = subprocess.check_output([sys.executable, "-c", command], cwd=ROOT, text=True).split()
    assert {"motion", "sprites", "backbones", "Cascade", "__version__"} <= set(names)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        vmc.no_such_name  # noqa: B018


def test_package_is_no_larger_than_50_megabytes():
    files = [p for p in (ROOT / "vmc").rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert sum(p.stat().st_size for p in files) <= 50e6


def test_nothing_is_unpickled():
    for path in [*MODULES, *(ROOT / "tools").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                assert not {"pickle", "dill", "joblib", "shelve"} & set(names), path
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) != "torch.load", path
                assert "allow_pickle=True" not in ast.unparse(node), path
    weights = [p for p in (ROOT / "vmc" / "weights").rglob("*") if p.is_file()]
    assert {p.suffix for p in weights} <= {".safetensors", ".json", ".md", ".txt"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_is_one_concept(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
    assert path.stem not in {"utils", "helpers", "misc", "common"}


def test_lock_pins_every_version_exactly():
    for pin in LOCK:
        assert re.fullmatch(r"==[^*,]+", str(pin.specifier)), pin
    names = [canonicalize_name(pin.name) for pin in LOCK]
    assert len(names) == len(set(names))
    assert "torch==2.13.0" in map(str, LOCK)


def test_lock_holds_every_dependency_and_is_what_is_installed():
    project = PROJECT["project"]
    needed = {*project["dependencies"]}.union(*project["optional-dependencies"].values())
    assert {canonicalize_name(n) for n in needed} <= {canonicalize_name(p.name) for p in LOCK}
    wrong = [
        f"{pin} but {version(pin.name)} is installed"
        for pin in LOCK
        if (pin.marker is None or pin.marker.evaluate())
        and not pin.specifier.contains(version(pin.name), prereleases=True)
    ]
    assert not wrong


@pytest.mark.parametrize("path", ["Makefile", "environment.yml", "binder/requirements.txt"])
def test_versions_come_from_the_lock_alone(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert "requirements.lock" in text
    assert not re.search(r"[=~<>]=\s*\d", text)


def test_the_package_carries_the_lock():
    assert (ROOT / "vmc" / "requirements.lock").read_bytes() == (
        ROOT / "requirements.lock"
    ).read_bytes()


def test_links_come_from_the_one_setting():
    address = PROJECT["tool"]["vmc"]["repository"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert links.BLOCK.search(readme)
    assert links.fill(readme, address, links.QUICKSTART) == readme
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            assert links.fill(cell.source, address, f"notebooks/{path.name}") == cell.source


def test_links_for_an_address():
    filled = links.fill("<!-- links --><!-- /links -->", "https://github.com/a/b", links.QUICKSTART)
    assert "mybinder.org/v2/gh/a/b/main?labpath=notebooks/00_quickstart.ipynb" in filled
    assert links.fill(filled, "", links.QUICKSTART) == "<!-- links -->\n<!-- /links -->"


def test_the_address_is_filled_into_code():
    cell = 'import sys\n\nrepository = ""  # of this page\nassert repository'
    filled = links.fill(cell, "https://github.com/a/b", links.QUICKSTART)
    assert filled == cell.replace('""', '"https://github.com/a/b"')
    assert links.fill(filled, "", links.QUICKSTART) == cell
