"""Published weights: which files are taken, how they are loaded, and a sentence where they fail."""

import json
import os
import shutil
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from diffusers import UNet2DConditionModel
from huggingface_hub import errors
from safetensors.torch import load_file, save_file
from transformers import T5EncoderModel

from vmc.backbones import checkpoints, miniature
from vmc.backbones.checkpoints import Repository, chosen_weights
from vmc.backbones.loading import load_network, load_text_encoder, read_weights
from vmc.backbones.show1 import BASE, NEEDED, load_stages
from vmc.backbones.unet import PixelUNet3D
from vmc.cascade import Cascade
from vmc.errors import BadInput

CPU = torch.device("cpu")
FILE = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return miniature.show1(tmp_path_factory.mktemp("show-1"))


@pytest.fixture
def folder(whole, tmp_path):
    """The keyframe model alone, to be damaged."""
    shutil.copytree(whole / "show-1-base", tmp_path / "show-1" / "show-1-base")
    return tmp_path / "show-1"


def load(folder):
    return load_stages(folder, CPU, until="keyframes", frames=3, size=(8, 16))[0]


# --- which files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names, chosen",
    [
        (["model.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["model.fp16.safetensors", "model.safetensors"], ["model.fp16.safetensors"]),
        (["pytorch_model.fp16.bin", "pytorch_model.bin"], ["pytorch_model.fp16.bin"]),
        (["model.safetensors", "pytorch_model.fp16.bin"], ["model.safetensors"]),
        (
            ["pytorch_model-00002-of-00002.bin", "pytorch_model-00001-of-00002.bin"],
            ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"],
        ),
        (
            ["model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors"],
            ["model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors"],
        ),
        (
            ["model-00001-of-00001.fp16.safetensors"],
            ["model-00001-of-00001.fp16.safetensors"],
        ),
        (["pytorch_model-00002-of-00002.bin"], []),
        (["config.json", "flax_model.msgpack", "model.onnx"], []),
    ],
)
def test_one_kind_of_weights_is_chosen(names, chosen):
    assert chosen_weights(["config.json", *names]) == chosen


def test_only_the_files_that_are_used_are_downloaded(monkeypatch):
    files = [
        "model_index.json",
        "README.md",
        "unet/config.json",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.bin",
        "safety_checker/pytorch_model.bin",
        "text_encoder/config.json",
        "text_encoder/pytorch_model.fp16-00001-of-00002.bin",
        "text_encoder/pytorch_model.fp16-00002-of-00002.bin",
        "scheduler/scheduler_config.json",
        "tokenizer/spiece.model",
        "tokenizer/tokenizer_config.json",
    ]
    monkeypatch.setattr(
        huggingface_hub, "HfApi", lambda: SimpleNamespace(list_repo_files=lambda n: files)
    )
    left = {"README.md", "unet/diffusion_pytorch_model.bin", "safety_checker/pytorch_model.bin"}
    assert set(BASE._wanted()) == set(files) - left


# --- loading --------------------------------------------------------------------------------------


def as_bin(part, shards=1):
    """Rewrite a network's safetensors as torch's own files."""
    (file,) = part.glob("*.safetensors")
    tensors = load_file(file)
    file.unlink()
    names = sorted(tensors)
    for number in range(shards):
        chosen = {name: tensors[name] for name in names[number::shards]}
        ending = f"-{number + 1:05}-of-{shards:05}.bin" if shards > 1 else ".bin"
        torch.save(chosen, part / f"pytorch_model{ending}")


def test_weights_in_torchs_own_files_give_the_same_model(whole, folder):
    as_bin(folder / "show-1-base" / "unet", shards=2)
    as_bin(folder / "show-1-base" / "text_encoder")
    expected, got = load(whole), load(folder)
    assert got.fingerprint == expected.fingerprint
    state = got.unet.state_dict()
    assert all(torch.equal(state[n], t) for n, t in expected.unet.state_dict().items())
    assert torch.equal(got.encode_text(["a fish"]), expected.encode_text(["a fish"]))


def test_a_loaded_network_is_frozen_and_computes_as_saved(whole):
    part = whole / "show-1-base" / "unet"
    unet = load_network(PixelUNet3D, part, CPU, torch.float32)
    assert not unet.training and not any(p.requires_grad for p in unet.parameters())
    assert not any(x.is_meta for x in [*unet.parameters(), *unet.buffers()])
    config = json.loads((part / "config.json").read_text())
    plain = PixelUNet3D(**{k: v for k, v in config.items() if k != "_class_name"}).eval()
    plain.load_state_dict(load_file(part / FILE))
    inputs = torch.randn(1, 3, 2, 8, 8), 500, torch.randn(1, 4, miniature.pixel.TEXT_WIDTH)
    with torch.no_grad():
        assert torch.equal(unet(*inputs), plain(*inputs))
    half = load_network(PixelUNet3D, part, CPU, torch.bfloat16)
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}


def test_eight_and_four_bits_need_bitsandbytes(whole, monkeypatch):
    part = whole / "show-1-base" / "text_encoder"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for bits in (8, 4):
        with pytest.raises(BadInput, match=f"in {bits} bits needs bitsandbytes.*pip install"):
            load_text_encoder(T5EncoderModel, part, CPU, torch.float32, bits)
    with pytest.raises(BadInput, match="in 16, 8 or 4 bits, not in 2"):
        load_text_encoder(T5EncoderModel, part, CPU, torch.float32, 2)


def test_the_configuration_for_fewer_bits_is_handed_on(whole, monkeypatch):
    """As far as that can be seen where bitsandbytes is not installed."""
    seen = {}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)

    def from_pretrained(*_, **options):
        seen.update(options)
        raise ValueError("no GPU")

    monkeypatch.setattr(T5EncoderModel, "from_pretrained", from_pretrained)
    part = whole / "show-1-base" / "text_encoder"
    for bits, name in ((8, "load_in_8bit"), (4, "load_in_4bit")):
        with pytest.raises(BadInput, match=r"cannot be loaded \(no GPU\)"):
            load_text_encoder(T5EncoderModel, part, CPU, torch.float16, bits)
        assert getattr(seen["quantization_config"], name)
        assert (
            seen["device_map"] == {"": CPU}
            and "encoder.final_layer_norm.weight" in seen["state_dict"]
        )


# --- what can be wrong with a folder --------------------------------------------------------------


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    "part, message",
    [
        (
            "unet",
            r"show-1-base/unet is not there or not whole.*hf download showlab/show-1-base.*13 GB",
        ),
        (f"unet/{FILE}", "unet is not there or not whole"),
        ("unet/config.json", "unet is not there or not whole"),
        ("text_encoder/model.safetensors", "text_encoder is not there or not whole"),
        ("scheduler/scheduler_config.json", "scheduler is not there or not whole"),
        ("tokenizer", "tokenizer is not there or not whole"),
    ],
)
def test_missing_parts_are_named(folder, part, message):
    remove(folder / "show-1-base" / part)
    with pytest.raises(BadInput, match=message):
        load(folder)


def test_a_missing_stage_is_named(folder):
    with pytest.raises(BadInput, match=r"show-1-interpolation/unet is not there.*3\.5 GB"):
        Cascade.from_pretrained(folder, "cpu")


def test_half_of_the_shards_are_not_weights(folder):
    as_bin(folder / "show-1-base" / "unet", shards=2)
    (folder / "show-1-base" / "unet" / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(BadInput, match="unet is not there or not whole"):
        load(folder)
    with pytest.raises(BadInput, match="holds no complete weights"):
        read_weights(folder / "show-1-base" / "unet")


def edited(path, **changes):
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, **changes}))


def truncated(path):
    path.write_bytes(path.read_bytes()[:-1000])


def without(path, *names, **more):
    tensors = {n: t for n, t in load_file(path).items() if n not in names}
    save_file(tensors | more, path, {"format": "pt"})


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda base: (base / "unet/config.json").write_text("{"), "config.json is missing or dam"),
        (lambda base: (base / "unet/config.json").write_text("[]"), "config.json is missing or da"),
        (lambda base: edited(base / "unet/config.json", depth=3), "does not know the argument 'de"),
        (lambda base: edited(base / "unet/config.json", in_channels=5), "misshape conv_in.weight"),
        (lambda base: truncated(base / "unet" / FILE), "truncated or damaged"),
        (lambda base: without(base / "unet" / FILE, "conv_in.bias"), "they lack conv_in.bias; "),
        (
            lambda base: without(base / "unet" / FILE, "conv_in.bias", "conv_in.weight"),
            "they lack conv_in.bias and 1 more",
        ),
        (
            lambda base: without(base / "unet" / FILE, extra=torch.zeros(2)),
            "hold the unknown extra",
        ),
        (
            lambda base: without(
                base / "text_encoder/model.safetensors", "encoder.final_layer_norm.weight"
            ),
            "they lack encoder.final_layer_norm.weight",
        ),
        (lambda base: (base / "tokenizer/tokenizer.json").write_text("{"), "tokenizer in .* can"),
        (lambda base: (base / "tokenizer/tokenizer.json").write_text("{}"), "tokenizer in .* can"),
    ],
)  # fmt: skip
def test_damaged_parts_are_named(folder, damage, message):
    damage(folder / "show-1-base")
    with pytest.raises(BadInput, match=message):
        load(folder).encode_text(["a fish"])


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["{", "[]", "null", ""])
def test_a_damaged_tokenizer_of_the_last_stage_is_found_while_loading(
    whole, tmp_path, file, content
):
    folder = shutil.copytree(whole, tmp_path / "show-1", copy_function=os.link)
    damaged = folder / "show-1-sr2" / "tokenizer" / file
    damaged.unlink()  # the file that is linked stays whole
    damaged.write_text(content)
    with pytest.raises(BadInput, match="show-1-sr2/tokenizer holds no whole tokenizer of CLIP"):
        Cascade.from_pretrained(folder, "cpu")


def test_a_configuration_of_another_network_is_refused(whole):
    part = whole / "show-1-sr2" / "unet"
    with pytest.raises(BadInput, match="down_block_types is"):
        load_network(PixelUNet3D, part, CPU, torch.float32)
    part = whole / "show-1-base" / "unet"
    with pytest.raises(BadInput, match="does not describe a UNet2DConditionModel"):
        load_network(UNet2DConditionModel, part, CPU, torch.float32)


# --- the hub, without a network -------------------------------------------------------------------


def test_without_a_network_the_cache_and_the_folder_are_named(monkeypatch):
    disk(monkeypatch, free=1e12)
    with pytest.raises(BadInput) as caught:
        Cascade.from_pretrained("show-1", "cpu")
    sentence = str(caught.value)
    assert sentence.startswith("showlab/show-1-base is not whole on this machine")
    assert "connect to the hub" in sentence and "13 GB are needed" in sentence
    assert huggingface_hub.constants.HF_HUB_CACHE in sentence
    assert "as a folder show-1-base" in sentence


def disk(monkeypatch, free):
    usage = SimpleNamespace(total=0, used=0, free=free)
    monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda folder: usage)


RESPONSE = SimpleNamespace(headers={}, request=None, status_code=403)


@pytest.mark.parametrize(
    "error, message",
    [
        (
            errors.GatedRepoError("403", response=RESPONSE),
            r"IF-II-L-v1.0 is gated: accept its licence at https://huggingface.co/DeepFloyd/IF-II"
            r".*hf auth login",
        ),
        (
            errors.RepositoryNotFoundError("404", response=RESPONSE),
            "is not on the hub, or not for you.*hf auth login",
        ),
        (
            ConnectionError("no route to host.\nmore"),
            r"not be downloaded \(no route to host\): con",
        ),
        (errors.HTTPError("Name or service not known"), "Name or service not known"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_what_the_hub_refuses_becomes_a_sentence(monkeypatch, tmp_path, error, message):
    def snapshot_download(name, local_files_only=False, allow_patterns=None):
        raise errors.LocalEntryNotFoundError("nothing") if local_files_only else error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(Repository, "_wanted", lambda self: [])
    disk(monkeypatch, free=1e12)
    repository = NEEDED["video"][2]
    with pytest.raises(BadInput, match=message) as caught:
        repository.downloaded()
    assert "2.4 GB are needed" in str(caught.value)


def test_what_is_whole_in_the_cache_needs_no_network(monkeypatch, whole):
    def snapshot_download(name, local_files_only=False, allow_patterns=None):
        assert local_files_only
        return str(whole / name.split("/")[1])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    cascade = Cascade.from_pretrained("show-1", "cpu", frames=3, size=(8, 16))
    assert cascade.base.name == "show-1" and len(cascade.super_resolution) == 2


def test_a_partial_download_goes_on(monkeypatch, whole, folder):
    (folder / "show-1-base/unet" / FILE).unlink()
    calls = []

    def snapshot_download(name, local_files_only=False, allow_patterns=None):
        calls.append(allow_patterns)
        if not local_files_only:
            shutil.copy(whole / "show-1-base/unet" / FILE, folder / "show-1-base/unet")
        return str(folder / "show-1-base")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(Repository, "_wanted", lambda self: ["unet/*"])
    disk(monkeypatch, free=1e12)
    assert BASE.downloaded() == folder / "show-1-base"
    assert calls == [None, ["unet/*"]]


def test_a_full_disk_is_seen_before_the_download(monkeypatch):
    disk(monkeypatch, free=2e9)
    with pytest.raises(BadInput, match=r"needs 13 GB, but only 2.0 GB are free.*HF_HOME"):
        BASE.downloaded()
