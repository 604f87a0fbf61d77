"""Published models in miniature: their folders and configurations, with tiny random networks.

What a published checkpoint would be loaded from, at a thousandth of its size, so that the code for
it can be run where neither the weights nor a GPU are at hand. What such a model draws means
nothing.

    cascade = vmc.Cascade.from_pretrained(miniature.show1("outputs/show1"))

The weights follow from their names alone: the same folder on every machine, and no global
randomness is drawn.
"""

from vmc.backbones.miniature.latent import animatediff, modelscope
from vmc.backbones.miniature.pixel import show1

__all__ = ["animatediff", "modelscope", "show1"]
