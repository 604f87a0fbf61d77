"""Networks that are in memory only while they work: a cascade's peak is its largest stage."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn


class OnDemand:
    """A network that `load` brings in when it is wanted; `loaded` holds it for a block."""

    def __init__(self, load: Callable[[], nn.Module]):
        self.load = load

    @contextmanager
    def loaded(self) -> Iterator[nn.Module]:
        release()
        yield self.load()


def at_hand(network: nn.Module | OnDemand):
    """`with at_hand(network) as network`: loaded for the block if `OnDemand`, else as it is."""
    return network.loaded() if isinstance(network, OnDemand) else nullcontext(network)


@contextmanager
def set_aside(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Within the block `network` lies in main memory and leaves a GPU's to others."""
    if device.type == "cpu":
        yield
        return
    network.to("cpu")
    release()
    try:
        yield
    finally:
        network.to(device)


def as_memory_allows(work: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    """`work(batch)`; in halves, and halves of these, where a GPU's memory does not take all."""
    try:
        return work(batch)
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise
    release()  # not within the handler, whose traceback still holds what did not fit
    return torch.cat([as_memory_allows(work, half) for half in batch.chunk(2)])


def release() -> None:
    """Give memory that nothing refers to any more back to the device."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
