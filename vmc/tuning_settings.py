"""What a tuning run depends on: its settings, their ranges, and what tells it from another run."""

import hashlib
import math
from dataclasses import asdict, dataclass

from jaxtyping import Float
from torch import Tensor, nn

from vmc.backbones import Backbone
from vmc.errors import BadInput
from vmc.motion import LOSSES

PARAMETERS = ("temporal", "spatial", "all")


@dataclass(frozen=True)
class TuningSettings:
    """All that the weights after a given number of steps depend on, beside backbone and clip.

    `vmc.finetuning.Finetuning` says what each of them means.
    """

    prompt: str
    seed: int
    loss: str
    parameters: str
    learning_rate: float
    weight_decay: float
    stride: int
    timesteps: list[int]
    """First and last + 1; a list, because JSON has no tuples."""
    batch_size: int

    @classmethod
    def on(
        cls,
        backbone: Backbone,
        *,
        learning_rate: float | None,
        weight_decay: float,
        timesteps: tuple[int, int] | None,
        **others,
    ) -> "TuningSettings":
        """Settings for this backbone, with its own where one is None; BadInput if out of range."""
        settings = cls(
            learning_rate=float(backbone.learning_rate if learning_rate is None else learning_rate),
            weight_decay=float(weight_decay),
            timesteps=list(backbone.tuning_timesteps if timesteps is None else timesteps),
            **others,
        )
        settings._check(backbone)
        return settings

    def _check(self, backbone: Backbone) -> None:
        low, high = self.timesteps
        num_timesteps = len(backbone.alphas_cumprod)
        if not self.prompt.strip():
            raise BadInput('The prompt is empty; say what moves, such as "a ball is moving".')
        if self.loss not in LOSSES:
            raise BadInput(f"The losses are {', '.join(LOSSES)}; got {self.loss!r}.")
        if self.parameters not in PARAMETERS:
            raise BadInput(
                f"The parameters to tune are {', '.join(PARAMETERS)}; got {self.parameters!r}."
            )
        check_range("learning_rate", self.learning_rate, 1e-12)
        check_range("weight_decay", self.weight_decay, 0)
        check_range("stride", self.stride, 1, backbone.frames - 1)
        check_range("seed", self.seed, 0)
        check_range("the first of timesteps", low, 0, num_timesteps - 1)
        check_range("the end of timesteps", high, low + 1, num_timesteps)
        check_range("batch_size", self.batch_size, 1)

    def trainable(self, backbone: Backbone) -> dict[str, nn.Parameter]:
        """The backbone's parameters that these settings train, by their names within `unet`."""
        trainable = {}
        if self.parameters in ("temporal", "all"):
            trainable |= backbone.temporal_qkv()
        if self.parameters in ("spatial", "all"):
            trainable |= backbone.spatial_qkv()
        return trainable

    def recorded(self) -> dict:
        """What is recorded under the name of settings, as JSON: all but the prompt and the seed."""
        return {name: s for name, s in asdict(self).items() if name not in ("prompt", "seed")}

    def identity(self, backbone: Backbone, clip: Float[Tensor, "3 frame height width"]) -> dict:
        """What a checkpoint must agree with for the run to go on from it, as JSON."""
        return {
            "backbone": backbone.fingerprint,
            "dtype": str(backbone.dtype),
            "clip": hashlib.sha256(clip.cpu().contiguous().numpy()).hexdigest()[:16],
        } | asdict(self)


def check_range(
    name: str, value: int | float, low: int | float, high: int | float = math.inf
) -> None:
    """Raise BadInput unless the setting `name` is a finite number from `low` to `high`."""
    if not (low <= value <= high and math.isfinite(value)):
        allowed = f"{low} or more" if high == math.inf else f"from {low} to {high}"
        raise BadInput(f"Tuning needs {name} to be {allowed}; got {value}.")
