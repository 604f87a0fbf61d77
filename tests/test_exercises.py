"""Exercises: a stub is answered kindly, the right answer passes, each wrong idea gets its hint."""

from importlib import import_module
from pathlib import Path

import pytest
import torch

from vmc.errors import BadInput
from vmc.exercises import EXERCISES, check
from vmc.exercises.checking import Exercise, Misconception

ANSWERS = sorted((Path(__file__).parent / "wrong_answers").glob("*.py"))
WRONG = {
    name: answers
    for path in ANSWERS
    for name, answers in import_module(f"wrong_answers.{path.stem}").WRONG.items()
}
ALL = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)


@ALL
def test_a_stub_is_not_done_yet(exercise, capsys):
    def stub(*arguments): ...

    def unwritten(*arguments):
        raise NotImplementedError

    for function in (stub, unwritten, lambda *arguments: NotImplemented, lambda *arguments: ...):
        check(exercise.name, function)
        said = capsys.readouterr().out
        assert said.startswith(f"… {exercise.name}: not done yet") and said.count("\n") == 1


@ALL
def test_the_reference_is_right_and_every_misconception_is_told_from_it_and_the_others(exercise):
    assert exercise.judge(exercise.reference) == f"✓ {exercise.name}: right."
    assert len(exercise.misconceptions) >= 2
    for misconception in exercise.misconceptions:
        assert exercise.judge(misconception.wrong) == f"✗ {exercise.name}: {misconception.hint}"
        assert "\n" not in misconception.hint and misconception.hint.endswith((".", "?"))


@ALL
def test_whatever_is_handed_in_is_answered_in_one_line(exercise, capsys):
    def boom(*arguments):
        raise RuntimeError("first line\nsecond line")

    handed_in = (boom, lambda: 1, lambda *a: "a word", lambda *a: torch.zeros(7), lambda *a: a)
    for function in handed_in:
        check(exercise.name, function)
        said = capsys.readouterr().out
        assert said.startswith(f"✗ {exercise.name}: ") and said.count("\n") == 1, said


@pytest.mark.parametrize("name", EXERCISES)
def test_wrong_answers_of_students_get_their_hint(name):
    assert len(WRONG[name]) >= 2
    for wrong, word in WRONG[name]:
        said = EXERCISES[name].judge(wrong)
        assert said.startswith("✗") and word in said, said
    assert len({EXERCISES[name].judge(wrong) for wrong, _ in WRONG[name]}) == len(WRONG[name])


def test_an_unknown_exercise_is_named_with_its_nearest():
    with pytest.raises(BadInput, match=r"no exercise 'frame_residuals': did you mean frame_resid"):
        check("frame_residuals", lambda: None)
    with pytest.raises(BadInput, match="did you mean"):
        check("", lambda: None)


def judged(answer, reference, wrong=lambda x: 0):
    cases = lambda: [(torch.arange(6.0).view(2, 3),)]  # noqa: E731
    return Exercise("e", "n", reference, cases, (Misconception(wrong, "oh."),)).judge(answer)


@pytest.mark.parametrize(
    "answer, reference, said",
    [
        (lambda x: x.double(), lambda x: x, "right"),
        (lambda x: x.numpy(), lambda x: x, "right"),
        (lambda x: x.sum().item(), lambda x: x.sum(), "right"),
        (lambda x: 1e-7, lambda x: 0.0, "right"),
        (lambda x: [x, {"a": 1}], lambda x: (x, {"a": 1.0}), "right"),
        (lambda x: {"b", "a"}, lambda x: {"a", "b"}, "right"),
        (lambda x: {"a"}, lambda x: {"a", "b"}, "not the right one"),
        (lambda x: (x,), lambda x: (x, x), "not the right one"),
        (lambda x: x.T, lambda x: x, r"shape (3, 2), not (2, 3)"),
        (lambda x: x / 0, lambda x: x, "NaN or infinite"),
        (lambda x: x + 0.5, lambda x: x, "off by up to 0.5"),
        (lambda x: "no", lambda x: x, "of type str, expected Tensor"),
        (lambda x: x * 0, lambda x: x + 1, "off by"),
        (lambda x: 0, lambda x: 1, "oh."),
        (lambda x: [][1], lambda x: x, "IndexError: list index out of range"),
        (lambda x: str(["y"] * 999)[()], lambda x: x, "TypeError"),
    ],
)
def test_what_is_compared_and_said(answer, reference, said):
    assert said in judged(answer, reference)
    assert len(judged(answer, reference)) < 250


def test_an_answer_that_changes_its_inputs_spoils_no_other():
    assert "off by" in judged(lambda x: x.mul_(2), lambda x: x)
    assert "right" in judged(lambda x: x.mul_(2), lambda x: 2 * x)


def test_drawing_noise_is_repeatable_and_leaves_the_global_state_alone():
    before = torch.get_rng_state()
    said = [judged(torch.randn_like, lambda x: x, wrong=torch.randn_like) for _ in range(2)]
    assert said == ["✗ e: oh."] * 2
    assert torch.equal(torch.get_rng_state(), before)
