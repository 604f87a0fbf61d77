"""What a computation holds in memory at its fullest, and its work: counted by operations."""

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakIdKeyDictionary


class LiveMemory(TorchDispatchMode):
    """Counts the storages that live, within a block, of tensors that were made in it.

    `live` is what they hold in bytes, `peak` the most so far, and `flops` the multiplications and
    additions of matrix products and convolutions. Works on the meta device, where nothing is
    computed, as on any other. Not seen are the scratch memory inside a single operation and what
    an allocator keeps in reserve.

    Arguments:
        held: tensors that exist already, such as weights; they do not count, nor do views of them.
    """

    def __init__(self, held: Iterable[Tensor] = ()):
        super().__init__()
        self.live = self.peak = self.flops = 0
        self._known = WeakIdKeyDictionary()
        for tensor in held:
            self._known[tensor.untyped_storage()] = True

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        options = options or {}
        output = function(*arguments, **options)
        if (work := flop_registry.get(function._overloadpacket)) is not None:
            self.flops += work(*arguments, **options, out_val=output)
        tree_map_only(Tensor, self._see, output)
        return output

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        self._known[storage] = True
        size = storage.nbytes()
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self.live -= size


@contextmanager
def fused_attention() -> Iterator[None]:
    """On the meta device, attention as a GPU computes it: without a matrix of all its weights.

    Exchanged by name and not by a mode of torch's, which would not reach what is computed again
    within a backward pass.
    """
    plain = F.scaled_dot_product_attention

    def fused(
        query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, **others
    ):
        return torch.ops.aten._scaled_dot_product_efficient_attention(
            query, key, value, attn_mask, True, dropout_p, is_causal, scale=scale
        )[0]

    F.scaled_dot_product_attention = fused
    try:
        yield
    finally:
        F.scaled_dot_product_attention = plain


def size_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of all storages behind these tensors, each counted once."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({id(storage): storage.nbytes() for storage in storages}.values())


def network_size(network: torch.nn.Module) -> int:
    """Bytes of a network's parameters and buffers."""
    return size_of([*network.parameters(), *network.buffers()])
