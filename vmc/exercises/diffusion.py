"""The exercises of 01_diffusion: the forward process, its loss, Tweedie, a step back, guidance."""

import torch
from torch.nn.functional import mse_loss

from vmc.backbones.tiny import schedule
from vmc.diffusion import add_noise, ddpm_step, guided, noise_loss, tweedie
from vmc.exercises.checking import Exercise, Misconception, noise

NOTEBOOK = "01_diffusion"
_TIMESTEPS = torch.tensor([20, 300, 600, 900])
_CLIPS = (4, 3, 2, 5, 4)  # as wide as the batch is long, so that what lies along the width shows


def _column(level):
    return level.view(-1, 1, 1, 1, 1)


def _noised(of_signal, of_noise):
    """x_t with other levels of signal and noise than √ᾱ_t and √(1-ᾱ_t), as functions of ᾱ and α."""

    def wrong(clean, noise, timestep, alphas_cumprod):
        before = torch.cat([torch.ones(1), alphas_cumprod[:-1]])
        alpha = _column((alphas_cumprod / before)[timestep])
        level = _column(alphas_cumprod[timestep])
        return of_signal(level, alpha) * clean + of_noise(level, alpha) * noise

    return wrong


def _along_the_width(clean, noise, timestep, alphas_cumprod):
    level = alphas_cumprod[timestep]
    return level.sqrt() * clean + (1 - level).sqrt() * noise


FORWARD = Exercise(
    "add_noise",
    NOTEBOOK,
    reference=add_noise,
    cases=lambda: [(noise(0, *_CLIPS), noise(1, *_CLIPS), _TIMESTEPS, schedule())],
    misconceptions=(
        Misconception(
            _noised(lambda level, alpha: level, lambda level, alpha: 1 - level),
            "the square roots are missing: 1−ᾱ is a variance, and noise of that variance is "
            "√(1−ᾱ) ε.",
        ),
        Misconception(
            _noised(lambda level, alpha: level.sqrt(), lambda level, alpha: 1 - level),
            "√ᾱ is right, but the noise needs a root too: of variance 1−ᾱ is √(1−ᾱ) ε.",
        ),
        Misconception(
            _noised(lambda level, alpha: alpha.sqrt(), lambda level, alpha: (1 - alpha).sqrt()),
            "this is a single step of the chain, with α_t; the leap from x_0 takes the product of "
            "all of them, ᾱ_t.",
        ),
        Misconception(
            _noised(lambda level, alpha: (1 - level).sqrt(), lambda level, alpha: level.sqrt()),
            "signal and noise are exchanged: ᾱ_t is what is left of the clip, and falls with t.",
        ),
        Misconception(
            _noised(lambda level, alpha: 1 - alpha, lambda level, alpha: alpha.sqrt()),
            "this is Eq. 1 as it is misprinted: the mean is √α_t x_(t−1), and that of the leap "
            "√ᾱ_t x_0.",
        ),
        Misconception(
            _along_the_width,
            "ᾱ_t lies along the width of the picture; give each clip of the batch its own with "
            "alphas_cumprod[timestep].view(-1, 1, 1, 1, 1).",
        ),
    ),
)


def _predict(noisy, timestep):
    """A network for trials: any function of both of its inputs."""
    return noisy.roll(1, -1) * (1 + timestep.view(-1, 1, 1, 1, 1) / 1000)


def _loss(target, shown=add_noise):
    """Eq. 2 with another target, or shown something else."""

    def loss(predict, clean, noise, timestep, alphas_cumprod):
        noisy = shown(clean, noise, timestep, alphas_cumprod)
        return mse_loss(predict(noisy, timestep), target(clean, noise, noisy))

    return loss


EPSILON_LOSS = Exercise(
    "epsilon_loss",
    NOTEBOOK,
    reference=noise_loss,
    cases=lambda: [(_predict, noise(2, *_CLIPS), noise(3, *_CLIPS), _TIMESTEPS, schedule())],
    misconceptions=(
        Misconception(
            _loss(lambda clean, noise, noisy: torch.randn_like(noise)),
            "the noise is not shared: you compare the prediction with fresh noise, which nobody "
            "could know; the target is the very ε that was added.",
        ),
        Misconception(
            _loss(
                lambda clean, noise, noisy: noise,
                lambda clean, noise, *at: add_noise(clean, torch.randn_like(noise), *at),
            ),
            "the noise is not shared: you add fresh noise and compare the prediction with the "
            "given one; both must be the same ε.",
        ),
        Misconception(
            _loss(lambda clean, noise, noisy: clean),
            "the target is the clean clip; in Eq. 2 it is the noise ε that was added.",
        ),
        Misconception(
            _loss(lambda clean, noise, noisy: noisy),
            "the target is the noisy clip, which the network was given; it is ε that it must find.",
        ),
        Misconception(
            _loss(lambda clean, noise, noisy: noise, lambda clean, *rest: clean),
            "the network sees the clean clip, in which there is no noise to find: show it x_t.",
        ),
    ),
)


def _denoised(of_signal, of_noise):
    """Eq. 6 with other levels than its own, as functions of ᾱ."""

    def wrong(noisy, prediction, timestep, alphas_cumprod):
        level = _column(alphas_cumprod[timestep])
        return (noisy - of_noise(level) * prediction) / of_signal(level)

    return wrong


TWEEDIE = Exercise(
    "tweedie",
    NOTEBOOK,
    reference=tweedie,
    cases=lambda: [(noise(4, *_CLIPS), noise(5, *_CLIPS), _TIMESTEPS, schedule())],
    misconceptions=(
        Misconception(
            _denoised(lambda level: level, lambda level: 1 - level),
            "the square roots are missing: x_t was made with √ᾱ and √(1−ᾱ), and is undone with "
            "them.",
        ),
        Misconception(
            _denoised(lambda level: 1, lambda level: (1 - level).sqrt()),
            "what is left after taking the noise away is √ᾱ x_0: divide by √ᾱ.",
        ),
        Misconception(
            _denoised(lambda level: level.sqrt(), lambda level: 1),
            "the noise in x_t is √(1−ᾱ) ε, not ε: scale the prediction before you subtract it.",
        ),
        Misconception(
            _denoised(lambda level: (1 - level).sqrt(), lambda level: level.sqrt()),
            "√ᾱ and √(1−ᾱ) are exchanged.",
        ),
        Misconception(
            _denoised(lambda level: level.sqrt(), lambda level: -(1 - level).sqrt()),
            "you add the noise once more: it is to be subtracted.",
        ),
    ),
)


def _step(alpha_of, spread):
    """Eq. 4 with another α, or another size of the added noise, as a function of β̃."""

    def wrong(noisy, prediction, timestep, alphas_cumprod, noise):
        level, before = alphas_cumprod[timestep], alphas_cumprod[timestep - 1]
        alpha = alpha_of(level, before)
        mean = (noisy - (1 - alpha) / (1 - level).sqrt() * prediction) / alpha.sqrt()
        return mean + spread((1 - before) / (1 - level) * (1 - level / before)) * noise

    return wrong


def _alpha(level, before):
    return level / before


STEP = Exercise(
    "ddpm_step",
    NOTEBOOK,
    reference=ddpm_step,
    cases=lambda: [
        (noise(6, 2, 3, 4), noise(7, 2, 3, 4), timestep, schedule(), noise(8, 2, 3, 4))
        for timestep in (30, 500, 960)
    ],
    misconceptions=(
        Misconception(
            _step(_alpha, lambda variance: variance),
            "this is Eq. 4 as it is printed: β̃ is a variance, so the noise to add is √β̃ ε.",
        ),
        Misconception(
            _step(lambda level, before: level, lambda variance: variance.sqrt()),
            "you use ᾱ_t where α_t belongs: a single step is α_t = ᾱ_t / ᾱ_(t−1).",
        ),
        Misconception(
            _step(_alpha, lambda variance: 0),
            "no noise is added, so that all that was random about a step is missing.",
        ),
        Misconception(
            _step(_alpha, lambda variance: -variance.sqrt()),
            "you subtract the fresh noise; as likely as the right answer, but not what was asked.",
        ),
        Misconception(
            lambda noisy, prediction, timestep, alphas_cumprod, noise: ddpm_step(
                noisy, -prediction, timestep, alphas_cumprod, noise
            ),
            "you add the predicted noise; it is to be taken away.",
        ),
    ),
)

GUIDANCE = Exercise(
    "guided",
    NOTEBOOK,
    reference=guided,
    cases=lambda: [(noise(9, 2, 3, 4), noise(10, 2, 3, 4), scale) for scale in (0.0, 1.0, 4.0)],
    misconceptions=(
        Misconception(
            lambda unconditional, conditional, scale: (
                unconditional + scale * (unconditional - conditional)
            ),
            "guidance has the wrong sign: this leads away from the prompt; from ∅ to c is "
            "ε̂(c) − ε̂(∅).",
        ),
        Misconception(
            lambda unconditional, conditional, scale: (
                conditional + scale * (conditional - unconditional)
            ),
            "you start from ε̂(c), so that s counts from 0; here s = 1 is ε̂(c) itself, and s = 0 "
            "is ε̂(∅).",
        ),
        Misconception(
            lambda unconditional, conditional, scale: (
                conditional + scale * (unconditional - conditional)
            ),
            "the two are exchanged: s = 0 must give the unconditional prediction.",
        ),
        Misconception(
            lambda unconditional, conditional, scale: scale * conditional,
            "the unconditional prediction is missing: guidance enlarges the difference that the "
            "prompt makes, not the prediction.",
        ),
        Misconception(
            lambda unconditional, conditional, scale: unconditional + scale * conditional,
            "you add the whole conditional prediction; what is added is its difference from the "
            "unconditional one.",
        ),
    ),
)

EXERCISES = (FORWARD, EPSILON_LOSS, TWEEDIE, STEP, GUIDANCE)
