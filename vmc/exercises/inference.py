"""The exercises of 05_inference: a step of the inversion, schedules, windows, motion strength."""

import torch
from torch import Tensor

from vmc.backbones.tiny import schedule
from vmc.diffusion import add_noise, ddim_step, tweedie
from vmc.exercises.checking import Exercise, Misconception, noise

NOTEBOOK = "05_inference"


def _inversion_step(latent, prediction, timestep, following, alphas_cumprod):
    """x_t → x_{t+1}: the denoised estimate at t, noised again with the same ε̂ at t + 1."""
    clean = tweedie(latent, prediction, timestep, alphas_cumprod)
    return add_noise(clean, prediction, following, alphas_cumprod)


def _without_roots(latent, prediction, timestep, following, alphas_cumprod):
    now, then = alphas_cumprod[timestep], alphas_cumprod[following]
    return then * (latent - (1 - now) * prediction) / now + (1 - then) * prediction


INVERSION_STEP = Exercise(
    "inversion_step",
    NOTEBOOK,
    reference=_inversion_step,
    cases=lambda: [
        (noise(0, 1, 3, 4, 5, 6), noise(1, 1, 3, 4, 5, 6), now, then, schedule())
        for now, then in ((0, 40), (400, 440), (700, 720))
    ],
    misconceptions=(
        Misconception(
            lambda x, e, now, then, levels: ddim_step(x, e, then, levels, previous=now),
            "this step goes down, towards the clip; inversion goes up: take the noise out at the "
            "present level, and put it in at the following one.",
        ),
        Misconception(
            lambda x, e, now, then, levels: _inversion_step(x, e, then, then, levels),
            "you computed the denoised estimate with ᾱ of the following timestep; the latent is "
            "still at the present one.",
        ),
        Misconception(
            lambda x, e, now, then, levels: add_noise(x, e, then, levels),
            "you noised the latent as if it were the clip: take out the noise that is in it first "
            "(Eq. 6).",
        ),
        Misconception(
            lambda x, e, now, then, levels: tweedie(x, e, now, levels),
            "this is the denoised estimate; it still has to be noised for the following timestep.",
        ),
        Misconception(
            _without_roots,
            "the square roots are missing: a latent holds √ᾱ of the clip and √(1−ᾱ) of the noise.",
        ),
        Misconception(
            lambda x, e, now, then, levels: add_noise(
                tweedie(x, e, now, levels), torch.randn_like(e), then, levels
            ),
            "you drew new noise; inversion puts the predicted noise back in, and so leads to one "
            "certain latent.",
        ),
    ),
)


def released_levels() -> Tensor:
    """ᾱ_t of Stable Diffusion, which the published code inverts with."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0).float()


SAME_LEVEL = Exercise(
    "same_level",
    NOTEBOOK,
    reference=lambda timestep, theirs, ours: (ours - theirs[timestep]).abs().argmin().item(),
    cases=lambda: [(t, released_levels(), schedule()) for t in (120, 500, 800, 963)],
    tolerance=0,
    misconceptions=(
        Misconception(
            lambda timestep, theirs, ours: timestep,
            "the same number t stands for different levels of noise on the two schedules: compare "
            "ᾱ, not t.",
        ),
        Misconception(
            lambda timestep, theirs, ours: (theirs - ours[timestep]).abs().argmin().item(),
            "the other way round: the latent has the level of their schedule, and you look for it "
            "in ours.",
        ),
        Misconception(
            lambda timestep, theirs, ours: (ours - theirs[timestep]).abs().min().item(),
            "that is how far the nearest ᾱ is off; the timestep is where it stands (argmin).",
        ),
        Misconception(
            lambda timestep, theirs, ours: (ours - theirs[timestep]).argmin().item(),
            "the smallest difference is the most negative one; nearest means smallest without the "
            "sign.",
        ),
        Misconception(
            lambda timestep, theirs, ours: (ours - theirs[timestep]).abs().argmax().item(),
            "this is the timestep that is farthest off.",
        ),
    ),
)


def _joined(windows: Tensor) -> Tensor:
    """(window, 3, 5, h, w), where the last frame of each is the first of the next."""
    return torch.cat([*(w[:, :-1] for w in windows), windows[-1][:, -1:]], dim=1)


def _windows(count: int, seed: int) -> Tensor:
    """Windows as interpolation makes them: neighbours share a keyframe."""
    frames = noise(seed, 3, 4 * count + 1, 2, 3)
    return torch.stack([frames[:, 4 * i : 4 * i + 5] for i in range(count)])


JOINED = Exercise(
    "joined",
    NOTEBOOK,
    reference=_joined,
    cases=lambda: [(_windows(7, 3),), (_windows(3, 4),)],
    misconceptions=(
        Misconception(
            lambda windows: torch.cat(list(windows), dim=1),
            "the keyframe between two windows is in both of them, so it comes twice: seven windows "
            "of five make 29 frames, not 35.",
        ),
        Misconception(
            lambda windows: torch.cat([w[:, :-1] for w in windows], dim=1),
            "the last keyframe is missing: the last window keeps all of its five frames.",
        ),
        Misconception(
            lambda windows: torch.cat([w[:, 1:] for w in windows], dim=1),
            "the first keyframe is missing: the first window keeps all of its five frames.",
        ),
        Misconception(
            lambda windows: torch.cat([w[:, 1:-1] for w in windows], dim=1),
            "the keyframes are missing: these are the new frames alone.",
        ),
        Misconception(
            lambda windows: _joined(windows).transpose(0, 1),
            "the frames are right, but their axis comes first: a clip is (3, frame, height, "
            "width).",
        ),
        Misconception(
            lambda windows: windows.reshape(3, -1, *windows.shape[-2:]),
            "a reshape alone takes windows for channels: put the windows one after another along "
            "the frame axis.",
        ),
    ),
)


def _strengthened(own, tuned, strength):
    return {name: own[name] + strength * (tuned[name] - own[name]) for name in tuned}


def _weights() -> list[tuple]:
    names = ("to_q.weight", "to_k.weight", "conv.weight")
    own = {name: noise(i, 4, 3) for i, name in enumerate(names)}
    tuned = {name: own[name] + 0.1 * noise(9 + i, 4, 3) for i, name in enumerate(names[:2])}
    return [(own, tuned, strength) for strength in (0.0, 1.0, 1.5, -1.0)]


STRENGTHENED = Exercise(
    "strengthened",
    NOTEBOOK,
    reference=_strengthened,
    cases=_weights,
    misconceptions=(
        Misconception(
            lambda own, tuned, strength: {name: strength * tuned[name] for name in tuned},
            "at strength 0 your weights are all zero: it is the *change* from the model's own "
            "weights that is scaled.",
        ),
        Misconception(
            lambda own, tuned, strength: {
                name: tuned[name] + strength * (tuned[name] - own[name]) for name in tuned
            },
            "strength 0 has to give the model's own weights and 1 the tuned ones; yours start from "
            "the tuned ones.",
        ),
        Misconception(
            lambda own, tuned, strength: {
                name: tuned[name] + strength * (own[name] - tuned[name]) for name in tuned
            },
            "the two are exchanged: strength 1 is the tuned weights.",
        ),
        Misconception(
            lambda own, tuned, strength: {
                name: own[name] + strength * tuned[name] for name in tuned
            },
            "you add the tuned weights to the model's own; add their difference.",
        ),
        Misconception(
            lambda own, tuned, strength: own | _strengthened(own, tuned, strength),
            "only what was tuned changes: give back the weights named in `tuned` and no others.",
        ),
    ),
)

EXERCISES = (INVERSION_STEP, SAME_LEVEL, JOINED, STRENGTHENED)
