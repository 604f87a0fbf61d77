"""The diffusion process against closed forms and against diffusers' own schedulers."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from fake_backbone import GaussianBackbone, RandomBackbone

from vmc.diffusion import (
    add_noise,
    ddim_step,
    ddpm_step,
    guided,
    invert,
    noise_from_velocity,
    noise_loss,
    score,
    tweedie,
    velocity,
)
from vmc.errors import BadInput

COSINE = dict(beta_schedule="squaredcos_cap_v2", clip_sample=False)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


CLEAN, NOISE, NOISY = (draw(3, 3, 4, 5, 6, seed=s) for s in range(3))


@pytest.mark.parametrize("beta_schedule", ["linear", "squaredcos_cap_v2"])
def test_forward_process_and_velocity_agree_with_diffusers(beta_schedule):
    scheduler = DDPMScheduler(beta_schedule=beta_schedule)
    timestep = torch.tensor([0, 417, 999])
    noisy = add_noise(CLEAN, NOISE, timestep, scheduler.alphas_cumprod)
    torch.testing.assert_close(noisy, scheduler.add_noise(CLEAN, NOISE, timestep))
    v = velocity(CLEAN, NOISE, timestep, scheduler.alphas_cumprod)
    torch.testing.assert_close(v, scheduler.get_velocity(CLEAN, NOISE, timestep))


def test_many_small_steps_are_one_leap():
    """Both lines of Eq. 1: the chain's mean √α_t and variance β_t compose to √ᾱ_t and 1-ᾱ_t."""
    scheduler = DDPMScheduler(**COSINE)
    mean, variance = 1.0, 0.0
    for beta in scheduler.betas[:701].double():
        mean, variance = (1 - beta) ** 0.5 * mean, (1 - beta) * variance + beta
    one = torch.ones(1, 1, dtype=torch.float64)
    level = scheduler.alphas_cumprod.double()
    assert add_noise(one, 0 * one, 700, level).item() == pytest.approx(mean.item(), rel=1e-5)
    assert add_noise(0 * one, one, 700, level).item() ** 2 == pytest.approx(variance.item())


def test_tweedie_velocity_and_score_undo_the_forward_process():
    level = DDPMScheduler(**COSINE).alphas_cumprod.double()
    clean, noise = CLEAN.double(), NOISE.double()
    timestep = torch.tensor([0, 417, 990])
    noisy = add_noise(clean, noise, timestep, level)
    torch.testing.assert_close(tweedie(noisy, noise, timestep, level), clean)
    v = velocity(clean, noise, timestep, level)
    torch.testing.assert_close(noise_from_velocity(noisy, v, timestep, level), noise)
    # The score of N(√ᾱ x_0, (1-ᾱ) I), differentiated.
    x = noisy.clone().requires_grad_()
    at = level[timestep].view(-1, 1, 1, 1, 1)
    (-((x - at.sqrt() * clean) ** 2) / (2 * (1 - at))).sum().backward()
    torch.testing.assert_close(score(noise, timestep, level), x.grad)


def test_tweedie_is_the_posterior_mean():
    backbone = GaussianBackbone()
    level = backbone.alphas_cumprod[500]
    noisy = draw(1, 3, 4, 8, 8)
    prediction = backbone.predict_noise(noisy, 500, None)
    estimate = tweedie(noisy, prediction, 500, backbone.alphas_cumprod)
    # Precision-weighted mean of the prior N(mean, std²) and the observation x_t / √ᾱ.
    prior, observed = 1 / backbone.std**2, level / (1 - level)
    expected = (prior * backbone.mean + observed * noisy / level.sqrt()) / (prior + observed)
    torch.testing.assert_close(estimate, expected)


def test_the_noise_loss_is_least_for_the_posterior_mean():
    """Any deviation from it, whatever it depends on, costs its own mean square on top."""
    backbone, count = GaussianBackbone(), 4000
    shape = (count, *backbone.mean.shape)
    clean = backbone.mean + backbone.std * draw(*shape, seed=3)
    timestep = torch.full((count,), 500)

    def loss(deviation):
        def predict(noisy, timestep):
            return backbone.predict_noise(noisy, 500, None) + deviation(noisy)

        return noise_loss(predict, clean, draw(*shape, seed=4), timestep, backbone.alphas_cumprod)

    level = backbone.alphas_cumprod[500]
    signal = level * backbone.std**2
    least = (signal / (signal + 1 - level)).mean()  # the variance of ε given x_t
    assert loss(lambda noisy: 0).item() == pytest.approx(least.item(), rel=0.005)
    assert loss(lambda noisy: 0.1).item() == pytest.approx(least.item() + 0.01, rel=0.005)
    noisy = add_noise(clean, draw(*shape, seed=4), timestep, backbone.alphas_cumprod)
    extra = (0.2 * noisy).square().mean().item()
    assert loss(lambda noisy: 0.2 * noisy).item() == pytest.approx(least.item() + extra, rel=0.01)


@pytest.mark.parametrize("timestep", [0, 417, 990])
def test_errors_in_velocity_are_errors_in_noise_weighted(timestep):
    level = DDPMScheduler(**COSINE).alphas_cumprod.double()
    clean, noise = CLEAN.double(), NOISE.double()
    noisy = add_noise(clean, noise, timestep, level)
    guess = NOISY.double()  # of the velocity
    of_velocity = guess - velocity(clean, noise, timestep, level)
    predicted = noise_from_velocity(noisy, guess, timestep, level)
    many = torch.full((len(clean),), timestep)
    loss = noise_loss(lambda x, t: predicted, clean, noise, many, level)
    torch.testing.assert_close(of_velocity.square().mean(), loss / level[timestep])


def test_half_precision_keeps_its_type_and_the_small_noise_level():
    level = DDPMScheduler(**COSINE).alphas_cumprod
    noisy = add_noise(torch.zeros(1, 4).half(), torch.ones(1, 4).half(), 0, level)
    assert noisy.dtype == torch.float16
    assert noisy[0, 0].item() == pytest.approx((1 - level[0].item()) ** 0.5, rel=1e-3)


@pytest.mark.parametrize("timestep", [999, 500, 1, 0])
def test_ddpm_step_agrees_with_diffusers(timestep):
    scheduler = DDPMScheduler(variance_type="fixed_small", **COSINE)
    step = scheduler.step(NOISE, timestep, NOISY, generator=torch.Generator().manual_seed(7))
    ours = ddpm_step(NOISY, NOISE, timestep, scheduler.alphas_cumprod, draw(*NOISY.shape, seed=7))
    torch.testing.assert_close(ours, step.prev_sample, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("steps", [1000, 50])
def test_ddim_step_agrees_with_diffusers(steps, eta):
    scheduler = DDIMScheduler(set_alpha_to_one=True, **COSINE)
    scheduler.set_timesteps(steps)
    stride = 1000 // steps
    for timestep in (1000 - stride, 500, stride, 0):
        noise = draw(*NOISY.shape, seed=7)
        step = scheduler.step(NOISE, timestep, NOISY, eta=eta, variance_noise=noise)
        ours = ddim_step(
            NOISY,
            NOISE,
            timestep,
            scheduler.alphas_cumprod,
            eta=eta,
            noise=noise,
            previous=timestep - stride,
        )
        torch.testing.assert_close(ours, step.prev_sample, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("previous", [499, 440, -1])
def test_ddim_with_eta_one_is_ddpm(previous):
    level = DDPMScheduler(**COSINE).alphas_cumprod.double()
    noisy, prediction, noise = NOISY.double(), CLEAN.double(), NOISE.double()
    ddim = ddim_step(noisy, prediction, 500, level, eta=1.0, noise=noise, previous=previous)
    ddpm = ddpm_step(noisy, prediction, 500, level, noise, previous=previous)
    torch.testing.assert_close(ddim, ddpm, rtol=1e-9, atol=1e-9)


def test_the_last_step_lands_on_the_data():
    level = DDPMScheduler(**COSINE).alphas_cumprod.double()
    noisy = add_noise(CLEAN.double(), NOISE.double(), 13, level)
    for step in (
        ddim_step(noisy, NOISE.double(), 13, level, previous=-1),
        ddpm_step(noisy, NOISE.double(), 13, level, NOISY.double(), previous=-1),
    ):
        torch.testing.assert_close(step, CLEAN.double())


def test_guidance_extrapolates_from_the_unconditional():
    unconditional, conditional = NOISE, NOISY
    assert torch.equal(guided(unconditional, conditional, 0.0), unconditional)
    torch.testing.assert_close(guided(unconditional, conditional, 1.0), conditional)
    triple = -2 * unconditional + 3 * conditional
    torch.testing.assert_close(guided(unconditional, conditional, 3.0), triple)


def sample(backbone, latent, steps):
    """DDIM, η = 0, no guidance, with diffusers' scheduler on the backbone's schedule."""
    scheduler = DDIMScheduler(set_alpha_to_one=False, **COSINE)
    scheduler.set_timesteps(steps)
    text = backbone.encode_text([""])
    with torch.no_grad():
        for timestep in scheduler.timesteps.tolist():
            noise_prediction = backbone.predict_noise(latent, timestep, text)
            latent = scheduler.step(noise_prediction, timestep, latent).prev_sample
    return latent


def rms(tensor):
    return tensor.square().mean().sqrt().item()


def test_inversion_converges_to_the_exact_flow():
    backbone = GaussianBackbone()
    clip = backbone.clip()
    errors = []
    for steps in (25, 100, 500):
        inverted = invert(backbone, clip, steps=steps)
        last = 1000 // steps * (steps - 1)
        errors.append(rms(inverted - backbone.flow(clip[None], 0, last)))
    assert errors[2] < 0.01
    assert 3 < errors[0] / errors[1] < 5  # first order: four times the steps, a quarter of it
    assert 4 < errors[1] / errors[2] < 6


def test_inversion_then_sampling_reconstructs_the_clip():
    backbone = GaussianBackbone()
    clip = backbone.clip()
    errors = [
        rms(sample(backbone, invert(backbone, clip, steps=steps), steps) - clip)
        for steps in (25, 100, 500)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.005


def test_released_schedule_leaves_more_signal_than_the_model_expects():
    """SD's ᾱ at the last inverted timestep, 963, is .00712, where the cosine's is .00314."""
    backbone = GaussianBackbone()
    latents = []
    inverted = invert(
        backbone,
        backbone.clip(),
        steps=75,
        schedule="released",
        on_step=lambda *state: latents.append(state),
    )
    assert [timestep for _, _, timestep, _ in latents] == list(range(1, 964, 13))
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    level = np.cumprod(1 - betas)
    assert level[963] == pytest.approx(0.00712, abs=1e-5)
    # The last step again, by hand, on that schedule: from 950 to 963 with the ε asked at 963.
    before = latents[-2][3]
    prediction = backbone.predict_noise(before, 963, None)
    clean = (before - (1 - level[950]) ** 0.5 * prediction) / level[950] ** 0.5
    expected = level[963] ** 0.5 * clean + (1 - level[963]) ** 0.5 * prediction
    torch.testing.assert_close(inverted, expected.float(), rtol=1e-4, atol=1e-4)
    assert rms(inverted - invert(backbone, backbone.clip(), steps=75)) > 0.02


def test_inversion_reports_its_steps_and_takes_the_backbones_default():
    backbone = GaussianBackbone()
    states = []
    inverted = invert(backbone, backbone.clip(), on_step=lambda *state: states.append(state))
    assert [(number, total) for number, total, _, _ in states] == [(n, 20) for n in range(1, 21)]
    assert [timestep for _, _, timestep, _ in states] == list(range(0, 1000, 50)) == backbone.asked
    assert torch.equal(states[-1][3], inverted)
    assert inverted.shape == (1, 3, 4, 8, 8) and not inverted.requires_grad


def test_inversion_takes_a_cascade_and_heeds_the_prompt():
    class Cascade:
        base = RandomBackbone()

    clip = draw(3, 4, 8, 8).clamp(-1, 1)
    plain = invert(Cascade, clip, steps=5)
    assert torch.equal(plain, invert(Cascade.base, clip, steps=5, prompt=""))
    assert not torch.equal(plain, invert(Cascade, clip, steps=5, prompt="a ball is moving"))


def test_bad_input_is_named():
    backbone = GaussianBackbone()
    clip = backbone.clip()
    for steps in (0, -3, 1001):
        with pytest.raises(BadInput, match=f"from 1 to 1000 steps; got {steps}"):
            invert(backbone, clip, steps=steps)
    with pytest.raises(BadInput, match=r"shape \(3, 3, 8, 8\), .* works on \(3, 4, 8, 8\)"):
        invert(backbone, clip[:, :3])
    with pytest.raises(BadInput, match="NaN"):
        invert(backbone, clip * torch.nan)
    with pytest.raises(BadInput, match=r"lie in \[-1, 1\]"):
        invert(backbone, clip * 127.5)
    with pytest.raises(BadInput, match='"model" and "released"; got "SD"'):
        invert(backbone, clip, schedule="SD")
    level = backbone.alphas_cumprod
    for timestep in (-1, 1000, torch.tensor([3, 1000, 4])):
        with pytest.raises(BadInput, match="from 0 to 999"):
            add_noise(CLEAN, NOISE, timestep, level)
    with pytest.raises(BadInput, match="got 5 to 9"):
        ddim_step(NOISY, NOISE, 5, level, previous=9)
    with pytest.raises(BadInput, match="noise=…"):
        ddim_step(NOISY, NOISE, 5, level, eta=0.5)
