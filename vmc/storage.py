"""Tensors on disk: safetensors files that are written whole or not at all, and never unpickled."""

import os
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import AdamW

from vmc.errors import BadInput

MOMENTS = ("exp_avg", "exp_avg_sq")  # as torch's AdamW calls them


def write_tensors(path: str | Path, tensors: dict[str, Tensor], header: dict[str, str]) -> None:
    """A safetensors file under a temporary name, then renamed: it is whole or it is not there."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
        mode = (
            partial.stat().st_mode
        )  # what the umask allows; save_file's own file is for its owner alone
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            partial,
            header,
        )
        partial.chmod(mode)
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        raise BadInput(
            f"{path} cannot be written ({error}); choose a folder with room that you may write to."
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def read_tensors(path: str | Path, form: str, what: str) -> tuple[dict[str, Tensor], dict]:
    """Tensors and header of a safetensors file of the format `form`, or BadInput naming `what`."""
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"There is no file {path}; give the path of {what}.")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BadInput(
            f"{path} cannot be read as {what} ({error}); it is truncated or of another kind, get "
            "the file again."
        ) from None
    if header.get("format") != form:
        raise BadInput(f"{path} is a safetensors file, but not {what} that vmc wrote.")
    return tensors, header


def moments(parameters: dict[str, nn.Parameter], optimizer: AdamW) -> dict[str, Tensor]:
    """AdamW's running means of gradients and of their squares: `exp_avg.NAME`, `exp_avg_sq.NAME`.

    The optimizer must have taken a step with each parameter; KeyError otherwise.
    """
    return {
        f"{moment}.{name}": optimizer.state[parameter][moment]
        for name, parameter in parameters.items()
        for moment in MOMENTS
    }


def restore_moments(
    parameters: dict[str, nn.Parameter],
    optimizer: AdamW,
    tensors: dict[str, Tensor],
    step: int,
) -> None:
    """Put back what `moments` gave after `step` steps; KeyError where one is not in `tensors`."""
    for name, parameter in parameters.items():
        optimizer.state[parameter] = {"step": torch.tensor(float(step))} | {
            moment: tensors[f"{moment}.{name}"].to(parameter.device) for moment in MOMENTS
        }
