"""A published network from its folder: its configuration, and its weights in the dtype asked for.

Weights come from safetensors, or from torch's own files without unpickling them. Each tensor is
read when it is needed and converted on its own, so that loading never holds a network twice.
"""

import json
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from vmc.backbones.checkpoints import weight_files
from vmc.backbones.torch_archive import read_archive
from vmc.errors import BadInput


def read_config(folder: Path, name: str = "config.json") -> dict:
    """A configuration as it is written; BadInput if it is not there or damaged."""
    path = folder / name
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        _ = config.keys()
    except (OSError, ValueError, AttributeError):
        raise BadInput(
            f"{path} is missing or damaged: get the folder {folder.name} of this model again."
        ) from None
    return config


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a network's folder, mapped from its files, in the dtype they have there."""
    files = weight_files(folder)
    if not files:
        raise BadInput(
            f"{folder} holds no complete weights (a .safetensors or .bin file, or all of its "
            "parts): get the folder again."
        )
    tensors = {}
    for file in files:
        tensors |= _safetensors(file) if file.suffix == ".safetensors" else read_archive(file)
    return tensors


def _safetensors(file: Path) -> dict[str, Tensor]:
    try:
        with safe_open(file, "pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{file} is truncated or damaged ({error}): get it again.") from None


def half_precision(device: torch.device) -> torch.dtype:
    """What a large network is loaded in: float32 on a CPU; on a GPU the 16 bits that it knows."""
    if device.type != "cuda":
        return torch.float32
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


def load_network(
    kind: Callable[..., nn.Module],
    folder: Path,
    device: torch.device,
    dtype: torch.dtype,
    config: dict | None = None,
    weights: dict[str, Tensor] | None = None,
) -> nn.Module:
    """A diffusers network in eval mode, frozen.

    Arguments:
        kind: its class, or a function that makes one; called with `config`, or config.json's.
        weights: those to use in place of the files', such as `read_weights` gave them.
    Raises:
        BadInput: files that are missing or damaged, or that do not belong to such a network.
    """
    from accelerate import init_empty_weights

    config = read_config(folder) if config is None else config
    tensors = dict(read_weights(folder) if weights is None else weights)
    arguments = {name: value for name, value in config.items() if not name.startswith("_")}
    with init_empty_weights(include_buffers=False):
        try:
            network = kind(**arguments)
        except (TypeError, NotImplementedError) as error:
            raise BadInput(
                f"{folder / 'config.json'} does not describe a {kind.__name__} ({error}): get the "
                "folder again, or check that it is of this model."
            ) from None
    network._fix_state_dict_keys_on_load(tensors)  # attention had other names until 2023
    _check_fit(network, tensors, folder)
    for name in list(tensors):
        tensor = tensors.pop(name)
        converted = tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype)
        owner, _, leaf = name.rpartition(".")
        module = network.get_submodule(owner)
        if leaf in module._parameters:
            # A copy even where nothing is converted: the file may be replaced while we run.
            converted = converted.clone() if converted is tensor else converted
            module._parameters[leaf] = nn.Parameter(converted, requires_grad=False)
        else:
            module._buffers[leaf] = converted
    return network.eval()


def _check_fit(network: nn.Module, tensors: dict[str, Tensor], folder: Path) -> None:
    expected = network.state_dict()
    missing, foreign = expected.keys() - tensors.keys(), tensors.keys() - expected.keys()
    misshapen = [
        n for n in expected.keys() & tensors.keys() if expected[n].shape != tensors[n].shape
    ]
    for what, names in (("lack", missing), ("hold the unknown", foreign), ("misshape", misshapen)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise BadInput(
                f"The weights in {folder} do not fit its config.json: they {what} "
                f"{min(names)}{more}; get the folder again."
            )


def load_text_encoder(
    kind: type[nn.Module],
    folder: Path,
    device: torch.device,
    dtype: torch.dtype,
    bits: int = 16,
) -> nn.Module:
    """A text encoder of transformers in eval mode, frozen, which knows its older names.

    `bits` is 16 (which here means: in `dtype`), or 8 or 4, which quantizes the linear maps and
    needs bitsandbytes. Raises BadInput as `load_network` does, and where bitsandbytes is missing.
    """
    # With a place for it, each tensor goes to the device as it is read, not by way of a whole copy.
    options = {"device_map": {"": device}}
    if bits != 16:
        options |= _quantization(bits, dtype)
    config = kind.config_class.from_dict(read_config(folder))
    with _quiet():
        try:
            encoder, report = kind.from_pretrained(
                None,
                config=config,
                state_dict=read_weights(folder),
                dtype=dtype,
                output_loading_info=True,
                **options,
            )
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise BadInput(f"The weights in {folder} cannot be loaded ({reason}).") from error
    if report["missing_keys"] or report["mismatched_keys"]:
        names = sorted(map(str, {*report["missing_keys"], *report["mismatched_keys"]}))
        raise BadInput(
            f"The weights in {folder} do not fit its config.json: they lack {names[0]}; get the "
            "folder again."
        )
    return encoder.eval().requires_grad_(False)


def _quantization(bits: int, dtype: torch.dtype) -> dict:
    from importlib.util import find_spec

    from transformers import BitsAndBytesConfig

    if bits not in (8, 4):
        raise BadInput(f"A text encoder is loaded in 16, 8 or 4 bits, not in {bits}.")
    if find_spec("bitsandbytes") is None:
        raise BadInput(
            f"Loading the text encoder in {bits} bits needs bitsandbytes, which is not installed: "
            "`pip install bitsandbytes`, or leave it at 16 bits."
        )
    name = f"load_in_{bits}bit"
    compute = {"bnb_4bit_compute_dtype": dtype} if bits == 4 else {}
    return {"quantization_config": BitsAndBytesConfig(**{name: True}, **compute)}


@contextmanager
def _quiet():
    """transformers draws a bar and prints a table of what is missing; we say it in a sentence."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
