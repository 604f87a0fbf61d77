"""Networks that are in memory only while they work: a cascade's peak is its largest stage."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn


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


def release() -> None:
    """Give memory that nothing refers to any more back to the device."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
