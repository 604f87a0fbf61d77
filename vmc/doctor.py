"""Is this installation sound? Versions, the machine, and numbers that must come out the same.

The self-test computes a few numbers with the weights at a fixed seed: a text embedding, one
prediction of the noise, and three steps of tuning. `self_test.json` beside the weights holds what
came out where they were made. Another processor or another number of threads sums in another order
and moves the last digits; a library that computes something else moves the first.
"""

import json
import platform
import re
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

import vmc
from vmc.backbones.tiny import WEIGHTS
from vmc.cascade import Cascade, checked_device
from vmc.errors import BadInput
from vmc.finetuning import Finetuning
from vmc.machine import cores, device_name, total_memory
from vmc.sprites import Scene
from vmc.video import write_atomically

LOCK = Path(__file__).parent / "requirements.lock"
RECORD = "self_test.json"
TOLERANCE = 1e-3
"""The relative error allowed. Another number of threads moved the numbers by about 1e-6."""
SUSPECTS = {
    "text embedding": ("transformers", "tokenizers", "torch"),
    "noise prediction": ("diffusers", "torch"),
    "tuning": ("torch", "diffusers"),
}


@dataclass(frozen=True)
class Library:
    name: str
    installed: str
    tested: str

    @property
    def differs(self) -> bool:
        """Builds of one version ("2.13.0+cpu") are the same."""
        return self.installed.partition("+")[0] != self.tested


def libraries() -> list[Library]:
    """Every library of `requirements.lock` that is installed, with both versions."""
    found = []
    for name, tested in re.findall(r"^([\w.-]+)==([^\s;]+)", LOCK.read_text("utf-8"), re.MULTILINE):
        try:
            found.append(Library(name, version(name), tested))
        except PackageNotFoundError:
            continue  # of another system, or for the notebooks
    return found


def codecs() -> str:
    """What videos can be written and read with."""
    import av

    names = {"libx264": "mp4", "libvpx-vp9": "webm", "gif": "gif"}
    ready = [kind for codec, kind in names.items() if codec in av.codecs_available]
    major, minor, _ = av.library_versions["libavcodec"]
    return f"PyAV {av.__version__} with libavcodec {major}.{minor}, writes {', '.join(ready)}"


def describe(device: str | None = None) -> dict[str, str]:
    """The machine and the main libraries, by name."""
    torch_device = checked_device(device)
    memory = f"{total_memory() / 1e9:.1f} GB"
    if torch_device.type == "cuda":
        gpu = torch.cuda.get_device_properties(torch_device)
        memory += f", GPU {gpu.total_memory / 1e9:.1f} GB"
    return {
        "vmc": vmc.__version__,
        "python": f"{platform.python_version()} on {platform.platform(aliased=True, terse=True)}",
        "device": device_name(torch_device),
        "cores": f"{cores()}, of which torch uses {torch.get_num_threads()}",
        "memory": memory,
        "video": codecs(),
    }


def self_test(cascade: Cascade) -> dict[str, list[float]]:
    """The numbers themselves, by the names in `SUSPECTS`. Draws nothing from global generators."""
    base = cascade.base
    clip = Scene().render(base.frames, base.size)
    with torch.no_grad():
        text = base.encode_text([Scene().caption()])
        noise = torch.randn(1, *clip.shape, generator=torch.Generator().manual_seed(0))
        predicted = base.predict_noise(noise.to(base.device), 500, text)
    tuning = Finetuning(cascade, clip, "a ball is moving", steps=3)
    return {
        "text embedding": _picked(text),
        "noise prediction": _picked(predicted),
        "tuning": [value for step in tuning for value in (step.loss, step.gradient_norm)],
    }


def _picked(tensor: torch.Tensor, count: int = 16) -> list[float]:
    values = tensor.float().flatten().cpu()
    picked = values[torch.linspace(0, len(values) - 1, count).long()]
    return [float(f"{value:.7g}") for value in picked.tolist()]


@dataclass(frozen=True)
class Diagnosis:
    """How far each part of the self-test is from its record, and what that may come from."""

    errors: dict[str, float]
    """Relative to the size of the recorded numbers."""
    failed: list[str]
    suspects: list[str]
    seconds: float


def examine(backbone: str = "tiny", device: str | None = None) -> Diagnosis:
    """Run the self-test and compare it with the record beside the weights.

    Raises `BadInput` where weights or record are missing, damaged, or do not belong together.
    """
    started = time.perf_counter()
    base = (cascade := Cascade.from_pretrained(backbone, device)).base
    recorded = _read_record(_record_path(backbone), base.fingerprint)
    measured = self_test(cascade)
    errors = {name: _error(measured[name], recorded["numbers"][name]) for name in SUSPECTS}
    failed = [name for name, error in errors.items() if not error <= TOLERANCE]  # also NaN
    suspects = _suspects(failed[0], recorded, base.device) if failed else []
    return Diagnosis(errors, failed, suspects, time.perf_counter() - started)


def record(backbone: str = "tiny", device: str | None = None) -> Path:
    """Write what the self-test gives here and now as what it must give; returns the file."""
    cascade = Cascade.from_pretrained(backbone, device)
    names = sorted({name for group in SUSPECTS.values() for name in group})
    content = {
        "fingerprint": cascade.base.fingerprint,
        "device": device_name(cascade.base.device),
        "libraries": {name: version(name) for name in names},
        "numbers": self_test(cascade),
    }
    path = _record_path(backbone)
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
    return path


def _record_path(backbone: str) -> Path:
    return (WEIGHTS if backbone == "tiny" else Path(backbone)) / RECORD


def _read_record(path: Path, fingerprint: str) -> dict:
    remedy = "install vmc again, or use `vmc doctor --record` if you made these weights yourself."
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        for part, libraries_of_it in SUSPECTS.items():
            _ = record["numbers"][part], [record["libraries"][name] for name in libraries_of_it]
        recorded_for, _ = record["fingerprint"], record["device"]
    except (OSError, ValueError, KeyError, TypeError):
        raise BadInput(
            f"{path}, the numbers to compare with, is missing or damaged: {remedy}"
        ) from None
    if recorded_for != fingerprint:
        raise BadInput(
            f"{path} was recorded with other weights ({recorded_for}) than these ({fingerprint}): "
            f"{remedy}"
        )
    return record


def _error(measured: list[float], expected: list[float]) -> float:
    measured, expected = np.array(measured), np.array(expected)
    return float(np.linalg.norm(measured - expected) / np.linalg.norm(expected))


def _suspects(part: str, recorded: dict, device: torch.device) -> list[str]:
    """What is most likely to blame where `part` is the first to differ; the files' hashes agree."""
    made_with = recorded["libraries"]
    found = [
        f"{name} {version(name)} (the numbers are of {made_with[name]})"
        for name in SUSPECTS[part]
        if version(name).partition("+")[0] != made_with[name].partition("+")[0]
    ]
    found += [
        f"{library.name} {library.installed} (tested with {library.tested})"
        for library in libraries()
        if library.differs and library.name not in SUSPECTS[part]
    ]
    if device.type != "cpu":
        found.append(f"the device {device} (try --device cpu)")
    return found or [
        f"{' or '.join(SUSPECTS[part])} as built for {device_name(device)} (the numbers are of "
        f"{recorded['device']}), or an altered vmc"
    ]
