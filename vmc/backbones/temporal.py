"""Show-1's two temporal layers, arranged so that a CPU computes them well.

Both are diffusers' own modules under their own parameter names, and both compute the same
function. What differs is the order of the axes. Frames arrive folded into the batch, as (batch·
frame, channel, height, width), and most of what the layers do (norms, linear maps) does not care
where frames and pixels stand. Only two things look across frames, the (3, 1, 1) convolution and
the frame-by-frame attention, and each is written here for long contiguous axes.
"""

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import TemporalConvLayer
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from jaxtyping import Float
from torch import Tensor, nn


def _by_pixel(frames: Tensor, num_frames: int) -> Tensor:
    """(batch·frame, channel, height, width) as (batch, channel, frame, pixel)."""
    folded, channel, height, width = frames.shape
    by_frame = frames.reshape(folded // num_frames, num_frames, channel, height * width)
    return by_frame.transpose(1, 2)


class TemporalConvolution(TemporalConvLayer):
    """Four (norm, SiLU, dropout, convolution over three frames) stages around an identity.

    Conv3d with kernel (3, 1, 1) mixes frames and leaves pixels alone, so it is the two-dimensional
    convolution with kernel (3, 1) of the image whose axes are (frame, pixel).
    """

    def forward(
        self, hidden: Float[Tensor, "folded channel height width"], num_frames: int
    ) -> Float[Tensor, "folded channel height width"]:
        """`folded` is batch·frame, frames fastest; the shape is kept."""
        image = _by_pixel(hidden, num_frames)
        for stage in (self.conv1, self.conv2, self.conv3, self.conv4):
            *before, conv = stage
            for layer in before:
                image = layer(image)
            image = self.convolve(image, conv.weight.squeeze(-1), conv.bias)
        return hidden + image.transpose(1, 2).reshape(hidden.shape)

    def convolve(self, image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv2d(image, weight, bias, padding=(1, 0))


Heads = Float[Tensor, "batch frame pixel head width"]


def _attend(query: Heads, key: Heads, value: Heads, scale: float) -> Heads:
    batch = query.shape[0]
    query, key, value = (
        x.transpose(1, 2).flatten(0, 1).transpose(1, 2) for x in (query, key, value)
    )
    mixed = F.scaled_dot_product_attention(query, key, value, scale=scale)
    return mixed.transpose(1, 2).unflatten(0, (batch, -1)).transpose(1, 2)


def _attend_by_broadcasting(query: Heads, key: Heads, value: Heads, scale: float) -> Heads:
    """The same function, with all (pixel, head) pairs as one long contiguous axis.

    One query frame at a time, so that what lies between the two products stays in the cache.
    """
    pixels, heads = query.shape[2:4]
    query, key, value = (
        x.flatten(2, 3).transpose(2, 3).contiguous() for x in (query * scale, key, value)
    )
    mixed = []
    for frame in query.split(1, dim=1):
        weights = (frame * key).sum(2).softmax(1)
        mixed.append((weights.unsqueeze(2) * value).sum(1))
    return torch.stack(mixed, 1).transpose(2, 3).unflatten(2, (pixels, heads))


class FrameAttention:
    """Attention processor: each pixel attends over its own frames.

    Takes and returns (batch, frame, pixel, channel). There are batch·pixel·head score matrices,
    each only frame × frame, which is thousands of tiny products for a matrix library. On a CPU
    they are computed for all pixels and heads at once, by multiplying and summing whole frames.
    """

    def __call__(
        self, attn: Attention, hidden: Float[Tensor, "batch frame pixel channel"], **_
    ) -> Float[Tensor, "batch frame pixel channel"]:
        query, key, value = (
            project(hidden).unflatten(-1, (attn.heads, -1))
            for project in (attn.to_q, attn.to_k, attn.to_v)
        )
        attend = _attend_by_broadcasting if hidden.device.type == "cpu" else _attend
        mixed = attend(query, key, value, attn.scale).flatten(-2)
        return attn.to_out[1](attn.to_out[0](mixed))


class TemporalTransformer(TransformerTemporalModel):
    """Group norm, two self-attentions over frames and a feed-forward, around an identity."""

    def __init__(self, channels: int, heads: int, norm_num_groups: int):
        super().__init__(heads, channels // heads, channels, norm_num_groups=norm_num_groups)
        for block in self.transformer_blocks:
            block.attn1.set_processor(FrameAttention())
            block.attn2.set_processor(FrameAttention())

    def forward(
        self, hidden: Float[Tensor, "folded channel height width"], num_frames: int
    ) -> Float[Tensor, "folded channel height width"]:
        """`folded` is batch·frame, frames fastest; the shape is kept."""
        tokens = self.proj_in(self.norm(_by_pixel(hidden, num_frames)).permute(0, 2, 3, 1))
        for block in self.transformer_blocks:
            tokens = block.attn1(block.norm1(tokens)) + tokens
            tokens = block.attn2(block.norm2(tokens)) + tokens
            tokens = block.ff(block.norm3(tokens)) + tokens
        change = self.proj_out(tokens)
        return hidden + change.transpose(2, 3).reshape(hidden.shape)


def zero_output(layer: TemporalConvolution | TemporalTransformer) -> None:
    """Set the last linear map of `layer` to zero, so that the layer is the identity."""
    last = layer.conv4[-1] if isinstance(layer, TemporalConvolution) else layer.proj_out
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
