"""A tuned motion as a small file: save, load, scale, mix, apply.

The file holds the tuned weights themselves, not their difference from the backbone's, so that a
motion at full strength is used to the bit as it was tuned. Strengths enter when it is applied:
W = W_0 + Σ_k s_k (W_k - W_0) over the motions k of the adapter, W_0 being the backbone's weights.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn

import vmc
from vmc.backbones import Backbone, keyframe_backbone
from vmc.errors import BadInput
from vmc.storage import read_tensors, write_tensors

FORMAT = "vmc motion adapter 1"


@dataclass(frozen=True)
class Motion:
    """What one tuning run learned, and how strongly it counts."""

    weights: dict[str, Tensor]
    """Tuned tensors in float32 by their names within the backbone's `unet`."""
    metadata: dict
    """backbone, fingerprint, prompt, seed, steps, settings, versions; all of them JSON."""
    strength: float = 1.0


@dataclass(frozen=True, eq=False)
class MotionAdapter:
    """One tuned motion, or a mix of several from the same backbone."""

    motions: tuple[Motion, ...]

    @property
    def metadata(self) -> dict:
        """The record of the tuning run; of a mix, that of its first motion."""
        return self.motions[0].metadata

    def scaled(self, strength: float) -> "MotionAdapter":
        """The same motion at `strength` times its own: 0 is the backbone untuned, 1 as tuned.

        Values between and beyond, also negative ones, extrapolate the change of the weights.
        Raises BadInput unless it is finite.
        """
        if not math.isfinite(strength):
            raise BadInput(f"The strength of a motion must be a finite number; got {strength}.")
        return MotionAdapter(
            tuple(replace(motion, strength=strength * motion.strength) for motion in self.motions)
        )

    @staticmethod
    def mix(adapters: dict["MotionAdapter", float]) -> "MotionAdapter":
        """Several motions at once: `MotionAdapter.mix({zigzag: 0.7, spin: 0.3})`.

        Their changes of the weights add up, each times its number. Raises BadInput if there is
        none, or if they were tuned on different backbones.
        """
        if not adapters:
            raise BadInput("A mix needs at least one adapter.")
        first, *others = adapters
        for other in others:
            if other.metadata["fingerprint"] != first.metadata["fingerprint"]:
                raise BadInput(
                    f"Adapters of different backbones cannot be mixed: {_origin(first.metadata)} "
                    f"and {_origin(other.metadata)}; tune both on one."
                )
        scaled = (adapter.scaled(strength) for adapter, strength in adapters.items())
        return MotionAdapter(tuple(motion for adapter in scaled for motion in adapter.motions))

    @contextmanager
    def applied(self, cascade) -> Iterator[Backbone]:
        """Within the block the backbone moves as tuned; after it, its weights are its own again.

        `cascade` is a Cascade or a Backbone. Its own parameters are set aside, not overwritten,
        so they come back to the bit whatever happens in the block. Raises BadInput where the
        adapter does not fit, or another one is applied already.
        """
        backbone = keyframe_backbone(cascade)
        with exchanged(backbone.unet, self._weights_for(backbone)):
            yield backbone

    @contextmanager
    def inverting(self, cascade) -> Iterator[Backbone]:
        """Within the block the backbone is as its clip is to be inverted for this motion.

        That is as tuned, or as it was, whichever its `inverts_tuned` says. Otherwise as `applied`.
        """
        backbone = keyframe_backbone(cascade)
        with self.applied(backbone) if backbone.inverts_tuned else nullcontext():
            yield backbone

    def check(self, cascade) -> None:
        """Raise BadInput unless the adapter was tuned on this Cascade or Backbone."""
        backbone = keyframe_backbone(cascade)
        if self.metadata["fingerprint"] != backbone.fingerprint:
            raise BadInput(
                f"The adapter was tuned on {_origin(self.metadata)}, but this backbone is "
                f"{backbone.name} ({backbone.fingerprint}); use it there, or tune the motion anew."
            )
        own = dict(backbone.unet.named_parameters())
        for motion in self.motions:
            for name, tuned in motion.weights.items():
                if name not in own or own[name].shape != tuned.shape:
                    raise BadInput(
                        f"The adapter's weight {name} of shape {tuple(tuned.shape)} has no "
                        f"counterpart in {backbone.name}; the file was altered, tune anew."
                    )

    @torch.no_grad()
    def _weights_for(self, backbone: Backbone) -> dict[str, nn.Parameter]:
        self.check(backbone)
        weights = {}
        for name, own in backbone.unet.named_parameters():
            tuned = [(m.strength, m.weights[name]) for m in self.motions if name in m.weights]
            if not tuned:
                continue
            if len(tuned) == 1 and tuned[0][0] == 1:
                weight = tuned[0][1]  # W_0 + (W_1 - W_0) would differ in the last bit
            else:
                start = own.to("cpu", torch.float32)
                weight = start + sum(strength * (tensor - start) for strength, tensor in tuned)
            weight = weight.to(own.device, own.dtype)
            weights[name] = nn.Parameter(weight, requires_grad=False)
        return weights

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, whole or not at all; BadInput if it cannot be written."""
        tensors = {
            f"{k}.{name}": tensor
            for k, motion in enumerate(self.motions)
            for name, tensor in motion.weights.items()
        }
        records = [
            {"strength": motion.strength, "metadata": motion.metadata} for motion in self.motions
        ]
        write_tensors(path, tensors, {"format": FORMAT, "motions": json.dumps(records)})

    @classmethod
    def load(cls, path: str | Path, cascade=None) -> "MotionAdapter":
        """Read what `save` wrote and, where a Cascade or Backbone is given, check that it fits.

        Raises BadInput for a file that is missing, truncated or foreign, and for another backbone.
        """
        tensors, header = read_tensors(path, FORMAT, "a motion adapter")
        try:
            motions = []
            for k, record in enumerate(json.loads(header["motions"])):
                weights = {
                    name.removeprefix(f"{k}."): tensor
                    for name, tensor in tensors.items()
                    if name.startswith(f"{k}.")
                }
                record["metadata"]["fingerprint"], record["metadata"]["backbone"]
                motions.append(Motion(weights, record["metadata"], float(record["strength"])))
            adapter = cls(tuple(motions))
            adapter.metadata  # noqa: B018
        except (KeyError, IndexError, TypeError, ValueError):
            raise BadInput(
                f"{path} is a motion adapter with a damaged header; get the file again."
            ) from None
        if cascade is not None:
            adapter.check(cascade)
        return adapter


def _origin(metadata: dict) -> str:
    return f"{metadata['backbone']} ({metadata['fingerprint']})"


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    return {"vmc": vmc.__version__} | {name: version(name) for name in ("torch", "diffusers")}


@contextmanager
def exchanged(module: nn.Module, parameters: dict[str, nn.Parameter]) -> Iterator[None]:
    """Within the block `module` computes with `parameters` in place of its own of these names."""
    own = {name: module.get_parameter(name) for name in parameters}
    if any(hasattr(parameter, "exchanged") for parameter in own.values()):
        raise BadInput(
            "The backbone has a motion applied already; leave that block first, or combine the "
            "adapters with MotionAdapter.mix."
        )

    def put(name: str, parameter: nn.Parameter) -> None:
        owner, _, leaf = name.rpartition(".")
        setattr(module.get_submodule(owner), leaf, parameter)

    try:
        for name, parameter in parameters.items():
            parameter.exchanged = True
            put(name, parameter)
        yield
    finally:
        for name, parameter in own.items():
            put(name, parameter)
