"""Tensors on disk: safetensors files that are written whole or not at all, and never unpickled."""

import os
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vmc.errors import BadInput


def write_tensors(path: str | Path, tensors: dict[str, Tensor], header: dict[str, str]) -> None:
    """A safetensors file under a temporary name, then renamed: it is whole or it is not there."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            partial,
            header,
        )
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
