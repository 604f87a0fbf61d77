"""The rendered world: held-out motions, pictures that agree at every size, right read-outs."""

import numpy as np
import pytest
import torch

from vmc.errors import BadInput
from vmc.sprites import (
    COLOURS,
    FRAMES,
    HELD_OUT,
    NAMED,
    PLACES,
    STYLES,
    SUBJECTS,
    Scene,
    held_out,
    path,
    random_scene,
    read_out,
    render,
)
from vmc.sprites.motions import named, resemblance

DIAGONAL = np.hypot(40, 64)


def scenes(count, seed=0, **options):
    rng = np.random.default_rng(seed)
    return [random_scene(rng, **options) for _ in range(count)]


def centre_error(seen, scene):
    """Mean distance to the true centres, in fractions of the keyframe's diagonal."""
    away = (seen.centres - scene.centres(len(seen.centres))).numpy() * (40, 64)
    return np.linalg.norm(away, axis=1).mean() / DIAGONAL


# Motions


def test_training_never_draws_a_held_out_motion():
    drawn = scenes(300)
    assert {s.motion.name for s in drawn} == {*NAMED, "moving"}
    assert not any(name in s.caption() for s in drawn for name in HELD_OUT)
    assert min(resemblance(s.motion.centre) for s in drawn) > 0.35


def test_a_frames_number_and_the_motions_name_say_where_a_subject_is():
    rng, time = np.random.default_rng(4), np.linspace(0, 1, 8)
    for name in NAMED:
        centres = np.stack([named(name, rng).at(time)[0] for _ in range(50)])
        assert centres.std(0).max() < 0.06, name
    right, left = (named(name, rng).at(time)[0][:, 1] for name in ("moving right", "moving left"))
    assert (np.diff(right) > 0).all() and (np.diff(left) < 0).all()


@pytest.mark.parametrize("name", HELD_OUT)
def test_a_held_out_motion_is_known_again_however_it_is_placed(name):
    rng = np.random.default_rng(0)
    assert resemblance(held_out(name).centre) < 1e-6
    for _ in range(20):
        motion = held_out(name, rng)
        assert resemblance(motion.centre) < 0.1
        assert resemblance(motion.reversed().centre * (1, -1)) < 0.1


@pytest.mark.parametrize("name", HELD_OUT)
def test_a_held_out_motion_backward_is_another_motion(name):
    forward = held_out(name).centre
    forward = (forward - forward.mean(0)) * (1.0, 1.6)
    forward /= np.sqrt((forward**2).sum(1).mean())
    distance = np.sqrt(((forward - forward[::-1]) ** 2).sum(1).mean())
    assert distance > 0.75  # unrelated paths are at 1.4, the limit for a resemblance is 0.35


@pytest.mark.parametrize("name", HELD_OUT)
def test_a_held_out_motion_keeps_its_subject_in_the_frame(name):
    for subject in ("bird", "boat"):  # the widest ones
        whole = Scene(subject, motion=path([(0.5, 0.5)] * 2)).mask(1, (160, 256)).sum()
        seen = Scene(subject, motion=name).mask(8, (160, 256)).sum((1, 2))
        assert seen.min() > 0.97 * whole


def test_a_motion_backward_and_between_its_samples():
    motion = path([(0.2, 0.1), (0.4, 0.5), (0.8, 0.9)], scale=[0.1, 0.2, 0.3], rotation=[0, 1, 2])
    centre, scale, rotation = motion.at(np.array([0.25, 1.0]))
    assert np.allclose(centre, [(0.3, 0.3), (0.8, 0.9)])
    assert np.allclose(scale, [0.15, 0.3]) and np.allclose(rotation, [0.5, 2])
    back = motion.reversed().at(np.array([0.75, 0.0]))
    assert np.allclose(back[0], centre) and np.allclose(back[1], scale)


# Pictures and captions


def test_the_generator_decides_everything():
    first, again, other = (scenes(12, seed) for seed in (3, 3, 4))
    times = np.tile(np.linspace(0, 1, 4), (12, 1))
    assert torch.equal(render(first, times), render(again, times))
    assert not torch.equal(render(first, times), render(other, times))
    captions = [
        [s.caption(np.random.default_rng(i)) for i, s in enumerate(drawn)]
        for drawn in (first, again)
    ]
    assert captions[0] == captions[1]


@pytest.mark.parametrize("style", [s for s in STYLES if s != "pixel art"])
def test_keyframes_are_the_large_video_made_small(style):
    """Pixel art is left out: its blocks are two keyframe pixels at any size, and hard-edged."""
    for scene in scenes(4, seed=1):
        scene = scene.with_(style=style)
        large = scene.render(3, (320, 512)).transpose(0, 1)
        small = torch.nn.functional.interpolate(large, (40, 64), mode="area").transpose(0, 1)
        assert (scene.render(3) - small).abs().mean() < 0.012  # of a range of 2


def test_every_fourth_frame_of_the_video_is_a_keyframe():
    scene = Scene("car", "blue", "on the road", "bounce")
    assert torch.equal(scene.render(FRAMES)[:, ::4], scene.render(8))
    assert torch.equal(scene.centres(FRAMES)[::4], scene.centres(8))


def test_the_mask_is_where_the_subject_is_drawn():
    scene = Scene("star", "red", "on the snow", "swing")
    empty = scene.with_(motion=path([(9, 9)] * 2)).render()
    changed = (scene.render() - empty).abs().amax(0) > 0.02
    mask = scene.mask()
    assert changed[mask].all()
    assert mask.sum() > 0.5 * changed.sum()  # what is left is the outline
    rows = torch.arange(40)[:, None].expand(40, 64)[None].expand(8, -1, -1)
    middle = [(rows[f][mask[f]].float().mean() + 0.5) / 40 for f in range(8)]
    assert torch.allclose(torch.stack(middle), scene.centres()[:, 0], atol=0.02)


def test_captions_say_what_is_drawn():
    rising = named("rising", np.random.default_rng(5))
    assert Scene("car", "orange", "on the sand", rising).caption() == (
        "an orange car is rising on the sand"
    )
    assert Scene("fish", "red", "underwater", "loop", count=2).caption() == (
        "two red fish are moving underwater"
    )
    assert Scene("ball", "blue", "at night", "loop", "neon", 2).caption() == (
        "two blue balls are moving at night, neon style"
    )
    assert Scene("car", "orange", "at night", rising).caption(motion=False) == (
        "an orange car is moving at night"
    )


def test_captions_leave_words_out_as_in_training():
    rng = np.random.default_rng(0)
    scene = Scene("star", "orange", "at sunset", "spiral")
    captions = [scene.caption(rng) for _ in range(1000)]
    for word, kept in (("star", 0.95), ("orange", 0.85), ("at sunset", 0.85)):
        assert abs(np.mean([word in c for c in captions]) - kept) < 0.05
    assert {"a star is moving", "an orange thing is moving at sunset"} <= set(captions)
    assert all(c.startswith("an orange ") or c.startswith(("a star", "a thing")) for c in captions)


# Bad input


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: Scene("cat"), "subject 'cat': choose one of car, fish"),
        (lambda: Scene(colour="mauve"), "colour 'mauve': choose one of red"),
        (lambda: Scene(place="on Mars"), "place 'on Mars': choose one of in the sky"),
        (lambda: Scene(style="cubist"), "style 'cubist': choose one of plain"),
        (lambda: Scene(count=3), "count 3: choose one of 1, 2"),
        (lambda: Scene(motion="zig"), "no held-out motion 'zig': choose one of zigzag"),
        (lambda: path([(0.5, 0.5)]), "two or more finite"),
        (lambda: path([(0.5, np.nan)] * 3), "two or more finite"),
        (lambda: path([(0.5, 0.5)] * 3, scale=[0.1, 0.2]), "one scale and one rotation, or 3"),
        (lambda: read_out(torch.zeros(3, 0, 40, 64)), "at least one frame"),
        (lambda: read_out(torch.full((3, 2, 40, 64), torch.nan)), "NaN"),
        (lambda: read_out(torch.zeros(3, 2, 40, 64), "cubist"), "choose one of plain"),
    ],
)
def test_bad_input_gets_one_sentence_that_helps(attempt, message):
    with pytest.raises(BadInput, match=message):
        attempt()


# Read-outs


@pytest.fixture(scope="module")
def read():
    drawn = scenes(300, seed=7, styled=0.0, pairs=0.0)
    return drawn, [read_out(scene.render()) for scene in drawn]


@pytest.mark.parametrize("attribute", ["subject", "colour", "place", "count"])
def test_read_outs_are_right(read, attribute):
    right = [
        getattr(seen, attribute) == getattr(scene, attribute)
        for scene, seen in zip(*read, strict=True)
    ]
    assert np.mean(right) >= 0.99


def test_read_outs_know_where_how_large_and_how_turned(read):
    errors = [centre_error(seen, scene) for scene, seen in zip(*read, strict=True)]
    assert np.mean(errors) <= 0.004 and np.max(errors) <= 0.02
    times = np.linspace(0, 1, 8)
    for scene, seen in zip(*read, strict=True):
        assert np.allclose(seen.scale, scene.motion.at(times)[1], rtol=0.15)
        if scene.subject not in ("ball", "star"):  # they look the same at several turns
            turns = seen.rotation.numpy() - scene.motion.at(times)[2]
            assert np.abs((turns + np.pi) % (2 * np.pi) - np.pi).mean() < 0.15


def test_read_outs_are_sure_of_what_is_drawn(read):
    for attribute in ("subject", "colour", "place", "count"):
        assert np.mean([seen.confidence[attribute] for seen in read[1]]) > 0.8
    assert torch.stack([seen.centre_confidence for seen in read[1]]).mean() > 0.8


@pytest.mark.parametrize("style", STYLES[1:])
def test_read_outs_know_every_style(style):
    for scene in scenes(6, seed=8, styled=0.0, pairs=0.0):
        scene = scene.with_(style=style)
        seen = read_out(scene.render(), style)
        assert (seen.colour, seen.place) == (scene.colour, scene.place)
        assert seen.subject == scene.subject and centre_error(seen, scene) < 0.02


def test_read_outs_count_two():
    for scene in scenes(10, seed=9, styled=0.0, pairs=1.0):
        seen = read_out(scene.render())
        assert (seen.count, seen.subject, seen.colour) == (2, scene.subject, scene.colour)
        assert centre_error(seen, scene) < 0.01


@pytest.mark.parametrize(("frames", "size"), [(1, (40, 64)), (29, (80, 128)), (8, (160, 288))])
def test_read_outs_take_any_length_and_size(frames, size):
    for scene in scenes(3, seed=10, styled=0.0, pairs=0.0):
        seen = read_out(scene.render(frames, size))
        assert seen.centres.shape == (frames, 2)
        assert (seen.subject, seen.colour) == (scene.subject, scene.colour)
        assert centre_error(seen, scene) < 0.01


def test_read_outs_of_a_blurred_faint_noisy_video_are_right_but_less_sure():
    generator = torch.Generator().manual_seed(0)
    sure = {"clear": [], "weak": []}
    for scene in scenes(12, seed=11, styled=0.0, pairs=0.0):
        clip = scene.render()
        empty = scene.with_(motion=path([(9, 9)] * 2)).render()
        cast = 0.05 * torch.randn(3, 1, 1, 1, generator=generator)
        noise = 0.1 * torch.randn(clip.shape, generator=generator)
        weak = torch.nn.functional.avg_pool2d(0.85 * clip + 0.15 * empty, 3, 1, 1) + cast + noise
        clear, seen = read_out(clip), read_out(weak)
        assert (seen.subject, seen.colour, seen.place) == (scene.subject, scene.colour, scene.place)
        assert centre_error(seen, scene) < 0.02
        assert seen.centre_confidence.mean() < clear.centre_confidence.mean()
        sure["clear"].append(list(clear.confidence.values()))
        sure["weak"].append(list(seen.confidence.values()))
    assert (np.mean(sure["weak"], axis=0) < 0.85 * np.mean(sure["clear"], axis=0)).all()


@pytest.mark.parametrize("level", [-1.0, 0.0, 1.0])
def test_a_blank_video_is_nothing_for_sure(level):
    seen = read_out(torch.full((3, 8, 40, 64), level))
    assert max(seen.confidence.values()) < 0.2  # black is a little like the night
    assert torch.equal(seen.centres, torch.full((8, 2), 0.5))
    assert seen.centre_confidence.max() < 0.01


def test_noise_is_nothing_for_sure():
    noise = torch.rand(3, 8, 40, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    seen = read_out(noise)
    assert max(seen.confidence.values()) < 0.1 and seen.centre_confidence.max() < 0.1


def test_frames_without_a_subject_take_their_centre_from_their_neighbours():
    scene = Scene("car", "red", "on the snow", path([(0.4, 0.2), (0.6, 0.8)]))
    clip, empty = scene.render(), scene.with_(motion=path([(9, 9)] * 2)).render()
    clip[:, [3, 7]] = empty[:, [3, 7]]
    seen = read_out(clip)
    expected = scene.centres()
    expected[7] = expected[6]
    assert (seen.centres - expected).abs().max() < 0.01
    assert seen.centre_confidence[[3, 7]].max() < 0.01 < 0.5 < seen.centre_confidence[:3].min()


def test_no_colour_hides_at_any_place():
    motion = path([(0.35, 0.25), (0.65, 0.75)])
    for colour in COLOURS:
        for place in PLACES:
            scene = Scene(SUBJECTS[len(colour + place) % 8], colour, place, motion)
            seen = read_out(scene.render(3))
            assert (seen.subject, seen.colour, seen.place) == (scene.subject, colour, place)
