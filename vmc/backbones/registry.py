"""Which backbones there are, and which of them a folder holds.

A backbone's module is imported only when it is asked for. It offers one function,

    load_stages(place, device, dtype, **settings) -> (base, interpolation, super_resolution)

where `place` is the name asked for or a folder, `dtype` may be None (the module's own choice for
`device`), and `settings` are what its users may change while loading. `base` is a
`vmc.backbones.Backbone`; a model of a single stage gives None and () for the others.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from vmc.errors import BadInput


def _class_name(file: Path) -> str | None:
    """The class that a configuration file says it is of; None where there is no such file."""
    try:
        return json.loads(file.read_text(encoding="utf-8")).get("_class_name")
    except (OSError, ValueError, AttributeError):
        return None


@dataclass(frozen=True)
class Family:
    """Backbones that are loaded by one module."""

    names: tuple[str, ...]
    module: str
    layout: str
    """What a folder of it holds, for people."""
    recognizes: Callable[[Path], bool]


FAMILIES = (
    Family(
        ("tiny",),
        "vmc.backbones.tiny",
        "keyframes/, interpolation/, super_resolution_1/, … as `vmc pretrain` writes them",
        lambda folder: (folder / "keyframes").is_dir(),
    ),
    Family(
        ("show-1",),
        "vmc.backbones.show1",
        "show-1-base/, show-1-interpolation/, show-1-sr1/, …",
        lambda folder: (folder / "show-1-base").is_dir(),
    ),
    Family(
        ("modelscope", "zeroscope"),
        "vmc.backbones.modelscope",
        "unet/ of a UNet3DConditionModel, vae/, text_encoder/, …",
        lambda folder: _class_name(folder / "unet" / "config.json") == "UNet3DConditionModel",
    ),
    Family(
        ("animatediff",),
        "vmc.backbones.animatediff",
        "motion_adapter/ beside the unet/, vae/, text_encoder/, … of Stable Diffusion 1.5",
        lambda folder: (folder / "motion_adapter").is_dir(),
    ),
)
NAMES = tuple(name for family in FAMILIES for name in family.names)


def family_of(place: str | Path) -> Family:
    """The family of a backbone's name or of a folder; BadInput if it is neither."""
    for family in FAMILIES:
        if str(place) in family.names:
            return family
    folder = Path(place)
    known = ", ".join(f'"{name}"' for name in NAMES)
    if not folder.exists():
        raise BadInput(
            f"There is no cascade at {folder}: ask for {known}, or for a folder in the layout of "
            "one of them."
        )
    for family in FAMILIES:
        if family.recognizes(folder):
            return family
    layouts = "; ".join(f"{', '.join(family.names)}: {family.layout}" for family in FAMILIES)
    raise BadInput(
        f"{folder} is in no layout that vmc knows; give a folder that holds what one of these does "
        f"({layouts})."
    )


def module_of(place: str | Path) -> ModuleType:
    """The module that loads `place`, imported now."""
    return import_module(family_of(place).module)
