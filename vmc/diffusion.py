"""The diffusion process: forward process, Tweedie, DDPM and DDIM steps, guidance, DDIM inversion.

Everything but `invert` is a pure function with an explicit schedule `alphas_cumprod` (ᾱ_t in the
paper), works on any shape whose first axis is the batch, and counts timesteps from 0 (nearly clean)
to T - 1 (nearly noise). Equation numbers are those of the VMC paper (CVPR 2024). Three of them are
misprinted there; the functions compute what the literature means:

* Eq. 1: the mean of p(x_t | x_{t-1}) is √(1-β_t) x_{t-1} = √α_t x_{t-1}, and its variance β_t;
  the paper prints β_t x_{t-1} and 1-β_t.
* Eq. 4: the added noise has variance β̃_t, so it is √β̃_t ε; the paper prints β̃_t ε.
* Eq. 5: likewise √(1 - ᾱ_{t-1} - η² β̃_t) and η √β̃_t ε.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vmc.backbones import checked_clip, keyframe_backbone
from vmc.errors import BadInput


def _signal_and_noise(
    timestep: int | Int[Tensor, "batch"], alphas_cumprod: Float[Tensor, "T"], like: Tensor
) -> tuple[Tensor, Tensor]:
    """√ᾱ_t and √(1-ᾱ_t), shaped to multiply `like`."""
    timestep = torch.as_tensor(timestep, device=alphas_cumprod.device)
    if timestep.min() < 0 or timestep.max() >= len(alphas_cumprod):
        raise BadInput(
            f"Timesteps run from 0 to {len(alphas_cumprod) - 1} on this schedule; got "
            f"{timestep.tolist()}."
        )
    level = alphas_cumprod[timestep].to(like.device)
    if level.ndim:
        level = level.view(-1, *[1] * (like.ndim - 1))
    # Rounded after the root: 1-ᾱ_0 is about 1e-4 and would drown in a half-precision ᾱ_0.
    return level.sqrt().to(like.dtype), (1 - level).sqrt().to(like.dtype)


def add_noise(
    clean: Float[Tensor, "batch *shape"],
    noise: Float[Tensor, "batch *shape"],
    timestep: int | Int[Tensor, "batch"],
    alphas_cumprod: Float[Tensor, "T"],
) -> Float[Tensor, "batch *shape"]:
    """x_t = √ᾱ_t x_0 + √(1-ᾱ_t) ε, the forward process in one leap (Eq. 1, second line)."""
    signal_level, noise_level = _signal_and_noise(timestep, alphas_cumprod, clean)
    return signal_level * clean + noise_level * noise


def tweedie(
    noisy: Float[Tensor, "batch *shape"],
    noise_prediction: Float[Tensor, "batch *shape"],
    timestep: int | Int[Tensor, "batch"],
    alphas_cumprod: Float[Tensor, "T"],
) -> Float[Tensor, "batch *shape"]:
    """x̂_0(t) = (x_t - √(1-ᾱ_t) ε̂) / √ᾱ_t, the denoised estimate (Eqs. 6 and 12). Not clamped."""
    signal_level, noise_level = _signal_and_noise(timestep, alphas_cumprod, noisy)
    return (noisy - noise_level * noise_prediction) / signal_level


def score(
    noise_prediction: Float[Tensor, "batch *shape"],
    timestep: int | Int[Tensor, "batch"],
    alphas_cumprod: Float[Tensor, "T"],
) -> Float[Tensor, "batch *shape"]:
    """∇ log p_t(x_t) = -ε̂ / √(1-ᾱ_t), the score that an ε-prediction stands for (Eq. 3)."""
    _, noise_level = _signal_and_noise(timestep, alphas_cumprod, noise_prediction)
    return -noise_prediction / noise_level


def noise_loss(
    predict_noise: Callable[[Tensor, Tensor], Tensor],
    clean: Float[Tensor, "batch *shape"],
    noise: Float[Tensor, "batch *shape"],
    timestep: Int[Tensor, "batch"],
    alphas_cumprod: Float[Tensor, "T"],
) -> Float[Tensor, ""]:
    """Mean of (ε_θ(x_t, t) - ε)², which training minimises (Eqs. 2, 7 and 8).

    `predict_noise` maps x_t and t to ε̂. What text it knows (Eq. 7), and whether it looks at all
    frames of a video together (Eq. 8), is its own affair. The paper prints the norm unsquared.
    The tiny tier is trained on the clean picture, weighted so that the same errors count 1/ᾱ_t
    times as much, with a bound at low noise.
    """
    noisy = add_noise(clean, noise, timestep, alphas_cumprod)
    return (predict_noise(noisy, timestep) - noise).square().mean()


def velocity(
    clean: Float[Tensor, "batch *shape"],
    noise: Float[Tensor, "batch *shape"],
    timestep: int | Int[Tensor, "batch"],
    alphas_cumprod: Float[Tensor, "T"],
) -> Float[Tensor, "batch *shape"]:
    """v = √ᾱ_t ε - √(1-ᾱ_t) x_0, a training target as sharp at high noise as at low.

    From Salimans & Ho, *Progressive Distillation* (2022); not in the paper.
    """
    signal_level, noise_level = _signal_and_noise(timestep, alphas_cumprod, clean)
    return signal_level * noise - noise_level * clean


def noise_from_velocity(
    noisy: Float[Tensor, "batch *shape"],
    velocity: Float[Tensor, "batch *shape"],
    timestep: int | Int[Tensor, "batch"],
    alphas_cumprod: Float[Tensor, "T"],
) -> Float[Tensor, "batch *shape"]:
    """ε̂ = √ᾱ_t v̂ + √(1-ᾱ_t) x_t: the ε that a velocity prediction stands for."""
    signal_level, noise_level = _signal_and_noise(timestep, alphas_cumprod, noisy)
    return signal_level * velocity + noise_level * noisy


def noise_from_clean(
    noisy: Float[Tensor, "batch *shape"],
    clean: Float[Tensor, "batch *shape"],
    timestep: int | Int[Tensor, "batch"],
    alphas_cumprod: Float[Tensor, "T"],
) -> Float[Tensor, "batch *shape"]:
    """ε̂ = (x_t - √ᾱ_t x̂_0) / √(1-ᾱ_t): the ε that a prediction of the clean picture stands for."""
    signal_level, noise_level = _signal_and_noise(timestep, alphas_cumprod, noisy)
    return (noisy - signal_level * clean) / noise_level


def guided(
    unconditional: Float[Tensor, "*shape"], conditional: Float[Tensor, "*shape"], scale: float
) -> Float[Tensor, "*shape"]:
    """ε̂ = ε̂(∅) + s (ε̂(c) - ε̂(∅)), classifier-free guidance; s = 1 is the conditional one."""
    return unconditional + scale * (conditional - unconditional)


def _levels(
    timestep: int, previous: int | None, alphas_cumprod: Float[Tensor, "T"]
) -> tuple[int, float, float]:
    """(previous, ᾱ_t, ᾱ_previous) of one reverse step; before timestep 0 lies the data, ᾱ = 1."""
    previous = timestep - 1 if previous is None else previous
    if not previous <= timestep < len(alphas_cumprod) or timestep < 0:
        raise BadInput(
            f"A reverse step goes from a timestep in 0 … {len(alphas_cumprod) - 1} down to an "
            f"earlier one; got {timestep} to {previous}."
        )
    level = alphas_cumprod[timestep].item()
    return previous, level, alphas_cumprod[previous].item() if previous >= 0 else 1.0


def ddpm_step(
    noisy: Float[Tensor, "batch *shape"],
    noise_prediction: Float[Tensor, "batch *shape"],
    timestep: int,
    alphas_cumprod: Float[Tensor, "T"],
    noise: Float[Tensor, "batch *shape"],
    previous: int | None = None,
) -> Float[Tensor, "batch *shape"]:
    """One ancestral step x_t → x_previous with the small variance β̃_t (Eq. 4).

    `previous` is timestep - 1 unless steps are skipped, when α_t = ᾱ_t / ᾱ_previous; below 0 it
    means the data, and `noise`, drawn by the caller, is not added.
    """
    _, level, previous_level = _levels(timestep, previous, alphas_cumprod)
    alpha = level / previous_level
    mean = (noisy - (1 - alpha) / (1 - level) ** 0.5 * noise_prediction) / alpha**0.5
    return mean + ((1 - previous_level) / (1 - level) * (1 - alpha)) ** 0.5 * noise


def ddim_step(
    noisy: Float[Tensor, "batch *shape"],
    noise_prediction: Float[Tensor, "batch *shape"],
    timestep: int,
    alphas_cumprod: Float[Tensor, "T"],
    eta: float = 0.0,
    noise: Float[Tensor, "batch *shape"] | None = None,
    previous: int | None = None,
) -> Float[Tensor, "batch *shape"]:
    """One DDIM step x_t → x_previous (Eq. 5): η = 0 is deterministic, η = 1 is DDPM's variance.

    `previous` as in `ddpm_step`. `noise` is needed when eta > 0.
    """
    previous, level, previous_level = _levels(timestep, previous, alphas_cumprod)
    if eta > 0 and noise is None:
        raise BadInput("A DDIM step with eta > 0 adds noise: give it as noise=….")
    variance = eta**2 * (1 - previous_level) / (1 - level) * (1 - level / previous_level)
    clean = tweedie(noisy, noise_prediction, timestep, alphas_cumprod)
    stepped = previous_level**0.5 * clean
    stepped = stepped + (1 - previous_level - variance) ** 0.5 * noise_prediction
    return stepped + variance**0.5 * noise if eta > 0 else stepped


@torch.no_grad()
def invert(
    cascade,
    clip: Float[Tensor, "..."],
    steps: int | None = None,
    prompt: str = "",
    schedule: str = "model",
    start: int = 0,
    seed: int = 0,
    on_step: Callable[[int, int, int, Tensor], None] | None = None,
) -> Float[Tensor, "1 channel frame h w"]:
    """The noise from which DDIM sampling (η = 0, no guidance, the same steps) returns to the clip.

    DDIM run backwards (Sec. 3.3): each step evaluates ε_θ(x_s, t) at the next, noisier timestep t
    but on the present x_s, so that the way back errs by O(1 / steps). Without guidance, as in
    the published code; under a motion adapter (`with adapter.applied(backbone):`) it inverts with
    the tuned network, as that code does. `adapter.inverting` chooses as the backbone has it.

    Arguments:
        cascade: a Cascade, whose keyframe stage is used, or a Backbone.
        clip: (3, frame, height, width) in [-1, 1], of the backbone's frames and size.
        steps: 1 … T; the backbone's own number if None. They lie T // steps apart, from 0.
        prompt: "" unless a description of the clip should steer the way.
        schedule: "model" takes ᾱ_t from the backbone. "released" takes Stable Diffusion's
            (scaled-linear β from 0.00085 to 0.012) whatever the network was trained with: the
            published code's mismatch, for study.
        start: the timestep to which the clip is noised by the forward process (Eq. 1) before the
            network inverts it, rounded down to one of the steps; 0 is inversion all the way, as in
            the paper. The first steps find too little noise wherever a picture is smooth, and the
            structure that they leave in its place ties the new video to the clip's looks
            (Staniszewski et al. 2024, arXiv 2410.23530).
        seed: of that noise, ≥ 0.
        on_step: called as on_step(number, steps, timestep, latent) after each step, number from 1.
    Returns:
        the inverted noise, in the shape that `encode_video` gives a batch of one, float32.
    Raises:
        BadInput: a clip of another shape or range, with NaN; steps or start out of range; another
            schedule.
    """
    from diffusers import DDIMInverseScheduler

    backbone = keyframe_backbone(cascade)
    latent = backbone.encode_video(checked_clip(clip, backbone)[None])
    steps = backbone.inversion_steps if steps is None else steps
    num_timesteps = len(backbone.alphas_cumprod)
    if not 1 <= steps <= num_timesteps:
        raise BadInput(f"Inversion takes from 1 to {num_timesteps} steps; got {steps}.")
    if not 0 <= start < num_timesteps:
        raise BadInput(
            f"Inversion starts at a timestep from 0 to {num_timesteps - 1}; got {start}."
        )
    # A pixel may leave [-1, 1] on the way, and the clip counts as x_0 with ᾱ_0, not with ᾱ = 1.
    unclipped = dict(clip_sample=False, set_alpha_to_one=False)
    if schedule == "model":
        scheduler = DDIMInverseScheduler(num_timesteps, **unclipped)
        scheduler.alphas_cumprod = backbone.alphas_cumprod.cpu()
        scheduler.initial_alpha_cumprod = scheduler.alphas_cumprod[0]
    elif schedule == "released":
        scheduler = DDIMInverseScheduler(
            num_timesteps, 0.00085, 0.012, "scaled_linear", steps_offset=1, **unclipped
        )
    else:
        raise BadInput(f'Inversion knows the schedules "model" and "released"; got "{schedule}".')
    scheduler.set_timesteps(steps)
    skipped = [t for t in scheduler.timesteps.tolist() if 0 < t <= start]
    timesteps = scheduler.timesteps.tolist()[len(skipped) + 1 if skipped else 0 :]
    if skipped:
        noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed))
        levels = scheduler.alphas_cumprod.to(latent.device)
        latent = add_noise(latent, noise.to(latent), skipped[-1], levels)
    text = backbone.encode_text([prompt])
    for number, timestep in enumerate(timesteps, start=1):
        noise_prediction = backbone.predict_noise(latent, timestep, text)
        latent = scheduler.step(noise_prediction, timestep, latent).prev_sample
        if on_step is not None:
            on_step(number, len(timesteps), timestep, latent)
    return latent
