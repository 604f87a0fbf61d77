"""The parts of a run, and what each of them needs.

A backbone that can be planned says what its parts are: its module offers

    parts(place, until) -> list[Part]

Each part is measured on the meta device by doing what the run does, as far as memory is concerned.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vmc.adapter import exchanged
from vmc.planning.memory import LiveMemory, fused_attention, network_size, size_of


@dataclass(frozen=True)
class Part:
    """One network at one kind of work."""

    name: str
    network: Callable[[], nn.Module]
    """Builds it; called on the meta device."""
    run: Callable[[nn.Module, torch.dtype], Tensor]
    """One pass of it over inputs of full size, made on the meta device; returns its answer."""
    passes: int
    """How many of these a whole run takes: steps of tuning, or sampling steps times guidance."""
    tuned: Callable[[nn.Module], dict[str, nn.Parameter]] | None = None
    """The parameters that are tuned; None where the network only answers."""
    is_text_encoder: bool = False


@dataclass(frozen=True)
class Need:
    """What a part needs, in bytes of the device it runs on."""

    part: Part
    weights: int
    optimizer: int
    """Tuned weights in float32, their gradients and AdamW's two moments."""
    activations: int
    """All else at the fullest moment: activations, and rounded copies of tuned weights."""
    flops: int
    """Multiplications and additions of all passes of a run."""

    @property
    def peak(self) -> int:
        return self.weights + self.optimizer + self.activations


def measured(part: Part, dtype: torch.dtype, checkpointing: bool = True, bits: int = 16) -> Need:
    """What `part` needs with its network in `dtype`; `bits` per weight of its linear maps."""
    with torch.device("meta"), fused_attention():
        network = part.network().eval().requires_grad_(False)
        exempt = getattr(network, "_keep_in_fp32_modules", None) or ()  # T5's, of float16 alone
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
            kept = dtype == torch.float16 and any(word in name.split(".") for word in exempt)
            if tensor.is_floating_point() and not kept:
                tensor.data = tensor.data.to(dtype)
        if checkpointing and part.tuned:
            network.enable_gradient_checkpointing()
        if part.tuned is None:
            held = [*network.parameters(), *network.buffers()]
            with torch.no_grad(), LiveMemory(held) as memory:
                part.run(network, dtype)
            optimizer, activations = 0, memory.peak
        else:
            memory, optimizer, activations = _tuning_step(part, network, dtype)
    weights = network_size(network)
    if bits < 16:
        linear = size_of(m.weight for m in network.modules() if isinstance(m, nn.Linear))
        weights -= linear - linear * bits // (8 * dtype.itemsize)
    return Need(part, weights, optimizer, activations, memory.flops * part.passes)


def _tuning_step(part: Part, network: nn.Module, dtype: torch.dtype) -> tuple[LiveMemory, int, int]:
    """`vmc.finetuning`'s step: its count, what stays between steps, what is added at most."""
    tuned = part.tuned(network)
    weights = {n: nn.Parameter(p.detach().to(torch.float32, copy=True)) for n, p in tuned.items()}
    optimizer = torch.optim.AdamW(weights.values(), foreach=False)
    for weight in weights.values():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()  # makes the moments
    optimizer.zero_grad()
    moments = [x for state in optimizer.state.values() for x in state.values()]
    stays = [*weights.values(), *moments]
    with LiveMemory([*network.parameters(), *network.buffers(), *stays]) as memory:
        used = weights
        if dtype != torch.float32:
            used = {n: nn.Parameter(w.detach().to(dtype)) for n, w in weights.items()}
        with exchanged(network, used), torch.enable_grad():
            part.run(network, dtype).float().square().mean().backward()
        if used is not weights:
            for name, weight in weights.items():
                weight.grad = used.pop(name).grad.float()
        optimizer.step()
    gradients = size_of(weight.grad for weight in weights.values())
    return memory, size_of(stays) + gradients, max(memory.peak - gradients, 0)
