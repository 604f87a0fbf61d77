"""Files that torch.save wrote are read without running what they say."""

import zipfile
from collections import OrderedDict

import pytest
import torch

from vmc.backbones.torch_archive import read_archive
from vmc.errors import BadInput


def tensors():
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(6, 4, generator=generator)
    return {
        "plain": whole,
        "transposed view": whole.t()[1:, ::2],
        "half": whole.half(),
        "bfloat16": whole.bfloat16(),
        "long": torch.arange(5),
        "flag": torch.tensor([True, False]),
        "scalar": torch.tensor(3.0),
        "empty": torch.empty(0, 3),
    }


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_every_tensor_comes_back_to_the_bit(tmp_path, kind):
    torch.save(kind(tensors()), tmp_path / "weights.bin")
    read = read_archive(tmp_path / "weights.bin")
    assert list(read) == list(tensors())
    for name, expected in tensors().items():
        assert read[name].dtype == expected.dtype and read[name].shape == expected.shape
        assert torch.equal(read[name], expected)


def test_a_modules_state_dict_and_its_parameters(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    for state in (module.state_dict(), dict(module.named_parameters())):
        torch.save(state, tmp_path / "weights.bin")
        read = read_archive(tmp_path / "weights.bin")
        assert set(read) == set(state)
        assert all(torch.equal(read[name], tensor) for name, tensor in state.items())


def test_what_was_read_can_be_changed_without_changing_the_file(tmp_path):
    torch.save({"a": torch.zeros(3)}, tmp_path / "weights.bin")
    before = (tmp_path / "weights.bin").read_bytes()
    read_archive(tmp_path / "weights.bin")["a"].add_(1)
    assert (tmp_path / "weights.bin").read_bytes() == before


class Malicious:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


def test_code_is_refused_and_not_run(tmp_path):
    torch.save({"a": torch.zeros(3), "b": Malicious(tmp_path / "ran")}, tmp_path / "weights.bin")
    with pytest.raises(BadInput, match=r"names 'io open'"):
        read_archive(tmp_path / "weights.bin")
    assert not (tmp_path / "ran").exists()


def damage(path, kind):
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "old format":
        torch.save({"a": torch.zeros(3)}, path, _use_new_zipfile_serialization=False)
    elif kind == "not tensors":
        torch.save({"a": 3}, path)
    elif kind == "a list":
        torch.save([torch.zeros(3)], path)
    elif kind == "another archive":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", "a")
    else:
        path.write_bytes(b"")


@pytest.mark.parametrize(
    "kind", ["truncated", "old format", "not tensors", "a list", "another archive", "empty"]
)
def test_a_file_that_will_not_do_is_named(tmp_path, kind):
    path = tmp_path / "weights.bin"
    torch.save({"a": torch.zeros(300)}, path)
    damage(path, kind)
    with pytest.raises(BadInput, match=r"weights\.bin is not a file of tensors"):
        read_archive(path)
    with pytest.raises(BadInput, match="is not a file of tensors"):
        read_archive(tmp_path / "not there.bin")
