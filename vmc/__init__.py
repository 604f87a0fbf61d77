"""Video Motion Customization: one short clip in, its motion in new videos out.

The names below are imported on first use, so that `import vmc` costs next to nothing.
"""

from importlib import import_module
from pkgutil import iter_modules

__version__ = "0.1.0"

_HOME = {
    "BadInput": "errors",
    "Cascade": "cascade",
    "MotionAdapter": "adapter",
    "finetune": "finetuning",
    "invert": "diffusion",
    "load_video": "video",
    "save_video": "video",
}

__all__ = sorted(["__version__", *_HOME])


def _modules() -> set[str]:
    return {module.name for module in iter_modules(__path__)}


def __getattr__(name: str):
    if name in _HOME:
        value = getattr(import_module(f"vmc.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if name in _modules():
        return import_module(f"vmc.{name}")
    raise AttributeError(f"module 'vmc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_modules()})
