"""Wrong answers as a student might write them, and words of the hint that each deserves."""

import torch
from torch.nn.functional import conv1d, pad, scaled_dot_product_attention


def by_frames_without_axes(layer, video):
    b, c, f, h, w = video.shape
    images = layer(video.view(b * f, c, h, w))
    return images.view(b, images.shape[1], f, h, w)


def stacked_before_channels(layer, video):
    return torch.stack([layer(frame) for frame in video.unbind(2)], dim=1)


def only_the_first(layer, video):
    return torch.stack([layer(video[:, :, 0])] * video.shape[2], dim=2)


def at_every_pixel(video, weight, bias, padding):
    columns = video.permute(0, 3, 4, 1, 2).flatten(0, 2)
    result = conv1d(columns, weight, bias, padding=padding)
    return result.unflatten(0, (video.shape[0], *video.shape[3:])).permute(0, 3, 4, 1, 2)


def causal(video, weight, bias):
    return at_every_pixel(pad(video, (0, 0, 0, 0, 2, 0)), weight, bias, 0)


def by_torch(query, key, value, heads, **changes):
    q, k, v = (
        x.unflatten(-1, (heads, -1)).permute(0, 2, 3, 1, 4) for x in (query, key, value)
    )  # (batch, pixel, head, frame, width)
    mixed = scaled_dot_product_attention(q, k, v, **changes)
    return mixed.permute(0, 3, 1, 2, 4).flatten(-2)


def over_pixels(query, key, value, heads):
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(2, 3) for x in (query, key, value))
    return scaled_dot_product_attention(q, k, v).transpose(2, 3).flatten(-2)


WRONG = {
    "inflated": [
        (by_frames_without_axes, "does not exchange axes"),
        (stacked_before_channels, "before the channels"),
        (only_the_first, "first one"),
    ],
    "temporal_convolution": [
        (lambda video, weight, bias: at_every_pixel(video, weight, bias, 0), "are gone"),
        (causal, "none after"),
        (lambda video, weight, bias: at_every_pixel(video.flip(2), weight, bias, 1).flip(2),
            "backward in time"),
    ],
    "temporal_attention": [
        (over_pixels, "spatial attention"),
        (lambda q, k, v, heads: by_torch(q, k, v, heads, scale=1.0), "not scaled"),
        (lambda q, k, v, heads: by_torch(q, k, v, 1), "one head"),
    ],
}  # fmt: skip
