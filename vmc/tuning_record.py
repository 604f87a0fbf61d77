"""The record of a tuning run: its steps as the caller sees them, and the file it goes on from."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import AdamW

from vmc.errors import BadInput
from vmc.storage import moments, read_tensors, restore_moments, write_tensors

FORMAT = "vmc tuning checkpoint 1"


@dataclass(frozen=True)
class Step:
    """One update of the weights, as the caller sees it."""

    number: int
    """From 1 to `total`."""
    total: int
    loss: float
    learning_rate: float
    timestep: tuple[int, ...]
    """One per sample of the batch."""
    gradient_norm: float
    """Before it is clipped to 1."""
    seconds: float
    x0: Float[Tensor, "3 frame height width"] | None = None
    """The clip as the model sees it through the noise (Tweedie, Eq. 12), in [-1, 1], where asked
    for with `preview_every`."""


def write_checkpoint(
    path: Path,
    identity: dict,
    history: list[Step],
    weights: dict[str, nn.Parameter],
    optimizer: AdamW,
) -> None:
    """All that a run needs to go on; whole or not at all. `identity` must be JSON."""
    tensors = {f"weight.{name}": weight for name, weight in weights.items()}
    header = {
        "format": FORMAT,
        "identity": json.dumps(identity),
        "history": json.dumps([asdict(step) for step in history]),
    }
    write_tensors(path, tensors | moments(weights, optimizer), header)


def read_checkpoint(
    path: Path, identity: dict, total: int, weights: dict[str, nn.Parameter], optimizer: AdamW
) -> list[Step]:
    """Put weights and optimizer back as they were written, and give the steps so far.

    Raises BadInput for a file that is missing, foreign or damaged, for a run of another `identity`,
    and for one with more than `total` steps behind it.
    """
    tensors, header = read_tensors(path, FORMAT, "a tuning checkpoint")
    remedy = "repeat that call, name another checkpoint, or start anew with resume=False"
    try:
        theirs, history = json.loads(header["identity"]), json.loads(header["history"])
        for key, mine in identity.items():
            if theirs[key] != mine:
                raise BadInput(
                    f"{path} is of another run: its {key} is {theirs[key]!r}, and here it is "
                    f"{mine!r}; {remedy}."
                )
        if len(history) > total:
            raise BadInput(
                f"{path} has {len(history)} steps behind it, more than the {total} asked for; "
                f"{remedy}."
            )
        for name, weight in weights.items():
            weight.data.copy_(tensors[f"weight.{name}"])
        restore_moments(weights, optimizer, tensors, len(history))
        return [
            Step(**row | {"total": total, "timestep": tuple(row["timestep"])}) for row in history
        ]
    except (KeyError, TypeError, RuntimeError, json.JSONDecodeError):
        raise BadInput(f"{path} is a damaged tuning checkpoint; {remedy}.") from None
