"""How fast graphics cards multiply matrices, at best: from their makers' data sheets."""

import re

import torch

from vmc.backbones.loading import half_precision
from vmc.errors import BadInput

TERAFLOPS = {
    "T4": 65,
    "RTX 6000": 130,
    "V100": 125,
    "A10G": 70,
    "A10": 125,
    "L4": 121,
    "L40S": 362,
    "L40": 181,
    "RTX 3090": 71,
    "RTX 4090": 165,
    "RTX A6000": 155,
    "RTX 6000 Ada": 364,
    "A100": 312,
    "H100 PCIe": 756,
    "H100": 989,
    "H200": 989,
}
"""Dense products of 16-bit numbers summed in float32, in 10¹² operations a second."""

SHARE = 0.15
"""Of that peak, what a run is taken to reach. The paper's times on an RTX 6000, five minutes for
400 steps and twelve for a video, come to 0.11 and 0.21 of it, by the operations counted here."""


def peak_flops(card: str) -> float | None:
    """Operations a second of the card by this name; None for one that is not in the list."""
    words = f" {card} ".replace("-", " ")
    known = [name for name in TERAFLOPS if f" {name} " in words]
    return TERAFLOPS[max(known, key=len)] * 1e12 if known else None


def card_found() -> tuple[str | None, int | None, torch.dtype]:
    """Name and bytes of the GPU that a run would use, None where there is none, and its dtype."""
    if not torch.cuda.is_available():
        return None, None, torch.bfloat16
    properties = torch.cuda.get_device_properties(0)
    return properties.name, properties.total_memory, half_precision(torch.device("cuda"))


def gigabytes(text: str) -> float:
    """Bytes of memory as people write it: "8GB", "8 GB", "7.5", all in 10⁹ bytes."""
    if not (found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:GB?)?\s*", text, re.IGNORECASE)):
        raise BadInput(f"{text!r} is no amount of memory: write it as 8GB.")
    return float(found[1]) * 1e9
