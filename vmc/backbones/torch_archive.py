"""The tensors of a `.bin` file that torch wrote, read without unpickling it.

Such a file is a zip archive: one entry of raw bytes for every storage, and `data.pkl`, a program in
pickle's machine language whose run gives the dictionary of tensors, and could as well do anything
else. The program is not run here. Its instructions are read as data, and of them only those are
understood that a dictionary of tensors needs: words, numbers, tuples, dictionaries, references to a
storage, and the one call that lays a tensor over it. Whatever else occurs ends the reading.
"""

import mmap
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from vmc.errors import BadInput

DTYPES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
}
CALLS = {
    "collections OrderedDict",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_tensor_v2",
}
PUSHES = {"BININT", "BININT1", "BININT2", "BINUNICODE", "SHORT_BINUNICODE", "INT", "LONG1"}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
START = object()  # where a tuple or the items of a dictionary begin


def read_archive(path: str | Path) -> dict[str, Tensor]:
    """Name → tensor, mapped from the file: bytes are read when a tensor is first used.

    Raises BadInput for a file that is no such archive, is truncated, or holds anything but tensors.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            entries = {entry.filename: entry for entry in archive.infolist()}
            (program,) = (name for name in entries if name.endswith("/data.pkl"))
            storages = _Storages(mapped, entries, program.removesuffix("data.pkl"))
            made = _interpreted(pickletools.genops(archive.read(program)), storages)
            return {name: tensor for name, tensor in made.items() if _named_tensor(name, tensor)}
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, IndexError, AttributeError,
            TypeError, RuntimeError) as error:  # fmt: skip
        raise BadInput(
            f"{path} is not a file of tensors that can be read safely ({error}); get it again, or "
            "weights in the safetensors format."
        ) from None


def _named_tensor(name, tensor) -> bool:
    if not isinstance(name, str) or not isinstance(tensor, Tensor):
        raise ValueError(f"{name!r} is no tensor")
    return True


class _Storages:
    """The raw bytes of the archive, as one-dimensional tensors."""

    def __init__(self, mapped: mmap.mmap, entries: dict[str, zipfile.ZipInfo], root: str):
        self.mapped, self.entries, self.root = mapped, entries, root

    def __call__(self, reference: tuple) -> Tensor:
        """`reference` is ("storage", its type, its key, where it was, its length)."""
        _, kind, key, _, length = reference
        dtype = DTYPES[kind.partition(" ")[2]]
        entry = self.entries[f"{self.root}data/{key}"]
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError("its tensors are compressed")
        # A local header is 30 bytes, a name and an extra field whose lengths stand in it.
        header = self.mapped[entry.header_offset : entry.header_offset + 30]
        sizes = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        start = entry.header_offset + 30 + sizes
        if length == 0:
            return torch.empty(0, dtype=dtype)
        if entry.file_size < length * dtype.itemsize:
            raise ValueError(f"tensor {key} is truncated")
        return torch.frombuffer(self.mapped, dtype=dtype, count=length, offset=start)


def _call(what: str, arguments: tuple):
    if what == "collections OrderedDict":
        return {}
    if what == "torch._utils _rebuild_parameter":
        return arguments[0]
    storage, offset, size, stride, *_ = arguments
    return storage.as_strided(size, stride, offset)


def _interpreted(instructions: Iterator, storages: _Storages) -> dict:
    """What the program would leave on its stack."""
    stack, memo = [], {}

    def since_start() -> list:
        items = []
        while (item := stack.pop()) is not START:
            items.insert(0, item)
        return items

    for opcode, argument, _ in instructions:
        name = opcode.name
        if name in PUSHES:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name == "GLOBAL":
            if argument not in CALLS and argument.partition(" ")[2] not in DTYPES:
                raise ValueError(f"it names {argument!r}")
            stack.append(argument)
        elif name == "REDUCE":
            arguments, what = stack.pop(), stack.pop()
            if what not in CALLS:
                raise ValueError(f"it calls {what!r}")
            stack.append(_call(what, arguments))
        elif name == "BINPERSID":
            stack.append(storages(stack.pop()))
        elif name == "MARK":
            stack.append(START)
        elif name == "EMPTY_TUPLE":
            stack.append(())
        elif name == "TUPLE":
            stack.append(tuple(since_start()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            stack[-1][key] = value
        elif name == "SETITEMS":
            items = since_start()
            stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "BUILD":  # attributes of the dictionary, such as the versions of its modules
            stack.pop()
        elif name == "STOP":
            return stack.pop()
        elif name != "PROTO":
            raise ValueError(f"it holds the instruction {name}")
    raise ValueError("its program has no end")
