"""The sketchpad: from points or a mouse to a motion, and from there to a new clip."""

import numpy as np
import pytest
import torch
from fake_backbone import RandomBackbone

import vmc
from vmc.cascade import Cascade
from vmc.sprites import FRAMES, Scene
from vmc.widgets import Sketchpad, sketchpad

LINE = [(0.5, 0.2), (0.5, 0.3), (0.5, 0.8)]


@pytest.fixture
def pad():
    cascade = Cascade(RandomBackbone())
    return Sketchpad(
        cascade, Scene("ball", "red", "on the road"), LINE, "a star is moving", steps=3
    )


def mouse(pad, *events):
    """As the canvas reports them: a kind, and where in pixels of 384 by 240."""
    for kind, x, y in events:
        pad.canvas[1]._handle_frontend_event(None, {"event": kind, "x": x, "y": y}, [])


def test_a_line_is_followed_at_one_pace_whatever_its_points(pad):
    centre = pad.motion.centre
    assert centre.shape == (FRAMES, 2)
    np.testing.assert_allclose(centre[:, 0], 0.5)
    np.testing.assert_allclose(centre[:, 1], np.linspace(0.2, 0.8, FRAMES), atol=1e-9)
    pad.set_path([(0.2, 0.5), (0.8, 0.5), (0.8, 0.875)])  # as far down as to the right, in pixels
    steps = np.diff(pad.motion.centre, axis=0) * (240, 384)
    lengths = np.linalg.norm(steps, axis=1)
    np.testing.assert_allclose(lengths, lengths.mean(), rtol=1e-6)
    assert torch.equal(pad.clip, pad.scene.render(4, (8, 8)))  # as the backbone works on


def test_the_mouse_draws_while_its_button_is_down(pad):
    mouse(pad, ("mouse_move", 10, 10))  # not yet
    before = pad.motion
    assert before is pad.motion
    points = [(38.4 + 20 * i, 48 + 10 * i) for i in range(10)]
    mouse(pad, ("mouse_down", *points[0]), *(("mouse_move", *p) for p in points[1:]))
    assert pad.motion is before  # still drawing
    mouse(pad, ("mouse_up", *points[-1]), ("mouse_move", 300, 10))
    np.testing.assert_allclose(pad.motion.centre[0], (0.2, 0.1))
    np.testing.assert_allclose(pad.motion.centre[-1], (138 / 240, 218.4 / 384))
    assert pad.scene.motion is pad.motion


def test_a_click_draws_nothing_and_leaving_the_canvas_ends_the_path(pad):
    before = pad.motion
    mouse(pad, ("mouse_down", 50, 50), ("mouse_up", 50, 50))
    assert pad.motion is before
    mouse(pad, ("mouse_down", 0, 120), ("mouse_move", 380, 120), ("mouse_out", 383, 120))
    np.testing.assert_allclose(pad.motion.centre[-1], (0.5, 380 / 384))


@pytest.mark.parametrize(
    "points, said",
    [
        ([(0.5, 0.5)], "two or more"),
        ([(0.5, 0.5), (0.5, 0.51)], "hardly moves"),
        ([(0.5, 0.5), (float("nan"), 0.1)], "finite"),
    ],
)
def test_no_path_is_refused_and_the_one_before_stays(pad, points, said):
    before = pad.motion
    with pytest.raises(vmc.BadInput, match=said):
        pad.set_path(points)
    assert pad.motion is before


def test_tuning_and_transfer_happen_there_and_then(pad):
    before = bytes(pad.playing.value)
    pad.prompt.value = "a fish is moving"
    made = pad.transfer()  # begins the tuning, as nobody has
    assert pad.dashboard.state == "ended" and pad.dashboard.run.number == 3
    assert pad.dashboard.adapter.metadata["prompt"] == "a ball is moving"
    assert pad.dashboard.widget in pad._tuning.children
    assert pad.made is made and made.prompt == "a fish is moving"
    assert made.keyframes.shape == (3, 4, 8, 8) and made.video is None
    assert pad.status.value.startswith("a fish is moving: trajectory error 0.")
    assert bytes(pad.playing.value) != before
    board = pad.dashboard
    assert pad.transfer("a star is moving").prompt == "a star is moving"
    assert pad.dashboard is board  # what is tuned is tuned


def test_a_new_path_begins_anew(pad):
    board = pad.tune()
    pad.set_path([(0.2, 0.2), (0.8, 0.8)])
    board.finished()
    assert board.state == "ended" and pad.dashboard is pad.made is None
    assert pad._tuning.children == ()


def test_a_path_drawn_during_the_transfer_is_noticed(pad, monkeypatch):
    tune = pad.tune

    def tune_and_draw():
        board = tune()
        pad.set_path([(0.2, 0.2), (0.8, 0.8)])
        return board

    monkeypatch.setattr(pad, "tune", tune_and_draw)
    with pytest.raises(vmc.BadInput, match="path was changed"):
        pad.transfer()
    assert pad.made is None


def test_what_the_button_cannot_do_it_says(pad, monkeypatch):
    def refuse(prompts):
        raise vmc.BadInput("No such word.")

    monkeypatch.setattr(pad.cascade.base, "encode_text", refuse)
    pad._transfer_or_say_why()
    assert pad.status.value == "No such word." and pad.dashboard is None


def test_it_shows_itself_with_words(capsys):
    pad = sketchpad(Cascade(RandomBackbone()), points=LINE, steps=1)
    assert capsys.readouterr().out == (
        "The sketched path, and the clip of a red ball is moving on the road along it\n"
    )
    assert pad.finetune_arguments == {"steps": 1}
