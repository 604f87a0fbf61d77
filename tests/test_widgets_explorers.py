"""The explorers: what their controls show, and the static picture for where there are none."""

import io
from base64 import b64decode

import numpy as np
import pytest
import torch
from PIL import Image

import vmc
from vmc.backbones.tiny import schedule
from vmc.cascade import Generated
from vmc.diffusion import add_noise
from vmc.motion import frame_residual
from vmc.pictures import enlarged
from vmc.sprites import Scene
from vmc.video import contact_sheet
from vmc.widgets import (
    attention,
    edit_prompt,
    explore_attention,
    explore_cascade,
    explore_inversion,
    explore_motion,
    explore_noise,
    forward_process,
    generation,
    output,
)
from vmc.widgets.shown import STILL

CLIP = Scene("ball", "red", "on the road").render()
NOISE = torch.randn(CLIP.shape, generator=torch.Generator().manual_seed(3))
LEVELS = schedule()
LAST = len(LEVELS) - 1


def all_knowing(noisy, timestep):
    """The true noise, so that every estimate from it must be the truth."""
    return (noisy - LEVELS[timestep].sqrt() * CLIP) / (1 - LEVELS[timestep]).sqrt()


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB"))


def seen(explorer):
    return pixels(explorer.image.value)


@pytest.fixture
def shown(monkeypatch):
    outputs = []
    monkeypatch.setattr(output, "in_notebook", lambda: True)
    monkeypatch.setattr(
        output, "display", lambda data, metadata, raw: outputs.append((data, metadata))
    )
    return outputs


MAPS = {
    "fine": torch.rand(1, 2, 40, 64, 8, 8).softmax(-1),
    "coarse": torch.rand(2, 4, 5, 8, 8, 8).softmax(-1),
}


@pytest.mark.parametrize(
    "explore",
    [
        lambda: explore_noise(CLIP, LEVELS),
        lambda: explore_noise(CLIP, LEVELS, NOISE, all_knowing),
        lambda: explore_motion(CLIP, LEVELS, all_knowing, stride=2),
        lambda: explore_attention(MAPS, CLIP),
        lambda: explore_inversion([CLIP[None], NOISE], [0, 999]),
        lambda: explore_cascade(Generated("a ball is moving", CLIP)),
    ],
)
def test_each_is_a_widget_and_a_picture_with_words(shown, explore):
    assert explore() is None
    [(data, metadata)] = shown
    assert len(data[output.WIDGET_VIEW]["model_id"]) == 32
    assert data["text/plain"] == metadata["image/png"]["alt"]
    assert len(data["text/plain"].split()) >= 5
    assert pixels(b64decode(data["image/png"])).shape[1] > 300


def test_outside_of_a_notebook_each_says_what_it_would_show(capsys):
    explore_noise(CLIP, LEVELS)
    assert capsys.readouterr().out.startswith("From left to right, at growing t: frame 5")


def test_the_slider_shows_the_noisy_clip_of_that_t_and_what_it_is_taken_for():
    asked = []

    def predict(noisy, timestep):
        asked.append(timestep)
        return all_knowing(noisy, timestep)

    noised = forward_process._Noised(CLIP, LEVELS, NOISE, predict)
    explorer = forward_process.noise_explorer(noised, 300)
    for t in (0, 700, 300):
        explorer.controls["timestep"].value = t
        noisy = add_noise(CLIP[None], NOISE[None], t, LEVELS)[0]
        signal, grain = LEVELS[t].sqrt(), (1 - LEVELS[t]).sqrt()
        labels = [
            f"t = {t}: {signal:.2f} of clip, {grain:.2f} of noise",
            "what the model takes the clean clip for",
        ]
        expected = contact_sheet([noisy, CLIP], labels, height=STILL)
        difference = np.abs(seen(explorer).astype(int) - np.asarray(expected))
        assert difference.max() <= 2  # bytes
    assert explorer.controls["timestep"].max == LAST
    assert len(asked) == len(set(asked))  # the model is asked once for each t


def test_the_noise_is_the_same_at_every_t_and_seeded():
    noised = [forward_process._Noised(CLIP, LEVELS, None, None) for _ in range(2)]
    assert torch.equal(noised[0].at(500), noised[1].at(500))
    for t in (200, 900):
        noise = (noised[0].at(t)[0] - LEVELS[t].sqrt() * CLIP) / (1 - LEVELS[t]).sqrt()
        torch.testing.assert_close(noise, noised[0].noise, rtol=0, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 3])
def test_the_motion_estimated_with_the_true_noise_is_the_true_motion(stride):
    noised = forward_process._Noised(CLIP, LEVELS, NOISE, all_knowing)
    explorer = forward_process.motion_explorer(noised, stride, 600, None)
    assert explorer.controls["pair"].max == 7 - stride
    explorer.controls["pair"].value = 1
    columns = [seen(explorer)[-2 * STILL :, i * 262 : i * 262 + 256] for i in range(5)]
    frame, later, difference, noisy, estimate = columns
    for shown_, index in ((frame, 1), (later, 1 + stride)):
        true = enlarged(CLIP[:, index : index + 1], 2 * STILL)
        assert np.array_equal(shown_, ((true[:, 0] + 1) * 127.5).round().byte().permute(1, 2, 0))
    assert np.abs(difference.astype(int) - estimate).max() <= 1
    assert np.abs(noisy.astype(int) - difference).mean() > 20
    assert difference[0, 0].tolist() == [128] * 3  # still, so grey


def test_no_pair_is_left_by_a_long_stride():
    with pytest.raises(vmc.BadInput, match="stride 8"):
        explore_motion(CLIP, LEVELS, stride=8)


def test_a_pixel_is_looked_up_at_the_resolution_of_the_layer(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        attention, "_panels", lambda *a: drawn.append(a) or Image.new("RGB", (2, 2))
    )
    explorer = attention.attention_explorer(MAPS, CLIP, "coarse", (39, 20))
    assert [(mark, list(panels)) for _, mark, panels in drawn] == [
        ((39, 20), ["fine", "coarse"]),  # the static picture
        ((39, 20), ["coarse"]),
    ]
    for _, _, panels in drawn:
        mean = MAPS["coarse"][-1, :, 4, 2].mean(0)
        torch.testing.assert_close(torch.tensor(panels["coarse"]), mean)
    explorer.controls["head"].value = "3"
    explorer.controls["x"].value = 63
    explorer.controls["y"].value = 0
    [weights] = drawn[-1][2].values()
    torch.testing.assert_close(torch.tensor(weights), MAPS["coarse"][-1, 3, 0, 7])
    explorer.controls["layer"].value = "fine"
    [weights] = drawn[-1][2].values()
    assert weights.shape == (8, 8)  # of a layer with two heads, when head 3 is asked for


@pytest.mark.parametrize("layer, pixel", [("none", (0, 0)), ("fine", (40, 0)), ("fine", (0, -1))])
def test_a_layer_or_pixel_that_is_not_there_is_refused(layer, pixel):
    with pytest.raises(vmc.BadInput, match="choose one of the layers fine, coarse"):
        explore_attention(MAPS, CLIP, layer, pixel)


def test_attention_begins_where_the_clip_moves_most(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        attention, "_panels", lambda *a: drawn.append(a) or Image.new("RGB", (2, 2))
    )
    attention.attention_explorer(MAPS, CLIP, None, None)
    y, x = drawn[0][1]
    moved = frame_residual(CLIP).abs().sum((0, 1))
    assert moved[y, x] == moved.max()


def test_an_inversion_is_shown_step_by_step():
    latents = [CLIP[None], (CLIP + NOISE)[None], torch.cat([NOISE, NOISE[:1]])[None]]
    explorer = generation.inversion_explorer(latents, [0, 500, 999], None)
    assert explorer.controls["step"].value == explorer.controls["step"].max == 3
    explorer.controls["step"].value = 1
    expected = contact_sheet([CLIP], ["step 1 of 3, t = 0"], height=STILL)
    assert np.array_equal(seen(explorer), np.asarray(expected))
    with pytest.raises(vmc.BadInput, match="3 latents and 2 timesteps"):
        explore_inversion(latents, [0, 500])
    with pytest.raises(vmc.BadInput, match="0 latents"):
        explore_inversion([], [])


def test_stages_are_seen_at_the_same_moment():
    scene = Scene("ball", "red", "on the road")
    made = Generated("a red ball", CLIP, scene.render(29), None, scene.render(29, (80, 128)))
    explorer = generation.cascade_explorer(made, 0)
    options = explorer.controls["stage"].options
    assert [o.split(":")[0] for o in options] == ["keyframes", "interpolated", "video"]
    assert explorer.controls["moment"].max == 28
    explorer.controls["moment"].value = 12  # the fourth keyframe
    frames = []
    for stage in options[:2]:
        explorer.controls["stage"].value = stage
        frames.append(seen(explorer)[-320:])
    assert np.array_equal(*frames)


def test_the_prompt_follows_the_faithful_one_until_it_is_changed_by_hand(shown):
    editor = edit_prompt("a red ball is moving on the road")
    [(data, _)] = shown
    assert output.WIDGET_VIEW in data and "<td>a ball is moving</td>" in data["text/html"]
    assert editor.value == "a ball is moving"
    editor.faithful.value = "a blue fish is spinning underwater"
    assert editor.value == "a fish is spinning"
    editor.faithful.value = " "
    assert editor.value == "a fish is spinning" and "The prompt is empty" in editor._said.value
    editor.invariant.value = "a thing is spinning"
    assert editor.value == "a thing is spinning"
    with pytest.raises(vmc.BadInput, match="The prompt is empty"):
        edit_prompt("")
