"""Trains the tiny cascade from nothing, as real video models are made.

First a text-to-image model on single frames, where looks are learned; then its temporal layers,
which start as the identity, on clips; then the later stages of the cascade, each from its own
view of the same rendered scenes.
"""

from vmc.pretraining.batches import KEYFRAME_TIMES
from vmc.pretraining.recipes import (
    RECIPES,
    Recipe,
    new_denoiser,
    new_text_encoder,
    vocabulary,
)
from vmc.pretraining.training import Pretraining, export

__all__ = [
    "KEYFRAME_TIMES",
    "RECIPES",
    "Pretraining",
    "Recipe",
    "export",
    "new_denoiser",
    "new_text_encoder",
    "vocabulary",
]
