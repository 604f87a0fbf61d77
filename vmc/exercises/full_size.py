"""The exercises of 09_show1: what a run needs, what attention costs, velocity as noise."""

import torch

from vmc.backbones.tiny import schedule
from vmc.diffusion import noise_from_velocity, tweedie
from vmc.exercises.checking import Exercise, Misconception, noise

NOTEBOOK = "09_show1"

PEAK_OF_A_RUN = Exercise(
    "peak_of_a_run",
    NOTEBOOK,
    reference=lambda stays, parts: stays + max(parts),
    cases=lambda: [(0.7, [9.5, 6.1, 3.9, 4.6]), (3.5, [0.2, 2.4, 2.6])],
    misconceptions=(
        Misconception(
            lambda stays, parts: stays + sum(parts),
            "you add all parts up, as if they were loaded together; each goes before the next one "
            "comes.",
        ),
        Misconception(
            lambda stays, parts: max(parts),
            "what stays all the time is missing; it is there beside the largest part, too.",
        ),
        Misconception(
            lambda stays, parts: max(stays, *parts),
            "what stays is no part among others: it is there beside each of them.",
        ),
        Misconception(
            lambda stays, parts: stays + parts[0],
            "you take the first part; which one is the largest differs from model to model.",
        ),
    ),
)


def _scores(within, across):
    return lambda frames, height, width, heads: (
        within(frames, height * width, heads),
        across(frames, height * width, heads),
    )


ATTENTION_SCORES = Exercise(
    "attention_scores",
    NOTEBOOK,
    reference=_scores(lambda f, p, h: h * f * p * p, lambda f, p, h: h * p * f * f),
    cases=lambda: [(8, 20, 32, 64), (24, 40, 72, 5)],
    misconceptions=(
        Misconception(
            _scores(lambda f, p, h: h * p * f * f, lambda f, p, h: h * f * p * p),
            "the two are exchanged: within a frame, pixels look at pixels; across frames, a pixel "
            "looks at itself in the other frames.",
        ),
        Misconception(
            _scores(lambda f, p, h: h * f * p, lambda f, p, h: h * p * f),
            "every query is compared with every key, so a sequence of n has n² scores, not n.",
        ),
        Misconception(
            _scores(lambda f, p, h: f * p * p, lambda f, p, h: p * f * f),
            "every head has scores of its own; their number is missing.",
        ),
        Misconception(
            _scores(lambda f, p, h: h * p * p, lambda f, p, h: h * f * f),
            "these are the scores of one sequence; there is one for each frame in the first case, "
            "and one for each pixel in the second.",
        ),
        Misconception(
            _scores(lambda f, p, h: h * (f * p) ** 2, lambda f, p, h: h * (f * p) ** 2),
            "you let every pixel of every frame look at all others; this network keeps the two "
            "apart, which is what makes it affordable.",
        ),
    ),
)


def _levels(timestep, alphas_cumprod):
    level = alphas_cumprod[timestep].view(-1, 1, 1, 1, 1)
    return level.sqrt(), (1 - level).sqrt()


def _mixed(of_velocity, of_noisy):
    """A weighted sum of v̂ and x_t, the weights being functions of √ᾱ and √(1-ᾱ)."""

    def wrong(noisy, velocity, timestep, alphas_cumprod):
        a, b = _levels(timestep, alphas_cumprod)
        return of_velocity(a, b) * velocity + of_noisy(a, b) * noisy

    return wrong


VELOCITY_AS_NOISE = Exercise(
    "velocity_as_noise",
    NOTEBOOK,
    reference=noise_from_velocity,
    cases=lambda: [
        (noise(0, 3, 4, 5, 2, 6), noise(1, 3, 4, 5, 2, 6), torch.tensor([40, 400, 800]), schedule())
    ],
    misconceptions=(
        Misconception(
            _mixed(lambda a, b: 1, lambda a, b: 0),
            "this is the velocity as it is; the loss of Eq. 17 is about noise.",
        ),
        Misconception(
            _mixed(lambda a, b: -b, lambda a, b: a),
            "this is the clean picture that a velocity stands for, x̂₀ = √ᾱ x_t − √(1−ᾱ) v̂.",
        ),
        Misconception(
            _mixed(lambda a, b: b, lambda a, b: a),
            "√ᾱ and √(1−ᾱ) are exchanged: in nearly pure noise, ᾱ ≈ 0, x_t itself is the noise.",
        ),
        Misconception(
            _mixed(lambda a, b: a * a, lambda a, b: b * b),
            "the square roots are missing.",
        ),
        Misconception(
            _mixed(lambda a, b: a, lambda a, b: -b),
            "you take the noisy video away; solve v = √ᾱ ε − √(1−ᾱ) x₀ and x_t = √ᾱ x₀ + √(1−ᾱ) ε "
            "for ε, and it is added.",
        ),
        Misconception(
            lambda noisy, velocity, timestep, alphas_cumprod: tweedie(
                noisy, velocity, timestep, alphas_cumprod
            ),
            "this is Tweedie's estimate with the velocity in the place of the noise.",
        ),
    ),
)

EXERCISES = (PEAK_OF_A_RUN, ATTENTION_SCORES, VELOCITY_AS_NOISE)
