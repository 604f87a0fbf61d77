"""AnimateDiff: an image model and a motion adapter made into one network."""

import json
import shutil

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel

from vmc.backbones import miniature
from vmc.backbones.animatediff import ADAPTER, IMAGE_UNET, AnimateDiff, motion_unet
from vmc.backbones.checkpoints import Repository
from vmc.cascade import Cascade
from vmc.errors import BadInput


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return miniature.animatediff(tmp_path_factory.mktemp("animatediff"))


def load(folder, **settings):
    return Cascade.from_pretrained(folder, device="cpu", **settings).base


def test_full_size_counts():
    """Two matrices of C×C for each of q, k and v in every module, C being its level's width."""
    with init_empty_weights():
        image, unet = UNet2DConditionModel(**IMAGE_UNET), motion_unet(IMAGE_UNET, {})
    assert sum(p.numel() for p in image.parameters()) == 859_520_964
    backbone = object.__new__(AnimateDiff)
    backbone.unet = unet
    qkv = backbone.temporal_qkv()
    modules = {320: 2 + 3, 640: 2 + 3, 1280: 2 * (2 + 3) + 1}  # down and up, and the middle
    assert len(qkv) == 6 * sum(modules.values()) == 126
    expected = sum(6 * count * width**2 for width, count in modules.items())
    assert sum(p.numel() for p in qkv.values()) == expected == 123_494_400


def test_the_network_is_the_one_that_diffusers_makes_of_both(folder):
    base = load(folder)
    parts = (
        UNet2DConditionModel.from_pretrained(folder / "unet"),
        MotionAdapter.from_pretrained(folder / "motion_adapter"),
    )
    reference = UNetMotionModel.from_unet2d(*parts).eval()
    expected = reference.state_dict()
    assert base.unet.state_dict().keys() == expected.keys()
    assert all(torch.equal(t, expected[n]) for n, t in base.unet.state_dict().items())

    generator = torch.Generator().manual_seed(0)
    noisy = torch.randn((2, 4, 5, 4, 6), generator=generator)
    text = base.encode_text(["a ball", "a star"])
    with torch.no_grad():
        each = [reference(x[None], 300, t.repeat(5, 1, 1)).sample
                for x, t in zip(noisy, text, strict=True)]  # fmt: skip
    torch.testing.assert_close(base.predict_noise(noisy, 300, text), torch.cat(each))


def test_frames_have_numbers_up_to_the_last_the_adapter_knows(folder):
    assert load(folder, frames=32).frames == 32
    with pytest.raises(BadInput, match="counts frames up to 32, so 33 are too many"):
        load(folder, frames=33)


def test_the_schedule_is_the_adapters(folder):
    base = load(folder)
    assert json.loads((folder / "scheduler" / "scheduler_config.json").read_text())[
        "beta_schedule"
    ] == ("scaled_linear")
    betas = torch.linspace(0.00085, 0.012, 1000, dtype=torch.float64)
    torch.testing.assert_close(
        base.alphas_cumprod.double(), torch.cumprod(1 - betas, 0), atol=1e-6, rtol=1e-4
    )
    assert type(base.sampler()).__name__ == "DDIMScheduler"
    assert not base.sampler().config.clip_sample


def test_by_name_both_repositories_are_asked_for(folder, monkeypatch):
    def downloaded(repository):
        asked.append(repository.name)
        return folder / "motion_adapter" if repository is ADAPTER else folder

    asked = []
    monkeypatch.setattr(Repository, "downloaded", downloaded)
    base = load("animatediff")
    assert (base.name, base.frames, base.size) == ("animatediff", 16, (512, 512))
    assert len(asked) == 2 and base.fingerprint == load(folder).fingerprint


def test_an_adapter_at_the_top_of_its_repository_is_downloaded(monkeypatch):
    import huggingface_hub

    files = ["README.md", "config.json", "diffusion_pytorch_model.fp16.safetensors"]
    files += ["diffusion_pytorch_model.safetensors", "other/config.json"]
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda *_: files)
    assert set(ADAPTER._wanted()) == {
        "model_index.json", "config.json", "diffusion_pytorch_model.fp16.safetensors"
    }  # fmt: skip


def other_blocks(folder):
    _configure(folder / "motion_adapter", block_out_channels=[32])


def other_layers(folder):
    _configure(folder / "motion_adapter", motion_layers_per_block=2)


def _configure(folder, **changed):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


@pytest.mark.parametrize("spoil", [other_blocks, other_layers])
def test_an_adapter_for_another_image_model_is_refused(folder, tmp_path, spoil):
    copy = shutil.copytree(folder, tmp_path / "copy")
    spoil(copy)
    with pytest.raises(BadInput, match=r"does not fit the U-Net in .*: take one for this image"):
        load(copy)


def test_an_adapter_without_its_weights_is_refused(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "motion_adapter" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(BadInput, match="motion_adapter holds no complete weights"):
        load(copy)
