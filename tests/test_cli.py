"""The commands: what they leave behind, how they go on, and one sentence for each bad input."""

import csv
import errno
import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import weakref
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch.nn import functional as F

from vmc import doctor
from vmc.adapter import MotionAdapter
from vmc.backbones import miniature
from vmc.backbones.tiny import Denoiser, TinyBackbone
from vmc.cascade import Cascade
from vmc.cli import main
from vmc.customizing import CHECKPOINT
from vmc.diffusion import invert
from vmc.finetuning import Finetuning
from vmc.pretraining import RECIPES, Pretraining, batches, export, samples
from vmc.stages import SuperResolution
from vmc.video import save_video

PROMPT = "a blue star is moving on the snow"
load = Cascade.from_pretrained


@contextmanager
def small_stages():
    """The same stages with two narrow resolutions, trained on small pictures."""
    with pytest.MonkeyPatch.context() as patch:
        for stage, recipe in RECIPES.items():
            recipe = replace(recipe, widths=(32, 32), batch=1)
            patch.setitem(RECIPES, stage, recipe)
        batch = batches.super_resolution_batch((64, 96), (32, 48), 2)
        for stage in ("super_resolution_1", "super_resolution_2"):
            patch.setitem(batches.BATCHES, stage, batch)
        yield


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A cascade in the shipped layout that knows the words, but cannot draw."""
    folder = tmp_path_factory.mktemp("pretraining")
    with small_stages():
        for stage in RECIPES:
            list(Pretraining(stage, folder, steps=1))
        export(folder, folder / "tiny")
    doctor.record(str(folder / "tiny"))
    return folder / "tiny"


@pytest.fixture(scope="module", autouse=True)
def few_steps():
    """Cascades take as few steps as can be, and are loaded once."""
    loaded = {}

    def from_pretrained(name="tiny", device=None, dtype=None, **settings):
        if (name, device) not in loaded:
            cascade = loaded[name, device] = load(name, device, dtype, **settings)
            cascade.base.sampling_steps = cascade.base.inversion_steps = 2
            for stage in (cascade.interpolation, *cascade.super_resolution):
                stage.steps = 1
        return loaded[name, device]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cascade, "from_pretrained", from_pretrained)
        yield


@pytest.fixture
def shortcuts(monkeypatch):
    """Keyframes as ever, but videos, curves and read-outs that cost next to nothing."""
    generate = Cascade.generate
    seen = SimpleNamespace(centres=torch.zeros(8, 2), subject="ball", colour="red", place="")
    monkeypatch.setattr("vmc.customizing.read_out", lambda clip: seen)
    monkeypatch.setattr("vmc.customizing.loss_curve", lambda history: b"a curve")

    def keyframes_only(self, *arguments, **options):
        made = generate(self, *arguments, **options | {"until": "keyframes"})
        return replace(made, video=F.interpolate(made.keyframes[None], (29, 40, 64))[0])

    monkeypatch.setattr(Cascade, "generate", keyframes_only)


@pytest.fixture
def run(capsys):
    """Run a command line: (exit status, stdout, stderr)."""

    def run(*words):
        with pytest.raises(SystemExit) as exit:
            main([str(word) for word in words])
        return exit.value.code or 0, *capsys.readouterr()

    return run


def customize(weights, out, *more, clip="zigzag", prompt=PROMPT, steps=3):
    words = ["customize", clip, "--prompt", prompt, "--out", out, "--backbone", weights]
    return [*words, "--steps", steps, *more]


def content(out):
    """What the files hold, but for the report; safetensors stores its header in any order."""
    return {f.name: same(f) for f in out.iterdir() if f.name != "report.json"}


def same(file):
    if file.suffix != ".safetensors":
        return file.read_bytes()
    with safe_open(file, "pt") as opened:
        names = opened.keys()
        return opened.metadata(), {k: opened.get_tensor(k).numpy().tobytes() for k in names}


def report_of(out):
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


# --- vmc customize --------------------------------------------------------------------------------


def test_customize_leaves_every_file(weights, run, tmp_path):
    out = tmp_path / "run"
    status, said, _ = run(*customize(weights, out, "--seed", 3, "--reverse"))
    assert status == 0
    assert {f.name for f in out.iterdir()} == {
        "adapter.safetensors",
        "contact_sheet.png",
        "keyframes_0.gif",
        "loss.csv",
        "loss.png",
        "report.json",
        "video_0.mp4",
    }
    assert re.search(f"{out}/video_0.mp4 +{PROMPT} +trajectory error 0.\\d+\n", said)

    with av.open(str(out / "video_0.mp4")) as film:
        stream = film.streams.video[0]
        assert (stream.frames, stream.width, stream.height) == (29, 576, 320)
        assert float(stream.average_rate) == 7.5
    with Image.open(out / "keyframes_0.gif") as picture:
        assert picture.n_frames == 8 and picture.size == (384, 240)

    adapter = MotionAdapter.load(out / "adapter.safetensors", load(weights))
    assert (adapter.metadata["prompt"], adapter.metadata["steps"]) == ("a ball is moving", 3)
    with (out / "loss.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert all(float(row["loss"]) > 0 for row in rows)
    with Image.open(out / "loss.png") as picture:
        assert picture.size == (960, 480)

    report = report_of(out)
    settings = report["settings"]
    assert report["finished"] and settings["seed"] == 3 and settings["steps"] == 3
    assert settings["fingerprint"] == adapter.metadata["fingerprint"]
    assert set(report["seconds"]) == {"loading", "tuning", "inversion", "video 0"}
    assert set(report["versions"]) == {"vmc", "torch", "diffusers"}
    assert 100 < report["peak_memory_mb"]["resident"] < 8000
    assert 0 < report["videos"][0]["trajectory_error"] < 1


@pytest.mark.parametrize("backward, first", [(False, "left"), (True, "right")])
def test_reverse_plays_the_clip_backward(weights, run, tmp_path, shortcuts, backward, first):
    """The zigzag goes from left to right; the first row of the contact sheet is the clip."""
    status, *_ = run(*customize(weights, tmp_path, *["--reverse"] * backward, steps=1))
    with Image.open(tmp_path / "contact_sheet.png") as sheet:
        shown = np.asarray(sheet.convert("RGB")).astype(int)[24:120, 4:158]
    columns = ((shown[..., 0] > 150) & (shown[..., 1] < 60)).nonzero()[1]
    assert status == 0 and len(columns) > 50
    assert ("left" if columns.mean() < 77 else "right") == first


def test_the_tuning_prompt_loses_places_and_looks(weights, run, tmp_path, shortcuts, frames):
    typed = "a red car is moving on the sand"
    words = customize(weights, tmp_path / "run", "--tuning-prompt", typed, clip=frames, steps=1)
    status, said, told = run(*words)
    assert status == 0
    assert f"Tuning with “a car is moving”, without the place and looks in “{typed}”." in told
    assert report_of(tmp_path / "run")["settings"]["tuning_prompt"] == "a car is moving"
    assert "trajectory_error" not in report_of(tmp_path / "run")["videos"][0]
    assert "trajectory" not in said


@pytest.fixture
def frames(tmp_path):
    """A folder of eight pictures."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(8):
        Image.new("RGB", (64, 40), (30 * number, 100, 100)).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("family", [miniature.modelscope, miniature.animatediff])
def test_a_model_of_one_stage_makes_its_video_itself(run, tmp_path, monkeypatch, family):
    def small(name, device=None, dtype=None):
        cascade = load(name, device, dtype, frames=4, size=(32, 48))
        cascade.base.sampling_steps = cascade.base.inversion_steps = 2
        return cascade

    monkeypatch.setattr(Cascade, "from_pretrained", small)
    out = tmp_path / "run"
    status, said, _ = run(*customize(family(tmp_path / "weights"), out, steps=1))
    assert status == 0 and re.search(
        f"{out}/video_0.mp4 +{PROMPT} +trajectory error 0.\\d+\n", said
    )
    with av.open(str(out / "video_0.mp4")) as film:
        stream = film.streams.video[0]
        assert (stream.frames, stream.width, stream.height) == (4, 384, 256)
        shown = next(film.decode()).to_ndarray(format="rgb24")
    with Image.open(out / "keyframes_0.gif") as picture:
        assert picture.n_frames == 4 and picture.size == (384, 256)
        assert picture.info["duration"] == pytest.approx(1000 / 7.5, abs=10)
        first = np.asarray(picture.convert("RGB"))
    assert np.abs(shown.astype(float) - first).mean() < 12  # a palette, and a lossy codec
    with Image.open(out / "contact_sheet.png") as sheet:  # two rows of four, of one shape
        assert sheet.size == (4 * (144 + 4) + 4, 2 * (20 + 96 + 4) + 4)
    assert report_of(out)["finished"] and not (out / CHECKPOINT).exists()


def test_what_tuning_alone_needs_is_let_go(weights, run, tmp_path, shortcuts, monkeypatch):
    held, left, step = [], [], Finetuning._step

    def remember(tuning):
        held.append(weakref.ref(tuning._optimizer))
        held.extend(weakref.ref(weight) for weight in tuning._weights.values())
        return step(tuning)

    def look_and_invert(*arguments, **options):
        left.extend(reference() for reference in held if reference() is not None)
        return invert(*arguments, **options)

    monkeypatch.setattr(Finetuning, "_step", remember)
    monkeypatch.setattr("vmc.customizing.invert", look_and_invert)
    assert run(*customize(weights, tmp_path, steps=1))[0] == 0
    assert len(held) > 1 and not left


def test_bits_of_the_text_encoder(run, weights, tmp_path, monkeypatch):
    asked = {}

    def from_pretrained(*_, **settings):
        asked.update(settings)
        raise KeyboardInterrupt

    words = customize("show-1", tmp_path, "--text-bits", 8)
    with monkeypatch.context() as patch:
        patch.setattr(Cascade, "from_pretrained", from_pretrained)
        run(*words)
    assert asked == {"text_bits": 8}
    show1 = miniature.show1(tmp_path / "show-1")
    few = customize(show1, tmp_path / "run", "--text-bits", 5)
    refused(run, few, "in 16, 8 or 4 bits, not in 5")
    words = customize(miniature.modelscope(tmp_path / "modelscope"), tmp_path / "run")
    refused(run, [*words, "--text-bits", 8], "has no setting 'text_bits'", "size, checkpointing")


# --- stopping and going on ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(weights, tmp_path_factory, request):
    """The files of a run of two videos that nothing disturbed, but for its report."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        shortcuts.__wrapped__(patch)
        with pytest.raises(SystemExit, match="0"):
            main([str(w) for w in customize(weights, out, *SECOND)])
    return content(out)


SECOND = ("--prompt", "a red car is moving")


def stop(*_, **__):
    raise KeyboardInterrupt


def stop_at(patch, place):
    if place == "loading":
        patch.setattr(Cascade, "from_pretrained", stop)
    elif place == "a step":
        step = Finetuning._step
        patch.setattr(Finetuning, "_step", lambda t: stop() if t.number == 2 else step(t))
    elif place == "the contact sheet":
        patch.setattr("vmc.customizing.contact_sheet", stop)
    else:
        patch.setattr(
            "vmc.customizing.save_video",
            lambda video, path, fps: (
                stop() if path.name == f"{place}.mp4" else save_video(video, path, fps)
            ),
        )


@pytest.mark.parametrize("place", ["loading", "a step", "video_0", "video_1", "the contact sheet"])
def test_ctrl_c_anywhere_and_then_the_printed_command_give_the_same_files(
    weights, run, tmp_path, shortcuts, whole, place
):
    out = tmp_path / "a folder"
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, place)
        status, _, told = run(*customize(weights, out, *SECOND))
    assert status == 130 and "Traceback" not in told
    assert (out / CHECKPOINT).exists() == (place != "loading")
    first = out / "video_0.mp4"
    finished = first.stat().st_mtime_ns if first.exists() else None

    command = shlex.split(told.strip().splitlines()[-1])
    assert command[0] == "vmc" and command[-1] == "--resume"
    assert run(*command[1:])[0] == 0
    assert content(out) == whole
    if finished:
        assert first.stat().st_mtime_ns == finished  # it was not made twice
    assert run(*command[1:])[0] == 0  # and of a finished run, nothing is
    assert content(out) == whole


def test_a_real_ctrl_c(weights, tmp_path):
    words = customize(weights, tmp_path / "run", steps=100_000)
    program = [sys.executable, "-c", "from vmc.cli import main; main()"]
    process = subprocess.Popen(
        program + [str(word) for word in words], stderr=subprocess.PIPE, text=True
    )
    try:
        told = ""
        while "Tuning" not in told:
            told += process.stderr.readline()
            assert process.poll() is None, told
        while not (tmp_path / "run" / "report.json").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()  # a run that went on would slow all tests after it
    assert process.returncode == 130
    assert "Traceback" not in told and told.rstrip().endswith("--resume")
    assert not [f for f in (tmp_path / "run").iterdir() if f.name[0] == "."]


@pytest.mark.parametrize("name", ["report.json", "adapter.safetensors", "video_0.mp4"])
def test_a_disk_that_fills_up(weights, run, tmp_path, shortcuts, whole, name):
    """One sentence, nothing half-written, and with more room the run goes on."""
    write = Path.write_bytes

    def write_until_full(path, data):
        if path.suffix == Path(name).suffix and path.stem.startswith(f".{Path(name).stem}"):
            write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    def save_until_full(tensors, path, header):
        if name in path.name:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return save_file(tensors, path, header)

    from vmc.storage import save_file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_until_full)
        patch.setattr("vmc.storage.save_file", save_until_full)
        status, _, told = run(*customize(weights, tmp_path / "run", *SECOND))
    assert status == 2 and "Traceback" not in told
    last = told.strip().splitlines()[-1]
    assert str(tmp_path / "run" / name) in last and last.endswith(".")
    left = list((tmp_path / "run").iterdir())
    assert name not in {f.name for f in left} and not [f for f in left if f.name[0] == "."]
    assert run(*customize(weights, tmp_path / "run", *SECOND, "--resume"))[0] == 0
    assert content(tmp_path / "run") == whole


def test_files_that_the_system_refuses_to_grow(weights, run, tmp_path):
    """The same without a stand-in: no file may be larger than 50 kB, so no checkpoint fits."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        status, _, told = run(*customize(weights, tmp_path / "run"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 2 and "Traceback" not in told
    assert f"{tmp_path}/run/{CHECKPOINT} cannot be written" in told
    assert {f.name for f in (tmp_path / "run").iterdir()} == {"report.json"}


# --- bad input ------------------------------------------------------------------------------------


def refused(run, words, *parts):
    """Exit status 2 and one sentence that holds all `parts`."""
    status, said, told = run(*words)
    assert status == 2 and said == ""
    assert told.count("\n") == 1 and told.endswith(".\n") and "Traceback" not in told, told
    for part in parts:
        assert part in told
    return told


def pictures(folder, sizes):
    folder.mkdir()
    for number, size in enumerate(sizes):
        Image.new("RGB", size).save(folder / f"{number}.png")


def damaged_film(path):
    save_video(torch.zeros(3, 16, 40, 64), path)
    path.write_bytes(path.read_bytes()[:300])


CLIPS = {
    "nothing": (lambda path: None, "There is no file or folder"),
    "text.mp4": (lambda path: path.write_text("no film\n" * 99), "is not a video"),
    "empty.mp4": (lambda path: path.touch(), "is empty (0 bytes)"),
    "cut.mp4": (damaged_film, "cut off or damaged"),
    "few.gif": (lambda path: save_video(torch.zeros(3, 5, 40, 64), path), "has 5 readable frames"),
    "none": (Path.mkdir, "holds no pictures"),
    "mixed": (lambda path: pictures(path, [(64, 40)] * 7 + [(40, 64)]), "need one size"),
    "point": (lambda path: pictures(path, [(1, 1)] * 8), "is 1 pixels high and 1 wide"),
    "wide": (lambda path: pictures(path, [(10_000, 9)] * 8), "9 pixels high and 10000 wide"),
}


@pytest.mark.parametrize("name", CLIPS)
def test_bad_clip(weights, run, tmp_path, name):
    make, part = CLIPS[name]
    make(tmp_path / name)
    words = customize(weights, tmp_path / "run", clip=tmp_path / name)
    refused(run, [*words, "--tuning-prompt", "a ball is moving"], part, name)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "options, parts",
    [
        (["--prompt", " "], ["A prompt is empty"]),
        (["--tuning-prompt", ""], ["The prompt is empty"]),
        (["--prompt", "a blu star is moving"], ["'blu'", "nearest are blue"]),
        (["--tuning-prompt", "a bear is walking"], ["'bear', 'walking'"]),
        (["--steps", 0], ["got 0"]),
        (["--steps", -3], ["got -3"]),
        (["--device", "cuda"], ['"cuda"', 'use "cpu"']),
        (["--device", "toaster"], ["'toaster' is not a device"]),
        (["--backbone", "huge"], ["no cascade at huge", '"tiny"']),
    ],
)
def test_bad_option(weights, run, tmp_path, monkeypatch, options, parts):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused(run, customize(weights, tmp_path / "run", *options), *parts)
    assert not (tmp_path / "run").exists()


def test_a_file_needs_a_tuning_prompt(weights, run, tmp_path, frames):
    words = customize(weights, tmp_path / "run", clip=frames)
    refused(run, words, f"Say what moves in {frames}", "--tuning-prompt")


@pytest.mark.parametrize("options", [["--seed", "-1"], ["--steps", "many"], ["--colour", "red"]])
def test_options_that_cannot_be_read(weights, run, tmp_path, options):
    status, _, told = run(*customize(weights, tmp_path, *options))
    assert status == 2 and options[0] in told and "Traceback" not in told


def test_a_folder_that_cannot_be_written(weights, run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    told = refused_after_start(run, customize(weights, tmp_path / "file" / "run"))
    assert "report.json cannot be written" in told


def refused_after_start(run, words):
    """As `refused`, where the tuning prompt was announced before the first write failed."""
    status, _, told = run(*words)
    lines = told.strip().splitlines()
    assert status == 2 and lines[0].startswith("Tuning with") and "Traceback" not in told
    return lines[-1]


def test_a_folder_that_holds_a_run_is_left_alone(weights, run, tmp_path, shortcuts):
    assert run(*customize(weights, tmp_path, steps=1))[0] == 0
    before = content(tmp_path)
    refused(run, customize(weights, tmp_path, steps=1), "already holds a run", "--resume")
    words = customize(weights, tmp_path, "--resume", steps=2)
    refused(run, words, "another run: its steps is 1, and here it is 2")
    words = customize(weights, tmp_path, "--resume", prompt="a red star is moving", steps=1)
    refused(run, words, "another run: its prompts")
    assert content(tmp_path) == before
    (tmp_path / "report.json").write_text("{")
    refused(run, customize(weights, tmp_path, "--resume", steps=1), "report.json is damaged")


@pytest.mark.parametrize("kind", ["corrupt", "foreign"])
def test_a_checkpoint_that_is_none(weights, run, tmp_path, shortcuts, kind):
    other = tmp_path / "other"
    run(*customize(weights, other, steps=1))
    (tmp_path / "run").mkdir()
    adapter = (other / "adapter.safetensors").read_bytes()
    (tmp_path / "run" / CHECKPOINT).write_bytes(adapter[: None if kind == "foreign" else 999])
    words = customize(weights, tmp_path / "run", "--resume")
    refused(run, words, "a tuning checkpoint", str(tmp_path / "run" / CHECKPOINT))


def test_altered_weights(weights, run, tmp_path):
    copy = tmp_path / "tiny"
    for file in [f for f in weights.rglob("*") if f.is_file()]:
        (copy / file.relative_to(weights)).parent.mkdir(parents=True, exist_ok=True)
        (copy / file.relative_to(weights)).write_bytes(file.read_bytes())
    altered = copy / "keyframes" / "diffusion_pytorch_model.safetensors"
    data = bytearray(altered.read_bytes())
    data[-1] ^= 1
    altered.write_bytes(data)
    refused(run, customize(copy, tmp_path / "run"), str(altered), "SHA-256 differs")
    altered.unlink()
    refused(run, customize(copy, tmp_path / "run"), "lack keyframes/diffusion")


# --- vmc doctor -----------------------------------------------------------------------------------


def test_doctor_finds_a_sound_installation(weights, run):
    status, said, told = run("doctor", "--backbone", weights)
    assert (status, told) == (0, "")
    for part in ("python ", "device   cpu: ", "cores ", "memory ", "writes mp4, webm, gif"):
        assert part in said
    assert "versions all as tested\n" in said
    assert said.count(": right (off by") == 3
    assert float(re.search(r"passed in (\d+) s", said)[1]) < 20


@pytest.mark.parametrize("factor, status", [(1 + 1e-5, 0), (1.01, 1)])
def test_doctor_tells_rounding_from_another_computation(weights, run, monkeypatch, factor, status):
    forward = Denoiser.forward
    monkeypatch.setattr(Denoiser, "forward", lambda *a, **k: factor * forward(*a, **k))
    found, said, told = run("doctor", "--backbone", weights)
    assert found == status
    assert ("noise prediction: WRONG" in said) == (status == 1)
    assert "text embedding: right" in said
    if status:
        assert "The self-test failed" in told and "Suspect: diffusers or torch as built" in told


def test_doctor_suspects_the_library_whose_version_differs(weights, run, monkeypatch):
    installed = doctor.version
    monkeypatch.setattr(
        doctor, "version", lambda name: "9.9" if name == "diffusers" else installed(name)
    )
    status, said, _ = run("doctor", "--backbone", weights)
    assert status == 0  # the numbers are right, and that is what counts
    assert "diffusers 9.9, tested with" in said and "not all as tested" in said
    forward = Denoiser.forward
    monkeypatch.setattr(Denoiser, "forward", lambda *a, **k: 1.01 * forward(*a, **k))
    status, _, told = run("doctor", "--backbone", weights)
    assert status == 1 and "Suspect: diffusers 9.9 (the numbers are of" in told


@pytest.mark.parametrize(
    "change, part",
    [
        (lambda record: None, "is missing or damaged"),
        (lambda record: record | {"fingerprint": "0"}, "recorded with other weights"),
        (lambda record: record | {"numbers": {}}, "is missing or damaged"),
    ],
)
def test_doctor_without_numbers_to_compare_with(weights, run, tmp_path, monkeypatch, change, part):
    record = json.loads((weights / doctor.RECORD).read_text())
    (tmp_path / "record.json").write_text(json.dumps(change(record)))
    monkeypatch.setattr(doctor, "_record_path", lambda backbone: tmp_path / "record.json")
    status, _, told = run("doctor", "--backbone", weights)
    assert status == 2 and part in told and "Traceback" not in told


def test_doctor_records(weights, run, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_record_path", lambda backbone: tmp_path / "record.json")
    assert run("doctor", "--backbone", weights, "--record")[0] == 0
    assert json.loads((tmp_path / "record.json").read_text()) == json.loads(
        (weights / doctor.RECORD).read_text()
    )


# --- vmc pretrain ---------------------------------------------------------------------------------


def trained(folder):
    return {f.name: same(f) for f in folder.glob("*.safetensors")}


def test_pretrain_looks_without_disturbing_and_goes_on_after_ctrl_c(
    weights, run, tmp_path, monkeypatch
):
    monkeypatch.setattr(TinyBackbone, "sampling_steps", 1)
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "run"
    undisturbed.mkdir()
    words = ["pretrain", "--out", out, "--stage", "image", "--steps", 2, "--sheet-every", 1]
    with small_stages():
        list(Pretraining("image", undisturbed, steps=2))
        loss = Pretraining._loss

        def loss_and_ctrl_c(training, step, path):
            signal.raise_signal(signal.SIGINT)
            return loss(training, step, path)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Pretraining, "_loss", loss_and_ctrl_c)
            status, _, told = run(*words)
        assert status == 130
        assert (out / "image_000001.png").exists() and not (out / "image_000002.png").exists()
        command = shlex.split(told.strip().splitlines()[-1])
        status, said, _ = run(*command[1:])
    assert (status, said) == (0, f"{out}/tiny\n")
    assert trained(out) == trained(undisturbed)
    assert (out / "tiny" / "model_index.json").exists()
    with (out / "image_samples.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2"]
    assert all(0 <= float(row[name]) <= 1 for row in rows for name in ("subject", "place"))


@pytest.mark.parametrize("stage", list(RECIPES))
def test_every_stage_can_be_looked_at(weights, stage, monkeypatch):
    monkeypatch.setattr(TinyBackbone, "sampling_steps", 1)
    monkeypatch.setattr(samples, "SuperResolution", partial(SuperResolution, steps=1))
    with small_stages():
        made = samples.sample(Pretraining(stage, weights.parent, steps=1))
    assert made.sheet.width > 300 and made.sheet.height > 500
    assert all(np.isfinite(list(made.numbers.values())))


def test_what_is_looked_at_computes_with_averaged_weights_alone(weights):
    with small_stages():
        training = Pretraining("keyframes", weights.parent, steps=1)
    with torch.no_grad():
        for parameter in training.model.parameters():
            if parameter.requires_grad:
                parameter.fill_(torch.nan)
        model = training.averaged()
        text = model["text_encoder"]([PROMPT])
        assert model["denoiser"](torch.ones(1, 3, 8, 40, 64), 500, text).isfinite().all()


# --- vmc evaluate ---------------------------------------------------------------------------------


def test_evaluate_pretraining_prints_the_table(weights, run, tmp_path):
    words = ["evaluate", "--pretraining", "--captions", 2, "--backbone", weights]
    status, said, _ = run(*words, "--out", tmp_path)
    assert status == 0
    for part in ("subject", "colour", "place"):
        assert re.search(rf"\| *{part} *\|.*%", said)


def test_evaluate_compares_four_ways_and_goes_on(weights, run, tmp_path):
    words = ["evaluate", "--backbone", weights, "--out", tmp_path, "--steps", 1, "--prompts", 1]
    words += ["--motion", "zigzag", "--seeds", 1, "--learning-rate", 1e-3]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Finetuning, "_step", stop)
        status, _, told = run(*words)
    assert status == 130
    status, said, _ = run(*shlex.split(told.strip().splitlines()[-1])[1:])
    assert status == 0
    for part in ("untuned, noise", "tuned, inverted", "zigzag"):
        assert part in said
    assert (tmp_path / "four_way.csv").exists() and list(tmp_path.glob("zigzag*.png"))
    refused(run, [*words, "--motion", "wiggle"], "'wiggle'")


# --- the program ----------------------------------------------------------------------------------


def test_help_is_at_hand_at_once():
    """Nothing heavy is imported before a command needs it."""
    program = "import sys, vmc.cli; assert not {'torch', 'numpy', 'rich'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", program], check=True, env=dict(os.environ))


def test_a_full_gpu_gets_a_sentence(run, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("vmc.planning.plan", full)
    status, _, told = run("plan")
    assert status == 2 and told.startswith("The GPU's memory is full: `vmc plan` says")


def test_help_names_the_commands(run):
    status, said, _ = run("--help")
    assert status == 0
    for command in ("customize", "doctor", "plan", "pretrain", "evaluate"):
        assert f"\n  {command} " in said
