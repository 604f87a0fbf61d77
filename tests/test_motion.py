"""Motion vectors and their losses, against numpy and against closed forms."""

import numpy as np
import pytest
import torch
from fake_backbone import cosine_alphas_cumprod

from vmc.diffusion import add_noise, tweedie
from vmc.errors import BadInput
from vmc.motion import alignment_loss, frame_residual, motion_estimate

KINDS = ("cosine", "l2", "released")
ALPHAS_CUMPROD = cosine_alphas_cumprod().double()


def noise(seed, *shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def numpy_loss(prediction, target, kind, stride):
    """Eqs. 16 and 17 and the published form, pair by pair and pixel by pixel."""
    prediction, target = prediction.double().numpy(), target.double().numpy()
    batch, channels, frames, height, width = prediction.shape
    terms = []

    def one_minus_cosine(x, y):
        return 1 - x @ y / np.sqrt((x @ x) * (y @ y))

    for b in range(batch):
        pairs = [
            (
                prediction[b, :, n + stride] - prediction[b, :, n],
                target[b, :, n + stride] - target[b, :, n],
            )
            for n in range(frames - stride)
        ]
        if kind == "cosine":
            terms += [one_minus_cosine(x.ravel(), y.ravel()) for x, y in pairs]
        elif kind == "l2":
            terms += [((x - y) ** 2).sum() / (channels * height * width) for x, y in pairs]
        else:
            x, y = (np.abs(np.stack(side)) for side in zip(*pairs, strict=True))
            terms += [one_minus_cosine(x[:, *at], y[:, *at]) for at in np.ndindex(x.shape[1:])]
    return np.mean(terms)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_residual_is_the_later_frame_minus_the_earlier(stride):
    video = noise(0, 2, 3, 5, 4, 6)
    residual = frame_residual(video, stride)
    assert residual.shape == (2, 3, 5 - stride, 4, 6)
    for n in range(5 - stride):
        assert torch.equal(residual[:, :, n], video[:, :, n + stride] - video[:, :, n])
    assert torch.equal(frame_residual(video[0], stride), residual[0])


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_losses_agree_with_numpy(kind, stride):
    target = noise(1, 2, 3, 6, 5, 4)
    prediction = 0.6 * target + 0.8 * noise(2, 2, 3, 6, 5, 4)
    expected = numpy_loss(prediction, target, kind, stride)
    got = alignment_loss(prediction.double(), target.double(), kind, stride)
    assert got.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_perfect_prediction_and_constant_offset_cost_nothing(kind):
    target = noise(3, 2, 3, 8, 10, 16)
    offset = noise(4, 2, 3, 1, 10, 16)
    assert alignment_loss(target, target, kind).item() == pytest.approx(0, abs=1e-6)
    assert alignment_loss(target + offset, target, kind).item() == pytest.approx(0, abs=1e-6)


def test_independent_noise():
    target, prediction = noise(5, 4, 3, 8, 40, 64), noise(6, 4, 3, 8, 40, 64)
    assert alignment_loss(prediction, target).item() == pytest.approx(1, abs=0.01)
    assert alignment_loss(prediction, target, "l2").item() == pytest.approx(4, abs=0.03)
    assert alignment_loss(prediction, target, "released").item() == pytest.approx(0.301, abs=0.002)


def test_only_the_released_loss_is_blind_to_direction():
    target = noise(7, 2, 3, 8, 10, 16)
    assert alignment_loss(-target, target).item() == pytest.approx(2, abs=1e-6)
    assert alignment_loss(-target, target, "released").item() == pytest.approx(0, abs=1e-6)
    squares = (2 * frame_residual(target)).square().mean().item()
    assert alignment_loss(-target, target, "l2").item() == pytest.approx(squares, rel=1e-6)


def test_cosine_ignores_the_length_of_each_pair_but_not_of_parts_of_it():
    target = noise(8, 1, 3, 3, 4, 4)
    prediction = noise(9, 1, 3, 3, 4, 4)
    whole = alignment_loss(prediction, target)
    assert alignment_loss(5 * prediction, target).item() == pytest.approx(whole.item(), abs=1e-6)
    one_channel = prediction.clone()
    one_channel[:, 0] *= 5  # one vector over all channels, so the weight of a channel matters
    assert abs(alignment_loss(one_channel, target) - whole) > 1e-3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_input_is_computed_in_float32(kind, dtype):
    target, prediction = noise(10, 1, 3, 8, 40, 64).to(dtype), noise(11, 1, 3, 8, 40, 64).to(dtype)
    loss = alignment_loss(prediction, target, kind)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, alignment_loss(prediction.float(), target.float(), kind))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    target = noise(12, 1, 2, 3, 2, 2, dtype=torch.float64)
    prediction = noise(13, 1, 2, 3, 2, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: alignment_loss(x, target, kind), prediction)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_is_finite_and_blind_to_what_is_constant_over_frames(kind):
    target = noise(14, 1, 3, 4, 6, 6)
    still = torch.zeros(1, 3, 4, 6, 6, requires_grad=True)
    alignment_loss(still, target, kind).backward()
    assert torch.isfinite(still.grad).all()
    moving = noise(15, 1, 3, 4, 6, 6).requires_grad_()
    alignment_loss(moving, target, kind).backward()
    assert moving.grad.abs().max() > 1e-5
    assert moving.grad.sum(dim=2).abs().max() < 1e-6


@pytest.mark.parametrize("timestep", [0, 400, 963])
def test_equations_10_13_14_and_16_are_one(timestep):
    video = noise(16, 1, 3, 8, 6, 7, dtype=torch.float64)
    true, predicted = (noise(s, 1, 3, 8, 6, 7, dtype=torch.float64) for s in (17, 18))
    noisy = add_noise(video, true, timestep, ALPHAS_CUMPROD)
    level = ALPHAS_CUMPROD[timestep]

    kernel_mean = level.sqrt() * frame_residual(video)  # Eq. 10
    kernel_noise = (1 - level).sqrt() * frame_residual(true)
    close = dict(rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(frame_residual(noisy), kernel_mean + kernel_noise, **close)

    exact = motion_estimate(noisy, true, timestep, ALPHAS_CUMPROD)  # Eq. 14
    torch.testing.assert_close(exact, frame_residual(video), **close)

    estimate = motion_estimate(noisy, predicted, timestep, ALPHAS_CUMPROD)  # Eq. 13
    denoised = tweedie(noisy, predicted, timestep, ALPHAS_CUMPROD)  # Eq. 12
    torch.testing.assert_close(estimate, frame_residual(denoised), **close)

    in_pixels = (frame_residual(video) - estimate).square().mean()  # Eq. 16
    in_noise = alignment_loss(predicted, true, "l2")
    torch.testing.assert_close(in_pixels, (1 - level) / level * in_noise, rtol=1e-9, atol=0)


def test_noisy_residuals_have_twice_the_noise_of_a_frame():
    video = noise(19, 1, 3, 1, 40, 64).expand(1, 3, 200, 40, 64)  # a still: its residual is zero
    noisy = add_noise(video, noise(20, 1, 3, 200, 40, 64), 600, ALPHAS_CUMPROD.float())
    expected = 2 * (1 - ALPHAS_CUMPROD[600].item())  # Eq. 11
    assert frame_residual(noisy).var().item() == pytest.approx(expected, rel=0.01)


def test_bad_input_is_named():
    video = noise(21, 1, 3, 4, 2, 2)
    for stride in (0, -1, 4, 5):
        with pytest.raises(BadInput, match=f"stride {stride} .*has 4"):
            frame_residual(video, stride)
    with pytest.raises(BadInput, match=r"stride 1 .*has 1"):
        alignment_loss(video[:, :, :1], video[:, :, :1])
    with pytest.raises(BadInput, match="cosine, l2, released; got 'cos'"):
        alignment_loss(video, video, "cos")
    with pytest.raises(BadInput, match=r"\(1, 3, 4, 2, 2\) and \(1, 3, 1, 2, 2\)"):
        alignment_loss(video, video[:, :, :1])
