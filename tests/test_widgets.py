"""What the notebooks show, as a front end receives it."""

import io
from base64 import b64decode
from types import SimpleNamespace

import nbformat
import pytest
import torch
from fake_backbone import RandomBackbone
from nbclient import NotebookClient
from PIL import Image

import vmc
from vmc import widgets
from vmc.pictures import enlarged
from vmc.video import to_uint8
from vmc.widgets import output

WHITE, YELLOW = (255, 255, 255), (255, 221, 0)


def clip(frames=8, size=(40, 64), level=0.0):
    return torch.full((3, frames, *size), level)


@pytest.fixture
def shown(monkeypatch):
    """The outputs that a front end gets, each a list of the (data, metadata) it went through."""
    outputs = []

    def display(data, metadata, raw, display_id=False):
        assert raw
        number = len(outputs)
        outputs.append([(data, metadata)])
        return SimpleNamespace(
            update=lambda data, metadata, raw: outputs[number].append((data, metadata))
        )

    monkeypatch.setattr(output, "display", display)
    monkeypatch.setattr(output, "in_notebook", lambda: True)
    return outputs


def picture(states):
    return Image.open(io.BytesIO(b64decode(states[-1][0]["image/png"])))


def test_clips_play_side_by_side_above_a_still_sheet(shown):
    film = clip(29, (80, 128)) + torch.linspace(-1, 1, 29)[:, None, None]
    widgets.show(film, clip(8), labels=["long", "short"], height=120, fps=5)
    animation, still = map(picture, shown)
    assert animation.format == still.format == "PNG"
    assert animation.n_frames == 29 and getattr(still, "n_frames", 1) == 1
    assert animation.info["loop"] == 0 and animation.info["duration"] == 200
    assert animation.width == 2 * 192 + 6
    assert still.width >= 8 * 128 and still.height >= 2 * 80
    for states, start in zip(shown, ("Animation: ", "Frames from first to last: "), strict=True):
        [(data, metadata)] = states
        assert data["text/plain"] == metadata["image/png"]["alt"] == f"{start}long; short"


def test_a_short_clip_keeps_step_with_a_long_one(shown):
    short = torch.stack([clip(1, level=-1.0), clip(1, level=1.0)]).squeeze(2).transpose(0, 1)
    long = clip(10) + torch.linspace(-1, 1, 10)[:, None, None]
    widgets.show(long, short, height=40)
    animation = picture(shown[0])
    right = []
    for index in range(10):
        animation.seek(index)
        right.append(animation.convert("RGB").getpixel((64 + 6 + 32, 20))[0])
    assert right == [0] * 5 + [255] * 5


def test_small_pixels_become_squares():
    small = torch.rand(3, 2, 4, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    large = enlarged(small, 12)
    assert torch.equal(
        torch.from_numpy(to_uint8(large)),
        torch.from_numpy(to_uint8(small)).repeat_interleave(3, 1).repeat_interleave(3, 2),
    )


def test_the_true_path_is_whole_and_the_tracked_one_comes_along():
    true = torch.tensor([[0.25, 0.25], [0.25, 0.5], [0.25, 0.75]])
    tracked = true + torch.tensor([0.5, 0.0])
    frames = to_uint8(enlarged(clip(3, level=-0.5), 80, [true, tracked]))

    def is_there(colour, frame, y, x):
        pixel = frames[frame, int(y * 80), int(x * 128)].tolist()
        return max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) < 40

    for frame in range(3):
        assert all(is_there(WHITE, frame, 0.25, x) for x in (0.3, 0.4, 0.5, 0.6, 0.7))
        assert [is_there(YELLOW, frame, *centre) for centre in tracked.tolist()] == [
            index <= frame for index in range(3)
        ]


@pytest.mark.parametrize(
    ("clips", "extra", "said"),
    [
        ((), {}, "0 clips"),
        ((clip(),), {"labels": ["a", "b"]}, "1 clips and 2 labels"),
        ((clip(), clip()), {"paths": [None]}, "2 clips and 1 paths"),
        ((clip(),), {"paths": [[torch.rand(7, 2)]]}, "7 centres, but its clip 8 frames"),
    ],
)
def test_what_does_not_match_is_refused(shown, clips, extra, said):
    with pytest.raises(vmc.BadInput, match=said):
        widgets.show(*clips, **extra)
    assert not shown


def test_a_table_is_html_without_markup_from_its_cells(shown):
    widgets.table(["way", "error"], [["<tuned>", 0.12345], ["x", 7]])
    [[(data, _)]] = shown
    assert data["text/plain"] == "way      error\n<tuned>  0.123\nx        7"
    assert data["text/html"] == (
        "<table><tr><th>way</th><th>error</th></tr><tr><td>&lt;tuned&gt;</td><td>0.123</td></tr>"
        "<tr><td>x</td><td>7</td></tr></table>"
    )


def tuning():
    backbone = RandomBackbone()
    source = torch.rand(3, 4, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return vmc.finetune(backbone, source, "a ball is moving", preview_every=2), source


def test_watching_leaves_one_figure_and_changes_nothing(shown):
    watched, source = tuning()
    widgets.watch(watched, source)
    alone, _ = tuning()
    for _ in alone:
        pass
    weights = (run.adapter.motions[0].weights for run in (watched, alone))
    for ours, theirs in zip(*(w.items() for w in weights), strict=True):
        assert ours[0] == theirs[0] and torch.equal(ours[1], theirs[1])
    [states] = shown  # one output of the cell, whatever it went through
    assert "step 6 of 6" in states[-1][0]["text/plain"]
    assert picture(states).size == (800, 400)


def test_a_stopped_run_shows_how_far_it_came(shown):
    run, source = tuning()
    taken = run._step

    def step():
        if run.number == 3:
            raise KeyboardInterrupt
        return taken()

    run._step = step
    with pytest.raises(KeyboardInterrupt):
        widgets.watch(run, source)
    assert "step 3 of 6" in shown[0][-1][0]["text/plain"]


@pytest.mark.parametrize(("drawing", "most"), [(0.0, 20), (0.25, 5)])
def test_redrawing_is_rare_and_takes_a_tenth_of_the_time(shown, monkeypatch, drawing, most):
    now = 0.0
    monkeypatch.setattr(output.time, "perf_counter", lambda: now)

    def make():
        nonlocal now
        now += drawing
        return {"text/plain": ""}, {}

    live = output.Live()
    for _ in range(1000):
        live.offer(make)
        now += 0.01
    assert 0.7 * most <= len(shown[0]) <= most


def test_progress_shows_the_time_left_and_ends_with_the_stages(shown, monkeypatch):
    now = 0.0
    monkeypatch.setattr(output.time, "perf_counter", lambda: now)
    with widgets.progress() as on_step:
        for stage, total, passes in (("keyframes", 10, 1), ("large", 4, 2)):
            for number in list(range(1, total + 1)) * passes:
                now += 2.0
                on_step(stage, number, total, None)
        now += 2.0
        on_step(1, 1, 999, None)  # as vmc.invert calls it
    [states] = shown
    texts = [data["text/plain"] for data, _ in states]
    assert "keyframes:  30%" in texts[2] and "3/10 [00:06<00:14" in texts[2]
    assert "large:  25%" in texts[14] and "1/4 [00:02<00:06" in texts[14]  # the second window
    assert texts[-1] == "keyframes 20.0 s · large 16.0 s · inversion 2.0 s"


def test_without_a_front_end_there_is_one_line(capsys):
    with widgets.progress() as on_step:
        on_step("keyframes", 1, 2, None)
        on_step("keyframes", 2, 2, None)
    run, source = tuning()
    widgets.watch(run, source)
    widgets.show(clip(2))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["keyframes", "Tuning:", "Animation:", "Frames"]


def test_an_executed_notebook_holds_the_last_state_alone():
    source = """
import time
from vmc.widgets import progress
with progress() as on_step:
    for number in range(1, 5):
        on_step("keyframes", number, 4, None)
        time.sleep(0.3)
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    [left] = notebook.cells[0].outputs
    assert left.output_type == "display_data"
    assert left.data["text/plain"].startswith("keyframes 0.9 s")
