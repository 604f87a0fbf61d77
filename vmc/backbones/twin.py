"""A backbone's twin: the same weights under a network of its own."""

import copy

from torch import nn

from vmc.backbones import Backbone


def twin(backbone: Backbone) -> Backbone:
    """A backbone that shares every weight, but whose parameters can be exchanged on their own.

    While a motion is tuned or applied, parameters of `backbone.unet` are exchanged for others. A
    thread that does so on a twin does not disturb whoever uses the backbone, or another twin, at
    the same time. It takes no memory for weights: only the tree of modules is copied, of every
    attribute that holds the network.
    """
    unet, other = backbone.unet, copy.copy(backbone)
    shared = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in unet.parameters()}
    for name, value in vars(backbone).items():
        if isinstance(value, nn.Module) and any(part is unet for part in value.modules()):
            tensors = {id(x): x for x in [*value.parameters(), *value.buffers()]}
            shared |= {key: tensor for key, tensor in tensors.items() if key not in shared}
            setattr(other, name, copy.deepcopy(value, shared))
    return other
