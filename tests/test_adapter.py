"""Adapters: used to the bit as tuned, and never on what they were not tuned for."""

import json
import os
from importlib.metadata import version

import pytest
import torch
from fake_backbone import RandomBackbone
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from vmc.adapter import Motion, MotionAdapter, versions
from vmc.errors import BadInput

BACKBONE = RandomBackbone()
INPUT = (torch.linspace(-1, 1, 3 * 4 * 8 * 8).view(1, 3, 4, 8, 8), 300)


def adapter_for(backbone=BACKBONE, seed=0, part="temporal"):
    """Weights as far from the backbone's as these are large."""
    generator = torch.Generator().manual_seed(seed)
    weights = {
        name: 0.1 * torch.randn(own.shape, generator=generator)
        for name, own in getattr(backbone, f"{part}_qkv")().items()
    }
    metadata = {
        "backbone": backbone.name,
        "fingerprint": backbone.fingerprint,
        "prompt": "a ball is moving",
        "seed": seed,
        "steps": 6,
        "settings": {"loss": "cosine", "timesteps": [0, 1000]},
        "versions": versions(),
    }
    return MotionAdapter((Motion(weights, metadata),))


def current(backbone=BACKBONE):
    return {name: tensor.clone() for name, tensor in backbone.unet.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@torch.no_grad()
def prediction(backbone=BACKBONE):
    return backbone.predict_noise(*INPUT, backbone.encode_text(["a ball"]))


def test_applied_to_the_bit_and_taken_off_to_the_bit():
    adapter, before, predicted = adapter_for(), current(), prediction()
    own = dict(BACKBONE.unet.named_parameters())
    with adapter.applied(BACKBONE) as backbone:
        assert backbone is BACKBONE
        assert same(current(), before | adapter.motions[0].weights)
        assert not torch.equal(prediction(), predicted)
    assert same(current(), before)
    assert torch.equal(prediction(), predicted)
    assert all(own[name] is p for name, p in BACKBONE.unet.named_parameters())
    assert list(own) == [name for name, _ in BACKBONE.unet.named_parameters()]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_taken_off_whatever_happens(error):
    before = current()
    with pytest.raises(error), adapter_for().applied(BACKBONE):
        raise error
    assert same(current(), before)


def test_takes_a_cascade():
    class Cascade:
        base = BACKBONE

    with adapter_for().applied(Cascade) as backbone:
        assert backbone is BACKBONE


def test_the_backbone_says_which_network_inverts(monkeypatch):
    adapter, own = adapter_for(), prediction()
    with adapter.applied(BACKBONE):
        tuned = prediction()
    for inverts_tuned, expected in ((True, tuned), (False, own)):
        monkeypatch.setattr(RandomBackbone, "inverts_tuned", inverts_tuned)
        with adapter.inverting(BACKBONE) as backbone:
            assert backbone is BACKBONE
            assert torch.equal(prediction(), expected)
    assert not torch.equal(tuned, own)


def test_strength_moves_the_weights_along_the_tuned_change():
    adapter, before = adapter_for(), current()
    for strength in (-1.0, 0.0, 0.3, 2.0):
        with adapter.scaled(strength).applied(BACKBONE):
            applied = current()
        for name, tuned in adapter.motions[0].weights.items():
            expected = before[name] + strength * (tuned - before[name])
            torch.testing.assert_close(applied[name], expected, rtol=0, atol=1e-6)
    with adapter.scaled(0.0).applied(BACKBONE):
        assert same(current(), before)
    with adapter.scaled(0.5).scaled(2.0).applied(BACKBONE):
        assert same(current(), before | adapter.motions[0].weights)


def test_mix_adds_changes():
    one, two, before = adapter_for(seed=1), adapter_for(seed=2), current()
    with MotionAdapter.mix({one: 0.7, two.scaled(2.0): 0.2}).applied(BACKBONE):
        applied = current()
    for name, own in before.items():
        first, second = (a.motions[0].weights.get(name, own) for a in (one, two))
        expected = own + 0.7 * (first - own) + 0.4 * (second - own)
        torch.testing.assert_close(applied[name], expected, rtol=0, atol=1e-6)
    temporal, spatial = adapter_for(), adapter_for(part="spatial")
    with MotionAdapter.mix({temporal: 1.0, spatial: 1.0}).applied(BACKBONE):
        changed = temporal.motions[0].weights | spatial.motions[0].weights
        assert same(current(), before | changed)
    with MotionAdapter.mix({one: 1.0}).applied(BACKBONE):
        assert same(current(), before | one.motions[0].weights)


def test_file_keeps_every_bit_and_the_record(tmp_path):
    mixed = MotionAdapter.mix({adapter_for(seed=1): 0.7, adapter_for(seed=2): 1 / 3})
    path = tmp_path / "new folder" / "motion.safetensors"
    mixed.save(path)
    assert os.listdir(path.parent) == ["motion.safetensors"]
    loaded = MotionAdapter.load(path, BACKBONE)
    assert len(loaded.motions) == 2
    for ours, theirs in zip(mixed.motions, loaded.motions, strict=True):
        assert same(ours.weights, theirs.weights)
        assert (ours.metadata, ours.strength) == (theirs.metadata, theirs.strength)
    assert loaded.metadata["prompt"] == "a ball is moving"
    assert loaded.metadata["versions"]["torch"] == version("torch")
    with mixed.applied(BACKBONE):
        expected = current()
    with loaded.applied(BACKBONE):
        assert same(current(), expected)


def test_file_is_as_readable_as_any_other(tmp_path):
    path = tmp_path / "motion.safetensors"
    before = os.umask(0o027)
    try:
        adapter_for().save(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_half_precision_backbone():
    backbone = RandomBackbone()
    backbone.to(torch.bfloat16)
    adapter, before = adapter_for(), current(backbone)
    with adapter.applied(backbone):
        tuned = {name: w.bfloat16() for name, w in adapter.motions[0].weights.items()}
        assert same(current(backbone), before | tuned)
        assert prediction(backbone).isfinite().all()
    with adapter.scaled(0.0).applied(backbone):
        assert same(current(backbone), before)


def test_one_adapter_at_a_time():
    before = current()
    with (
        pytest.raises(BadInput, match=r"applied already.*MotionAdapter\.mix"),
        adapter_for(seed=1).applied(BACKBONE),
        adapter_for(seed=2).applied(BACKBONE),
    ):
        pass
    assert same(current(), before)


def test_another_backbone_is_refused(tmp_path):
    other = RandomBackbone(seed=1)
    assert other.fingerprint != BACKBONE.fingerprint == RandomBackbone(seed=0).fingerprint
    adapter = adapter_for()
    adapter.save(tmp_path / "motion.safetensors")
    message = f"tuned on random \\({BACKBONE.fingerprint}\\).*is random \\({other.fingerprint}\\)"
    with pytest.raises(BadInput, match=message):
        MotionAdapter.load(tmp_path / "motion.safetensors", other)
    with pytest.raises(BadInput, match=message), adapter.applied(other):
        pass
    with pytest.raises(BadInput, match="cannot be mixed"):
        MotionAdapter.mix({adapter: 0.5, adapter_for(other): 0.5})


def test_numbers_that_make_no_motion_are_refused():
    for strength in (float("nan"), float("inf")):
        with pytest.raises(BadInput, match="finite"):
            adapter_for().scaled(strength)
    with pytest.raises(BadInput, match="at least one"):
        MotionAdapter.mix({})


def test_altered_names_and_shapes_are_refused(tmp_path):
    path = tmp_path / "motion.safetensors"
    adapter_for().save(path)
    with safe_open(path, "pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    name = next(iter(tensors))
    renamed = {f"{key}.x" if key == name else key: value for key, value in tensors.items()}
    reshaped = tensors | {name: tensors[name][:-1].clone()}
    for altered in (renamed, reshaped):
        save_file(altered, path, header)
        with pytest.raises(BadInput, match="no counterpart in random"):
            MotionAdapter.load(path, BACKBONE)


def test_files_that_are_no_adapter_are_refused(tmp_path):
    path = tmp_path / "motion.safetensors"
    with pytest.raises(BadInput, match="no file"):
        MotionAdapter.load(path)
    with pytest.raises(BadInput, match="no file"):
        MotionAdapter.load(tmp_path)
    adapter_for().save(path)
    whole = path.read_bytes()
    for size in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(BadInput, match="truncated or of another kind"):
            MotionAdapter.load(path)
    path.write_bytes(b"GIF89a" + bytes(1000))
    with pytest.raises(BadInput, match="truncated or of another kind"):
        MotionAdapter.load(path)
    for header in (None, {"format": "pt"}):
        save_file({"weight": torch.zeros(2)}, path, header)
        with pytest.raises(BadInput, match="not a motion adapter that vmc wrote"):
            MotionAdapter.load(path)
    form = {"format": "vmc motion adapter 1"}
    for motions in ("", "[]", "[{}]", "[3]", json.dumps([{"strength": 1, "metadata": {}}])):
        save_file({"weight": torch.zeros(2)}, path, form | {"motions": motions})
        with pytest.raises(BadInput, match="damaged header"):
            MotionAdapter.load(path)


def test_a_save_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "motion.safetensors"
    adapter_for(seed=1).save(path)
    whole = path.read_bytes()

    def no_room(tensors, partial, header):
        partial.write_bytes(whole[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vmc.storage.save_file", no_room)
    with pytest.raises(BadInput, match=r"cannot be written .*No space left"):
        adapter_for(seed=2).save(path)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["motion.safetensors"] and path.read_bytes() == whole
    for impossible in (path / "inside a file", tmp_path):
        with pytest.raises(BadInput, match="cannot be written"):
            adapter_for().save(impossible)
    assert os.listdir(tmp_path) == ["motion.safetensors"] and path.read_bytes() == whole


def test_backbone_parameters_keep_their_flags():
    name = next(iter(BACKBONE.temporal_qkv()))
    with adapter_for().applied(BACKBONE):
        assert not BACKBONE.unet.get_parameter(name).requires_grad
    assert BACKBONE.unet.get_parameter(name).requires_grad
    assert isinstance(BACKBONE.unet.get_parameter(name), nn.Parameter)
