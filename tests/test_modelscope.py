"""ModelScope and ZeroScope: the published size, and what each asks for by itself."""

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import UNet3DConditionModel

from vmc.backbones import miniature
from vmc.backbones.checkpoints import Repository
from vmc.backbones.modelscope import ModelScope
from vmc.cascade import Cascade

# unet/config.json of ali-vilab/text-to-video-ms-1.7b
PUBLISHED = {
    "sample_size": 32,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "attention_head_dim": 64,
    "cross_attention_dim": 1024,
    "in_channels": 4,
    "out_channels": 4,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return miniature.modelscope(tmp_path_factory.mktemp("modelscope"))


def test_full_size_counts():
    with init_empty_weights():
        unet = UNet3DConditionModel(**PUBLISHED)
    assert sum(p.numel() for p in unet.parameters()) == 1_411_233_860
    backbone = object.__new__(ModelScope)
    backbone.unet = unet
    qkv = backbone.temporal_qkv()
    within = {name: p for name, p in qkv.items() if ".temp_attentions." in name}
    assert len(within) == 96
    assert sum(p.numel() for p in within.values()) == 74_342_400
    entrance = [p for name, p in qkv.items() if name not in within]
    assert [tuple(p.shape) for p in entrance] == [(512, 512)] * 6  # transformer_in: 8 heads of 64


@pytest.mark.parametrize(
    "name, frames, size", [("modelscope", 16, (256, 256)), ("zeroscope", 24, (320, 576))]
)
def test_each_name_has_its_own_repository_frames_and_size(name, frames, size, folder, monkeypatch):
    asked = []

    def downloaded(repository):
        asked.append(repository.name)
        return folder

    monkeypatch.setattr(Repository, "downloaded", downloaded)
    base = Cascade.from_pretrained(name, device="cpu").base
    assert (base.name, base.frames, base.size) == (name, frames, size)
    assert name in asked[0].replace("text-to-video-ms-1.7b", "modelscope")
    changed = Cascade.from_pretrained(name, device="cpu", frames=8, size=(64, 128)).base
    assert (changed.frames, changed.size) == (8, (64, 128))


def test_the_published_solver_is_used(folder):
    base = Cascade.from_pretrained(folder, device="cpu").base
    sampler = base.sampler()
    assert type(sampler).__name__ == "DDIMScheduler"
    assert sampler is not base.sampler()
    published = {"steps_offset": 1, "clip_sample": False, "set_alpha_to_one": False}
    assert {name: sampler.config[name] for name in published} == published
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    torch.testing.assert_close(
        base.alphas_cumprod.double(), torch.cumprod(1 - betas, 0), atol=1e-6, rtol=1e-4
    )
