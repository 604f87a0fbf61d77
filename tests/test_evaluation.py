import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_backbone import RandomBackbone
from PIL import Image

from vmc.backbones.tiny import TinyBackbone
from vmc.cascade import Cascade, Generated
from vmc.errors import BadInput
from vmc.evaluation import (
    SOURCE,
    WAYS,
    FourWay,
    comparison_sheet,
    four_way,
    motion_shown,
    pretraining_report,
)
from vmc.evaluation.contrast import agreement, contrast
from vmc.evaluation.tables import ATTRIBUTES
from vmc.pretraining import Recipe, new_denoiser, new_text_encoder
from vmc.sprites import COLOURS, NAMED, PLACES, SUBJECTS, ReadOut, Scene, held_out, read_out
from vmc.sprites.motions import named, path, random_path

RNG = np.random.default_rng


class Painter:
    """A cascade that draws exactly what a caption says, but for the attributes of `always`."""

    def __init__(self, **always):
        self.base = RandomBackbone()
        self.base.sampling_steps = 4
        self.always = always
        self.rng = RNG(0)

    def generate(self, prompts, seed, until, on_step):
        assert until == "keyframes" and len(prompts) <= 16
        for number in range(1, 5):
            on_step("keyframes", number, 4, None)
        return [Generated(prompt, self.paint(prompt).render()) for prompt in prompts]

    def paint(self, caption):
        words = caption.split()
        motion = next((name for name in NAMED if name in caption), None)
        scene = Scene(
            subject=next(s for s in SUBJECTS if s in words),
            colour=next(c for c in COLOURS if c in words),
            place=next(p for p in PLACES if p in caption),
            motion=named(motion, self.rng) if motion else random_path(self.rng),
        )
        return scene.with_(**self.always)


def wrong(rows, name):
    return [row for row in rows if row[name] and row[name] != row[f"{name}_read"]]


def test_a_model_that_draws_what_it_is_told_has_full_marks():
    told = []
    report = pretraining_report(Painter(), 20, seed=1, progress=lambda *args: told.append(args))
    assert len(report.rows) == 20
    assert 5 <= sum(row["motion"] != "" for row in report.rows) <= 15
    for name in (*ATTRIBUTES, "motion"):
        assert wrong(report.rows, name) == []
    done = [args[0] for args in told]
    assert done == sorted(set(done)) and done[-1] == told[-1][1] == 20 * 4
    head, rule, *lines = report.table().splitlines()
    assert len({len(line) for line in (head, rule, *lines)}) == 1
    assert [line.split("|")[1].strip() for line in lines] == [*ATTRIBUTES, "named motion"]
    assert "100.0 % [83.9, 100.0]" in lines[0]


def test_what_a_model_ignores_is_counted_and_nothing_else():
    still = path([(0.5, 0.5)] * 2)
    report = pretraining_report(Painter(colour="red", motion=still), captions=15)
    assert wrong(report.rows, "subject") == wrong(report.rows, "place") == []
    asked_red = sum(row["colour"] == "red" for row in report.rows)
    assert len(wrong(report.rows, "colour")) == 15 - asked_red
    assert f"{100 * asked_red / 15:.1f} % [" in report.table().splitlines()[3]
    assert len(wrong(report.rows, "motion")) == sum(row["motion"] != "" for row in report.rows)


def test_the_examination_depends_on_its_seed_alone():
    captions = [
        [row["caption"] for row in pretraining_report(Painter(), 3, seed).rows]
        for seed in (0, 0, 1)
    ]
    assert captions[0] == captions[1] != captions[2]
    with pytest.raises(BadInput, match="1 caption or more"):
        pretraining_report(Painter(), captions=0)


@pytest.mark.parametrize("name", NAMED)
def test_named_motions_are_recognised(name):
    rng = RNG(7)
    for subject in ("ball", "star", "bird"):  # two that look the same after part of a turn
        clip = Scene(subject, "purple", "on the road", named(name, rng)).render()
        assert motion_shown(read_out(clip)) == name


def test_a_still_subject_shows_no_named_motion():
    clip = Scene(motion=path([(0.5, 0.4), (0.5, 0.41)])).render()
    assert motion_shown(read_out(clip)) == "moving"


@pytest.fixture(scope="module")
def cascade():
    """A cascade with an untrained, very small keyframe stage."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        denoiser = new_denoiser(Recipe(1, 1, 1e-3, (32, 32), 4))
        for parameter in denoiser.parameters():  # also those that start at zero
            torch.nn.init.normal_(parameter, std=0.1) if parameter.ndim > 1 else None
        base = TinyBackbone(denoiser, new_text_encoder())
    base.sampling_steps = base.inversion_steps = 1
    return Cascade(base)


@pytest.fixture
def calls(cascade, monkeypatch):
    """What `generate` was asked for."""
    calls, generate = [], cascade.generate

    def recording(prompts, **keywords):
        calls.append(SimpleNamespace(prompts=prompts, **keywords))
        return generate(prompts, **keywords)

    monkeypatch.setattr(cascade, "generate", recording)
    return calls


@pytest.fixture
def quick_reading(monkeypatch):
    """Centres and looks taken from single pixels, where only the bookkeeping matters."""

    def reading(clip):
        looks = int(clip[0, 0, 0, 0] * 1e4)
        chosen = [options[looks % len(options)] for options in (SUBJECTS, list(COLOURS), PLACES)]
        frames = clip.shape[1]
        level = torch.ones(frames)
        centres = clip[:2, :, 0, 0].T.contiguous()
        return ReadOut(*chosen, 1, centres, 0.2 * level, 0 * level, {}, level)

    monkeypatch.setattr("vmc.evaluation.comparison.read_out", reading)


SMALL = dict(motions=("zigzag", "stop-and-go"), prompts=1, seeds=1, steps=1, learning_rate=0.1)


@pytest.fixture(scope="module")
def small(cascade):
    return four_way(cascade, **SMALL | {"prompts": 2})


def test_every_way_has_every_prompt_and_the_clip_itself_is_read_right(small):
    for motion in SMALL["motions"]:
        rows = [row for row in small.rows if row["motion"] == motion]
        assert [row["way"] for row in rows] == [SOURCE, *(way for way in WAYS for _ in range(2))]
        source, *others = rows
        assert source["trajectory_error"] < 0.01 and source["motion_fidelity"] > 0.95
        assert all(source[name] == source[f"{name}_read"] for name in ATTRIBUTES)
        for name in ATTRIBUTES:  # the prompts share nothing with the clip, nor with each other
            assert len({row[name] for row in rows}) == 3
        assert len({row["prompt"] for row in others}) == 2
        for row in others:
            assert all(row[name] in row["prompt"] for name in ATTRIBUTES)


@pytest.mark.parametrize("inversion", ["tuned", "untuned", None])
def test_the_four_ways_differ_in_weights_and_noise_alone(cascade, calls, quick_reading, inversion):
    told = []
    four_way(
        cascade,
        **SMALL | {"motions": ["loop"], "inversion": inversion, "guidance_scale": 3.0},
        progress=lambda *args: told.append(args),
    )
    assert [(c.adapter is not None, c.inverted is not None) for c in calls] == list(WAYS.values())
    assert len({(tuple(c.prompts), c.seed, c.guidance_scale) for c in calls}) == 1
    assert calls[2].adapter.metadata["settings"]["learning_rate"] == 0.1
    subject = calls[2].adapter.metadata["prompt"].split()[1]
    assert calls[2].adapter.metadata["prompt"] == f"a {subject} is moving"
    assert torch.equal(calls[1].inverted, calls[3].inverted) == (inversion != "tuned")
    assert [args[0] for args in told] == list(range(1, told[-1][1] + 1))


def test_an_interrupted_comparison_goes_on_to_the_same_rows(
    cascade, calls, quick_reading, tmp_path
):
    file = tmp_path / "rows.csv"
    uninterrupted = four_way(cascade, **SMALL)
    calls.clear()

    def interrupt(done, total, label):
        if "stop-and-go" in label:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        four_way(cascade, **SMALL, csv=file, progress=interrupt)
    assert len(calls) == len(WAYS)
    whole = four_way(cascade, **SMALL, csv=file)
    assert len(calls) == 2 * len(WAYS)
    assert whole.rows == uninterrupted.rows
    assert four_way(cascade, **SMALL, csv=file).table() == uninterrupted.table()
    assert len(calls) == 2 * len(WAYS)
    first = four_way(cascade, **SMALL | {"motions": ["zigzag"]}, csv=file)
    assert {row["motion"] for row in first.rows} == {"zigzag"}


def test_rows_of_other_settings_are_not_mixed(cascade, quick_reading, tmp_path):
    once = SMALL | {"motions": ["zigzag"], "csv": tmp_path / "rows.csv"}
    four_way(cascade, **once)
    before = once["csv"].read_bytes()
    for change in ({"steps": 3}, {"learning_rate": 0.2}, {"inversion": "tuned"}, {"prompts": 2}):
        with pytest.raises(BadInput, match="rows of another comparison"):
            four_way(cascade, **once | change)
    assert once["csv"].read_bytes() == before


def test_a_foreign_file_is_refused_and_left_alone(cascade, tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("year,rain\n2001,3\n")
    with pytest.raises(BadInput, match="not a file of this comparison"):
        four_way(cascade, **SMALL, csv=file)
    assert file.read_text() == "year,rain\n2001,3\n"


@pytest.mark.parametrize(
    "change", [{"prompts": 0}, {"prompts": 7}, {"seeds": 0}, {"motions": []}, {"inversion": "none"},
               {"motions": ["wobble"]}, {"steps": 0}],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(cascade, change):
    with pytest.raises(BadInput):
        four_way(cascade, **SMALL | change)


def row(clip, way, error, subject="ball", colour="red", place="at night"):
    asked = {"subject": "ball", "colour": "red", "place": "at night"}
    read = {"subject_read": subject, "colour_read": colour, "place_read": place}
    numbers = {"trajectory_error": error, "motion_fidelity": 1 - error}
    return {"motion": clip, "seed": 0, "way": way} | asked | read | numbers


def test_the_table_says_what_the_rows_say():
    rows = []
    for clip, error in (("zigzag", 0.2), ("loop", 0.4)):
        rows += [row(clip, SOURCE, 0.001), row(clip, "untuned, noise", 0.5)]
        rows += [row(clip, "untuned, inverted", error, colour="blue")] * 2
        rows += [row(clip, "tuned, noise", 0.1, subject="car", place="on the sand")]
        rows += [
            row(clip, "tuned, inverted", error / 4),
            row(clip, "tuned, inverted", error / 4, subject="car"),
        ]
    made = FourWay(rows)
    ratio = made.ratio()
    assert (ratio.mean, ratio.low, ratio.high) == pytest.approx((0.25, 0.25, 0.25))
    lines = {cells[0]: cells[1:] for line in made.table().splitlines()
             if len(cells := [c.strip() for c in line.strip("|").split("|")]) > 1}  # fmt: skip
    assert lines["untuned, inverted"][0] == "0.300 [0.200, 0.400]"
    assert [c.split(" %")[0] for c in lines["untuned, inverted"][2:]] == [
        "100.0",
        "0.0",
        "100.0",
        "0.0",
    ]
    assert [c.split(" %")[0] for c in lines["tuned, noise"][2:]] == ["0.0", "100.0", "0.0", "0.0"]
    assert [c.split(" %")[0] for c in lines["tuned, inverted"][2:]] == [
        "50.0",
        "100.0",
        "100.0",
        "50.0",
    ]
    assert "2 clips" in made.table() and "0.250 [0.250, 0.250]" in made.table()
    assert "| loop " in made.motions() and "| 0.100 " in made.motions()


def test_a_clips_sheet_shows_the_true_path_and_the_tracked_one(cascade, tmp_path):
    four_way(cascade, **SMALL | {"motions": ["figure eight"], "prompts": 1}, sheets=tmp_path)
    sheet = np.asarray(Image.open(tmp_path / "figure_eight_0.png").convert("RGB")).astype(int)
    yellow = (np.abs(sheet - (255, 221, 0)).max(-1) < 12).any(1)
    assert yellow[len(sheet) // 2 :].any()


def test_comparison_sheet_has_a_row_for_the_clip_and_each_result():
    scene = Scene(motion=held_out("loop"))
    results = [
        Generated("a blue star is moving", scene.with_(colour="blue", subject="star").render())
    ]
    results.append(
        Generated("a green car is moving", results[0].keyframes, video=scene.render(29, (80, 128)))
    )
    plain = comparison_sheet(scene.render(), results)
    drawn = comparison_sheet(scene.render(), results, asked=scene.centres())
    assert plain.size == drawn.size
    assert plain.size[1] == pytest.approx(3 * (120 + 20 + 4) + 4, abs=4)
    assert math.isclose(plain.size[0], 8 * (192 + 4) + 4, abs_tol=4)
    difference = np.abs(np.asarray(plain).astype(int) - np.asarray(drawn)).max(-1) > 40
    thirds = np.array_split(difference, 3)
    assert all(0.002 < part.mean() < 0.2 for part in thirds)


def test_contrast_is_the_subject_against_its_place():
    yellow_at_night = Scene("ball", "yellow", "at night", "zigzag")
    red, green, blue = contrast(yellow_at_night).tolist()
    assert red > 0.8 and green > 0.8 and abs(blue) < 0.5
    assert agreement(yellow_at_night, yellow_at_night) == pytest.approx(1)
    assert agreement(yellow_at_night, yellow_at_night.with_(motion="loop")) > 0.95
    assert agreement(yellow_at_night, Scene("ball", "blue", "on the snow", "zigzag")) < -0.7


def test_errors_are_told_apart_by_contrast():
    rows = [row("zigzag", SOURCE, 0.0) | {"colour": "yellow"}]
    for way in WAYS:
        alike = row("zigzag", way, 0.1) | {"colour": "yellow", "place": "in the forest"}
        opposite = row("zigzag", way, 0.5) | {"colour": "blue", "place": "on the snow"}
        rows += [alike, opposite, opposite]
    lines = {cells[0]: cells[1:] for line in FourWay(rows).contrasts().splitlines()
             if len(cells := [c.strip() for c in line.strip("|").split("|")]) > 1}  # fmt: skip
    assert [cell[:5] for cell in lines["alike, 1 results"]] == ["0.100"] * len(WAYS)
    assert [cell[:5] for cell in lines["opposite, 2 results"]] == ["0.500"] * len(WAYS)
    assert lines["neither, 0 results"] == [""] * len(WAYS)
