"""The way back from inverted noise, on a model whose exact path is known."""

import pytest
import torch
from fake_backbone import GaussianBackbone, RandomBackbone

import vmc
from vmc.reconstruction import reconstruct, reconstruction_error


def test_the_error_of_the_round_trip_is_of_first_order_in_the_step():
    backbone = GaussianBackbone()
    clip = backbone.clip()
    errors = [
        reconstruction_error(reconstruct(backbone, vmc.invert(backbone, clip, n), n), clip)
        for n in (25, 100, 500)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.005


def test_from_the_exact_noise_the_way_back_converges_to_the_clip():
    backbone = GaussianBackbone()
    clip = backbone.clip()
    errors = []
    for steps in (50, 200):
        exact = backbone.flow(clip[None], 0, (steps - 1) * (1000 // steps))
        errors.append(reconstruction_error(reconstruct(backbone, exact, steps), clip))
    assert 3 < errors[0] / errors[1] < 5 and errors[1] < 0.01


def test_it_goes_through_the_timesteps_of_the_inversion_backward():
    backbone = GaussianBackbone()
    inverted = vmc.invert(backbone, backbone.clip())
    up, states = list(backbone.asked), []
    backbone.asked.clear()
    returned = reconstruct(backbone, inverted, on_step=lambda *state: states.append(state))
    assert backbone.asked == up[:0:-1]  # the first of them, t = 0, is the clip
    assert [state[:2] for state in states] == [(n, 19) for n in range(1, 20)]
    assert torch.equal(states[-1][2][0], returned) and not returned.requires_grad


def test_a_cascade_and_its_words_are_heeded():
    class Cascade:
        base = RandomBackbone()

    noise = torch.randn(1, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    plain = reconstruct(Cascade, noise, 4)
    assert torch.equal(plain, reconstruct(Cascade.base, noise, 4, ""))
    assert not torch.equal(plain, reconstruct(Cascade, noise, 4, "a ball is moving"))


def test_no_number_of_steps_mends_the_released_schedule():
    backbone = GaussianBackbone()
    clip = backbone.clip()

    def error(steps, schedule):
        inverted = vmc.invert(backbone, clip, steps, schedule=schedule)
        return reconstruction_error(reconstruct(backbone, inverted, steps), clip)

    own, released = ([error(n, name) for n in (50, 250)] for name in ("model", "released"))
    assert own[0] > 4 * own[1]
    assert released[0] < 1.5 * released[1] and released[1] > 5 * own[1]


def test_the_error_of_a_clip_with_itself_and_with_its_opposite():
    white = torch.ones(3, 2, 4, 4)
    assert reconstruction_error(white, white) == 0
    assert reconstruction_error(white, -white) == 2


@pytest.mark.parametrize("steps", [0, 1, 1001])
def test_too_few_and_too_many_steps_are_refused(steps):
    with pytest.raises(vmc.BadInput, match=f"from 2 to 1000 steps; got {steps}"):
        reconstruct(GaussianBackbone(), torch.zeros(1, 3, 4, 8, 8), steps)
