"""The dashboard: its buttons, its thread, and the adapter that it leaves in every case."""

import os
import signal
import threading
import time

import nbformat
import pytest
import torch
from fake_backbone import RandomBackbone
from nbclient import NotebookClient

import vmc
from vmc.widgets import TuningDashboard, dashboard, tuning_dashboard
from vmc.widgets.output import WIDGET_VIEW

CLIP = torch.rand(3, 4, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
PROMPT = "a ball is moving"
LONG = 10_000


def tuned(backbone, **settings):
    run = vmc.finetune(backbone, CLIP, PROMPT, **settings)
    list(run)
    return run.adapter


def same(one, other):
    weights = [adapter.motions[0].weights for adapter in (one, other)]
    return all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def until(ask):
    ended = time.monotonic() + 60
    while not ask():
        assert time.monotonic() < ended
        time.sleep(0.01)


def resting(board):
    """Steps and picture once the step that was under way is done and drawn."""
    while True:
        before = board.run.number, bytes(board.image.value)
        time.sleep(1.5)
        if before == (board.run.number, bytes(board.image.value)):
            return before


def press(board, name):
    assert not board.buttons[name].disabled
    board.buttons[name].click()


@pytest.fixture
def long():
    """A dashboard over a run that nobody waits for to its end."""
    board = TuningDashboard(RandomBackbone(), CLIP, PROMPT, steps=LONG)
    yield board
    board.stop()
    board.finished()


def test_waiting_does_the_work_where_nobody_presses_start(tmp_path, capsys):
    backbone, path = RandomBackbone(), tmp_path / "motion.safetensors"
    board = tuning_dashboard(backbone, CLIP, PROMPT, save=path)
    assert board.state == "ready" and board.run.number == 0
    adapter = board.wait()
    assert same(adapter, tuned(RandomBackbone()))  # on its thread, to the same bits
    assert same(vmc.MotionAdapter.load(path, backbone), adapter)
    assert board.state == "ended" and all(b.disabled for b in board.buttons.values())
    assert board.status.value.startswith("ended: step 6 of 6") and str(path) in board.status.value
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Tuning dashboard, ready: step 0 of 6"
    assert lines[1].startswith("Tuning: step 6 of 6, mean loss ")
    assert same(board.wait(), adapter)  # nothing more to do


def test_pause_holds_start_goes_on_and_stop_leaves_an_adapter(long, tmp_path):
    long.save = tmp_path / "motion.safetensors"
    assert long.buttons["pause"].disabled and not long.buttons["stop"].disabled
    press(long, "start")
    until(lambda: long.run.number >= 3)
    press(long, "pause")
    assert long.state == "paused"
    until(lambda: "paused: step" in long.status.value)
    held, _ = shown = resting(long)
    time.sleep(0.5)
    assert (long.run.number, bytes(long.image.value)) == shown
    assert f"step {held} of {LONG}" in long.status.value
    press(long, "start")
    until(lambda: long.run.number > held)
    press(long, "stop")
    adapter = long.finished()
    steps = adapter.metadata["steps"]
    assert held < steps == long.run.number < LONG
    assert same(vmc.MotionAdapter.load(long.save), adapter)
    assert same(adapter, tuned(RandomBackbone(), steps=steps))


def test_the_picture_changes_as_it_goes(long):
    pictures = {bytes(long.image.value)}
    long.start()
    until(lambda: pictures.add(bytes(long.image.value)) or len(pictures) >= 3)


def test_an_adapter_can_be_taken_while_it_runs(long):
    long.start()
    until(lambda: long.run.number >= 2)
    first = long.adapter
    until(lambda: long.run.number > first.metadata["steps"])
    assert same(first, tuned(RandomBackbone(), steps=first.metadata["steps"]))


def test_two_at_once_disturb_neither_each_other_nor_the_backbone():
    backbone = RandomBackbone()
    text = backbone.encode_text([PROMPT])
    with torch.no_grad():
        before = backbone.predict_noise(CLIP[None], 500, text)
    boards = [TuningDashboard(backbone, CLIP, PROMPT, steps=5, seed=seed) for seed in (1, 2)]
    for board in boards:
        board.start()
    while any(board.state == "running" for board in boards):
        with torch.no_grad():
            assert torch.equal(backbone.predict_noise(CLIP[None], 500, text), before)
    for board, seed in zip(boards, (1, 2), strict=True):
        assert same(board.finished(), tuned(RandomBackbone(), steps=5, seed=seed))


def test_what_stops_the_run_is_said_and_raised_and_its_steps_are_saved(monkeypatch, tmp_path):
    path = tmp_path / "motion.safetensors"
    board = TuningDashboard(RandomBackbone(), CLIP, PROMPT, save=path)
    unet, passes = board.run.backbone.unet, []
    predict = unet.forward

    def forward(*arguments, **others):
        passes.append(True)
        return predict(*arguments, **others) * (1 if len(passes) <= 2 else torch.nan)

    monkeypatch.setattr(unet, "forward", forward)
    for _ in range(2):  # whoever waits again is told again
        with pytest.raises(vmc.BadInput, match="Step 3 has loss nan"):
            board.wait()
    assert board.status.value.startswith("Step 3 has loss nan") and board.state == "ended"
    assert same(vmc.MotionAdapter.load(path), tuned(RandomBackbone(), steps=2))


def test_a_file_that_cannot_be_written_is_said_and_the_motion_kept(tmp_path):
    (tmp_path / "taken").write_text("a file, where a folder is needed")
    board = TuningDashboard(RandomBackbone(), CLIP, PROMPT, save=tmp_path / "taken" / "motion")
    with pytest.raises(vmc.BadInput, match="taken"):
        board.wait()
    assert board.adapter.metadata["steps"] == 6 and board.state == "ended"


def test_bad_settings_are_refused_at_once():
    with pytest.raises(vmc.BadInput, match="steps to be 1 or more"):
        tuning_dashboard(RandomBackbone(), CLIP, PROMPT, steps=0)


def test_an_interrupted_wait_pauses_and_can_be_repeated(long):
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        long.wait()
    assert long.state == "paused"
    held = long.run.number
    threading.Timer(0.5, long.stop).start()
    assert long.finished().metadata["steps"] >= held


def test_stopping_before_the_start_leaves_the_untuned_model(tmp_path):
    path = tmp_path / "motion.safetensors"
    board = TuningDashboard(RandomBackbone(), CLIP, PROMPT, save=path)
    press(board, "stop")
    assert board.finished().metadata["steps"] == 0 and not path.exists()
    assert board.status.value.startswith("ended: step 0 of 6")


def test_with_start_it_begins_without_a_button(monkeypatch):
    monkeypatch.setattr(dashboard, "publish_interactive", lambda *_: None)
    board = tuning_dashboard(RandomBackbone(), CLIP, PROMPT, start=True)
    assert board.state in ("running", "ended")
    board.finished()


def test_without_a_front_end_a_notebook_keeps_static_figures_of_the_work_done():
    setup = """
import sys; sys.path.insert(0, "tests")
import torch
from fake_backbone import RandomBackbone
from vmc.widgets import tuning_dashboard
clip = torch.zeros(3, 4, 8, 8)
"""
    cells = [
        setup,
        "dashboard = tuning_dashboard(RandomBackbone(), clip, 'a ball is moving')",
        "adapter = dashboard.wait(); adapter.metadata['steps']",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    [before], [after, steps] = (cell.outputs for cell in notebook.cells[1:])
    assert WIDGET_VIEW in before.data and "image/png" in before.data
    assert before.metadata["image/png"]["alt"] == "Tuning dashboard, ready: step 0 of 6"
    assert after.metadata["image/png"]["alt"].startswith("Tuning: step 6 of 6")
    assert steps.data["text/plain"] == "6"
