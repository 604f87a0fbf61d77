"""Temporal attention made visible: which frames each frame looks at, pixel by pixel.

    with temporal_attention_maps(cascade) as maps:
        cascade.base.predict_noise(noisy, timestep, text)
    maps["mid_block.temp_attentions.0.transformer_blocks.0.attn1"]

Recording is a second, plain computation beside the network's own, whose results stay as they are.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vmc.backbones import keyframe_backbone
from vmc.backbones.temporal import TemporalTransformer
from vmc.errors import BadInput

Maps = dict[str, Float[Tensor, "batch head height width frame frame"]]
"""Softmax weights by the attention's name within the U-Net: [b, h, y, x, n, m] is how much of
frame m goes into frame n at that pixel and head; it is in [0, 1] and sums to 1 over m."""


def attention_weights(
    query: Float[Tensor, "*batch frame width"],
    key: Float[Tensor, "*batch frame width"],
    scale: float,
) -> Float[Tensor, "*batch frame frame"]:
    """softmax(scale · Q Kᵀ) over the last axis: how much of frame m (last) goes into frame n."""
    return (scale * query @ key.transpose(-1, -2)).softmax(-1)


def unevenness(
    weights: Float[Tensor, "*batch head height width frame frame"],
) -> Float[Tensor, "*batch frame height width"]:
    """How far each frame is from taking from all N frames alike, pixel by pixel.

    Half of Σ_m |w_m - 1/N|, mean over heads: the share of its attention that a frame would have to
    move to make it even; 0 if it is even, 1 - 1/N if it all goes to one frame.
    """
    even = 1 / weights.shape[-1]
    share = (weights - even).abs().sum(-1).mean(-4) / 2
    return share.movedim(-1, -3)


@contextmanager
def temporal_attention_maps(cascade) -> Iterator[Maps]:
    """Within the block, every forward pass leaves its temporal attention maps in the dictionary.

    A later pass replaces those of an earlier one. A map is as large as the network computes at
    that resolution (frames² numbers a pixel and head), in float32 on the CPU.

    Arguments:
        cascade: a Cascade, whose keyframe stage is watched, a Backbone, or a U-Net itself.
    Raises:
        BadInput: for a network without temporal attention, or one that is watched already.
    """
    unet = cascade if isinstance(cascade, nn.Module) else keyframe_backbone(cascade).unet
    transformers = [
        (name, module)
        for name, module in unet.named_modules()
        if isinstance(module, TemporalTransformer)
    ]
    if not transformers:
        raise BadInput(
            f"There is no temporal attention to watch in {type(unet).__name__}; give a cascade, "
            "its backbone or a PixelUNet3D."
        )
    maps: Maps = {}
    with ExitStack() as undo:
        for name, transformer in transformers:
            _watch(name, transformer, maps, undo)
        yield maps


def _watch(name: str, transformer: TemporalTransformer, maps: Maps, undo: ExitStack) -> None:
    """Let both attentions of `transformer` write into `maps` until `undo` is closed."""
    size = []  # height and width, which the attention itself sees as one axis of pixels

    def note_size(_, inputs):
        size[:] = inputs[0].shape[-2:]

    undo.callback(transformer.register_forward_pre_hook(note_size).remove)
    for path, attention in transformer.named_modules():
        if not hasattr(attention, "to_q"):
            continue
        if isinstance(attention.processor, _Recorder):
            raise BadInput("The temporal attention is watched already; leave that block first.")
        undo.callback(attention.set_processor, attention.processor)
        attention.set_processor(
            _Recorder(f"{name}.{path}".lstrip("."), attention.processor, size, maps)
        )


class _Recorder:
    """An attention processor that leaves the work to another one and notes the weights."""

    def __init__(self, name: str, processor, size: list[int], maps: Maps):
        self.name, self.processor, self.size, self.maps = name, processor, size, maps

    def __call__(self, attn, hidden: Float[Tensor, "batch frame pixel channel"], **others):
        with torch.no_grad():
            query, key = (
                project(hidden).float().unflatten(-1, (attn.heads, -1)).permute(0, 3, 2, 1, 4)
                for project in (attn.to_q, attn.to_k)
            )  # (batch, head, pixel, frame, width)
            weights = attention_weights(query, key, attn.scale)
            self.maps[self.name] = weights.unflatten(2, tuple(self.size)).cpu()
        return self.processor(attn, hidden, **others)
