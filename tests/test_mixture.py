"""The mixture against sampling, numerical integration and automatic differentiation."""

import pytest
import torch

from vmc.diffusion import add_noise
from vmc.errors import BadInput
from vmc.mixture import GaussianMixture

MIXTURE = GaussianMixture()
LEVELS = torch.tensor([0.999, 0.6, 0.05])


@pytest.mark.parametrize("timestep", range(3))
def test_noised_samples_have_the_noised_density(timestep):
    generator = torch.Generator().manual_seed(0)
    clean = MIXTURE.sample(400_000, generator)
    noise = torch.randn(clean.shape, generator=generator)
    noisy = add_noise(clean, noise, timestep, LEVELS)
    counts = torch.histc(noisy, bins=80, min=-4, max=4) / len(noisy) / 0.1
    edges = torch.linspace(-4, 4, 801)
    density = MIXTURE.noised(LEVELS[timestep]).density(edges)
    expected = density[:-1].view(80, 10).mean(1)
    assert (counts - expected).abs().max() < 0.04 * expected.max()
    assert torch.trapezoid(density, edges).item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("level", [1.0, 0.5, 1e-6])
def test_score_is_the_slope_of_the_log_density(level):
    x = torch.linspace(-1.5, 1.5, 61, requires_grad=True)
    noised = MIXTURE.noised(level)
    (slope,) = torch.autograd.grad(noised.density(x).log().sum(), x)
    torch.testing.assert_close(noised.score(x.detach()), slope, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("timestep", range(3))
def test_the_mean_of_the_noise_given_its_outcome_is_the_score(timestep):
    """Eq. 3: what least squares on ε tends to is -√(1-ᾱ_t) ∇ log p_t."""
    generator = torch.Generator().manual_seed(1)
    clean = MIXTURE.sample(2_000_000, generator)
    noise = torch.randn(clean.shape, generator=generator)
    noisy = add_noise(clean, noise, timestep, LEVELS)
    noised = MIXTURE.noised(LEVELS[timestep])
    for place in (-0.6, 0.1, 0.4):
        near = (noisy - place).abs() < 0.01
        mean, error = noise[near].mean(), noise[near].std() / near.sum() ** 0.5
        score = noised.score(noisy[near]).mean()
        assert abs(mean + (1 - LEVELS[timestep]).sqrt() * score) < 4 * error


def test_far_from_all_data_the_score_is_finite():
    assert torch.isfinite(MIXTURE.score(torch.tensor([-50.0, 50.0]))).all()


@pytest.mark.parametrize(
    "parts",
    [
        {"means": (0.0,)},
        {"stds": (0.2, 0.0)},
        {"weights": (0.4, 0.5)},
        {"weights": (1.5, -0.5)},
        {"means": (), "stds": (), "weights": ()},
    ],
)
def test_what_is_no_mixture_is_refused(parts):
    with pytest.raises(BadInput, match="one mean, one std and one weight"):
        GaussianMixture(**parts)
