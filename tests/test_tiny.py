"""The shipped tiny cascade: its files, and inversion there and back."""

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from vmc import invert
from vmc.backbones import Backbone
from vmc.backbones.tiny import SCHEDULE, WEIGHTS, load_backbone
from vmc.cascade import Cascade, sample
from vmc.sprites import Scene


@pytest.fixture(scope="module")
def backbone():
    return load_backbone()


@pytest.fixture(scope="module")
def scene():
    return Scene("ball", "red", "on the road", "zigzag")


def test_it_fulfils_the_contract(backbone):
    assert isinstance(backbone, Backbone)
    assert sum(f.stat().st_size for f in WEIGHTS.rglob("*.safetensors")) <= 40e6
    assert len(backbone.temporal_qkv()) == 6 * 7  # two attentions in each of seven places
    assert not set(backbone.temporal_qkv()) & set(backbone.spatial_qkv())


def test_without_its_temporal_layers_it_is_the_text_to_image_model(backbone):
    image = load_backbone(stage="image")
    assert not image.unet.temporal and backbone.unet.temporal
    assert image.fingerprint == backbone.fingerprint


def test_the_fingerprint_does_not_depend_on_the_dtype(backbone):
    half = Cascade.from_pretrained("tiny", dtype=torch.bfloat16)
    assert half.base.dtype == torch.bfloat16
    assert half.base.fingerprint == backbone.fingerprint


def test_clipping_is_what_dynamic_thresholding_comes_to(backbone):
    """Against diffusers' own, on an estimate of which a good part is out of range."""
    estimate = torch.randn(8, 3, 40, 64, generator=torch.Generator().manual_seed(0))
    theirs = DPMSolverMultistepScheduler.from_config(SCHEDULE)
    assert torch.equal(
        backbone.sampler()._threshold_sample(estimate), theirs._threshold_sample(estimate)
    )


def reconstruction(backbone, clip, steps):
    """RMS difference in [-1, 1] of the clip and its copy by inversion and sampling, no guidance."""
    text = backbone.encode_text([""])
    with torch.no_grad():
        noise = invert(backbone, clip, steps, start=0)
        copy = sample(
            lambda x, t: backbone.predict_noise(x, t, text), backbone.sampler(), noise, steps
        )
    return (copy[0] - clip).square().mean().sqrt().item()


def test_inversion_and_sampling_without_guidance_reconstruct_the_clip(backbone, scene):
    clip = scene.render()
    coarse, middle, fine = (reconstruction(backbone, clip, steps) for steps in (3, 10, 50))
    assert fine < 0.06
    assert fine < 0.8 * middle < 0.8**2 * coarse  # shorter steps lose less
