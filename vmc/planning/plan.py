"""A plan: what each part of a run needs, and with which options the run fits a card."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch

from vmc.backbones.registry import FAMILIES, family_of
from vmc.errors import BadInput
from vmc.planning.cards import SHARE, peak_flops
from vmc.planning.parts import Need, measured

ASIDE = 0.7e9
"""What a card holds besides: the CUDA context, libraries' scratch memory, and fragments."""


@dataclass(frozen=True)
class Plan:
    """What a run of a backbone needs."""

    place: str
    dtype: torch.dtype
    needs: tuple[Need, ...]
    """In the order of the run, with checkpointing, the text encoder as published."""
    without_checkpointing: Need
    """Of tuning."""
    text_encoder: dict[int, Need]
    """By the bits of a weight, 16, 8 and 4; empty where it is a small one that stays."""
    disk: float
    """Bytes of weights to be downloaded, or that the folder holds."""
    card: str | None
    memory: float | None
    """Bytes of the card that is planned for; None if there is none."""

    def seconds(self, need: Need) -> float | None:
        """A guess; None on a card whose speed is not known."""
        peak = None if self.card is None else peak_flops(self.card)
        return None if peak is None else need.flops / (SHARE * peak)

    def fits(self, need: Need) -> bool:
        return self.memory is None or need.peak + ASIDE <= self.memory

    def options(self) -> dict[str, object]:
        """Settings of `Cascade.from_pretrained` that make the run fit: the fastest that do.

        `BadInput` where none do.
        """
        chosen = {"checkpointing": not self.fits(self.without_checkpointing)}
        fitting = [bits for bits, need in self.text_encoder.items() if self.fits(need)]
        if self.text_encoder and not fitting:
            chosen["text_device"] = "cpu"
        elif fitting and fitting[0] < 16:
            chosen["text_bits"] = fitting[0]
        for need in self.needs:
            if not need.part.is_text_encoder and not self.fits(need):
                raise BadInput(
                    f"No option makes {self.place} fit into {self.memory / 1e9:.1f} GB: "
                    f"{need.part.name} alone needs {(need.peak + ASIDE) / 1e9:.1f} GB; "
                    "take a larger card or a smaller backbone."
                )
        return chosen

    def table(self) -> str:
        """All parts, as Markdown."""
        head = "| | weights | tuned weights, AdamW | activations | peak | time |\n"
        rows = [head + "|---|---:|---:|---:|---:|---:|"]
        for name, need in self._rows():
            seconds = self.seconds(need)
            sizes = (need.weights, need.optimizer, need.activations, need.peak)
            cells = " | ".join(f"{size / 1e9:.2f}" for size in sizes)
            work = f"{need.flops / 1e15:.2g} PFLOP" if seconds is None else _time(seconds)
            rows.append(f"| {name} | {cells} | {work} |")
        return "\n".join(rows)

    def _rows(self) -> Iterator[tuple[str, Need]]:
        for need in self.needs:
            yield need.part.name, need
            if need.part.is_text_encoder:
                yield "… in 8 bits", self.text_encoder[8]
                yield "… in 4 bits", self.text_encoder[4]
            if need.part.tuned is not None:
                yield "… keeping activations", self.without_checkpointing

    def __str__(self) -> str:
        try:
            advice = self.advice()
        except BadInput as misfit:
            advice = str(misfit)
        return f"{self.description()}\n{advice}"

    def description(self) -> str:
        """The table and what belongs to it, whether the run fits or not."""
        dtype = str(self.dtype).removeprefix("torch.")
        known = self.card is not None and peak_flops(self.card) is not None
        lines = [
            f"{self.place} in {dtype}, GB of GPU memory; one part works at a time, so the run "
            "needs the largest of them.",
            "",
            self.table(),
            "",
            f"Disk: {self.disk / 1e9:.1f} GB of weights.",
        ]
        if known:
            lines.append(
                f"Time: an estimate, at {SHARE:.0%} of what {self.card} can do at best; loading "
                "comes on top."
            )
        else:
            lines.append(
                f"Time: not estimated, the speed of {self.card} is not known here."
                if self.card
                else "Time: not estimated, no GPU was found; operations are given instead."
            )
        return "\n".join(lines)

    def advice(self) -> str:
        """How to load a cascade that fits; `BadInput` where none does."""
        if self.memory is None:
            return "Say --gpu-memory 8GB to see which options make it fit."
        options = self.options()
        given = ", ".join(f"{name}={value!r}" for name, value in options.items())
        advice = (
            f"It fits into {self.memory / 1e9:.1f} GB (with {ASIDE / 1e9:.1f} GB left for CUDA "
            f"itself): Cascade.from_pretrained({self.place!r}, {given})"
        )
        if "text_bits" in options:
            advice += '\n(text_bits needs bitsandbytes; without it, text_device="cpu" fits too.)'
        return advice


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _plannable() -> str:
    modules = {family: import_module(family.module) for family in FAMILIES}
    return ", ".join(n for f, m in modules.items() if hasattr(m, "parts") for n in f.names)


def plan(
    place: str | Path,
    memory: float | None = None,
    card: str | None = None,
    dtype: torch.dtype = torch.bfloat16,
    until: str = "video",
) -> Plan:
    """Plan a run, from the sizes of its networks alone.

    Arguments:
        place: a backbone's name, or a folder.
        memory: bytes of GPU memory to plan for.
        card: a card's name, for the time.
        dtype: of the networks.
        until: the last stage: "keyframes", "interpolated" or "video".
    Raises:
        BadInput: for a backbone that cannot be planned, or a stage that is not there.
    """
    if until not in (stages := ("keyframes", "interpolated", "video")):
        raise BadInput(f"There is no stage {until!r}: choose one of {', '.join(stages)}.")
    module = import_module(family_of(place).module)
    if not hasattr(module, "parts"):
        raise BadInput(
            f"vmc plan knows nothing of {place}: ask it for {_plannable()}, or for a folder in the "
            "layout of one of them."
        )
    parts = module.parts(place, until)
    needs = tuple(measured(part, dtype) for part in parts)
    readers = [part for part in parts if part.is_text_encoder]
    (tuning,) = (part for part in parts if part.tuned is not None)
    return Plan(
        str(place),
        dtype,
        needs,
        measured(tuning, dtype, checkpointing=False),
        {bits: measured(part, dtype, bits=bits) for part in readers for bits in (16, 8, 4)},
        module.disk(place, until),
        card,
        memory,
    )
