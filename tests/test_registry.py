"""Which module loads what: names, folders by their layout, and a sentence for everything else."""

import json

import pytest

from vmc.backbones.registry import FAMILIES, NAMES, family_of
from vmc.cascade import Cascade
from vmc.errors import BadInput


def test_every_name_has_one_family():
    assert len(set(NAMES)) == len(NAMES)
    for family in FAMILIES:
        assert all(family_of(name) is family for name in family.names)


@pytest.mark.parametrize(
    "file, content, name",
    [
        ("keyframes/config.json", {}, "tiny"),
        ("show-1-base/model_index.json", {}, "show-1"),
        ("unet/config.json", {"_class_name": "UNet3DConditionModel"}, "modelscope"),
        ("motion_adapter/config.json", {}, "animatediff"),
    ],
)
def test_a_folder_is_known_by_its_layout(tmp_path, file, content, name):
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text(json.dumps(content))
    assert name in family_of(tmp_path).names
    assert name in family_of(str(tmp_path)).names


def test_a_folder_in_no_known_layout_is_refused(tmp_path):
    (tmp_path / "unet").mkdir()
    for content in ("{", "[]", '{"_class_name": "UNet2DConditionModel"}'):
        (tmp_path / "unet" / "config.json").write_text(content)
        with pytest.raises(BadInput, match=r"no layout that vmc knows.*show-1-base"):
            Cascade.from_pretrained(tmp_path)


def test_a_name_that_is_not_there_is_refused():
    with pytest.raises(BadInput, match='There is no cascade at show1: ask for "tiny", "show-1"'):
        Cascade.from_pretrained("show1")


@pytest.mark.parametrize(
    "name, setting, known",
    [
        ("modelscope", {"until": "keyframes"}, "frames, size, checkpointing"),
        ("animatediff", {"text_bits": 8}, "frames, size, checkpointing"),
        ("show-1", {"height": 40}, "until, frames, size"),
        ("tiny", {"size": (8, 8)}, "none"),
    ],
)
def test_a_setting_that_a_backbone_has_not_is_refused(name, setting, known):
    sentence = f"{name} has no setting '{next(iter(setting))}' .it has: {known}"
    with pytest.raises(BadInput, match=sentence):
        Cascade.from_pretrained(name, "cpu", **setting)
