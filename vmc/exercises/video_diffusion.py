"""The exercises of 02_video_diffusion: inflation, temporal convolution, temporal attention."""

from torch import Tensor
from torch.nn import functional as F

from vmc.backbones.temporal import _attend
from vmc.exercises.checking import Exercise, Misconception, noise

NOTEBOOK = "02_video_diffusion"


def _inflated(layer, video: Tensor) -> Tensor:
    frames = layer(video.transpose(1, 2).flatten(0, 1))
    return frames.unflatten(0, (len(video), -1)).transpose(1, 2)


def _blind_reshape(layer, video: Tensor) -> Tensor:
    batch, channel, frame, height, width = video.shape
    images = layer(video.reshape(batch * frame, channel, height, width))
    return images.reshape(batch, -1, frame, *images.shape[-2:])


def _folded_right_unfolded_wrong(layer, video: Tensor) -> Tensor:
    images = layer(video.transpose(1, 2).flatten(0, 1))
    return images.reshape(len(video), -1, video.shape[2], *images.shape[-2:])


def _unfolded_frames_first(layer, video: Tensor) -> Tensor:
    images = layer(video.transpose(1, 2).flatten(0, 1))
    return images.unflatten(0, (video.shape[2], -1)).permute(1, 2, 0, 3, 4)


def _convolution(out: int, seed: int):
    """A 3×3 convolution of 3 channels to `out`, to be inflated."""
    weight = noise(seed, out, 3, 3, 3)
    return lambda images: F.conv2d(images, weight, padding=1)


INFLATED = Exercise(
    "inflated",
    NOTEBOOK,
    reference=_inflated,
    cases=lambda: [
        (_convolution(4, 0), noise(1, 2, 3, 5, 4, 6)),
        (_convolution(3, 2), noise(3, 1, 3, 4, 6, 5)),
    ],
    misconceptions=(
        Misconception(
            lambda layer, video: _inflated(layer, video).transpose(1, 2),
            "the frames are right, but their axis is still before the channels: give the result "
            "back as (batch, channel, frame, height, width).",
        ),
        Misconception(
            _blind_reshape,
            "a reshape alone does not exchange axes: your images hold one channel of several "
            "frames, so bring the frames beside the batch (transpose(1, 2)) before you fold.",
        ),
        Misconception(
            _folded_right_unfolded_wrong,
            "folding is right, but on the way back a reshape alone takes channels for frames: "
            "unfold to (batch, frame, channel, …) first, then exchange the axes.",
        ),
        Misconception(
            _unfolded_frames_first,
            "on the way back you took the frames for the slower axis: they were folded in beside "
            "the batch and run fastest.",
        ),
        Misconception(
            lambda layer, video: layer(video[:, :, 0])[:, :, None].expand(
                -1, -1, video.shape[2], -1, -1
            ),
            "every frame shows the first one: the layer has to see each frame.",
        ),
    ),
)


def _temporal_convolution(video: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv3d(video, weight[..., None, None], bias, padding=(1, 0, 0))


def _padded_by(mode: str, before: int = 1, after: int = 1):
    """The convolution with other padding than a frame of zeros at both ends."""

    def wrong(video, weight, bias):
        padded = F.pad(video, (0, 0, 0, 0, before, after), mode=mode)
        return F.conv3d(padded, weight[..., None, None], bias)

    return wrong


TEMPORAL_CONVOLUTION = Exercise(
    "temporal_convolution",
    NOTEBOOK,
    reference=_temporal_convolution,
    cases=lambda: [
        (noise(4, 2, 3, 5, 4, 6), noise(5, 3, 3, 3), noise(6, 3)),
        (noise(7, 1, 2, 6, 5, 4), noise(8, 4, 2, 3), noise(9, 4)),
    ],
    misconceptions=(
        Misconception(
            lambda video, weight, bias: F.conv3d(video, weight[..., None, None], bias),
            "the first and the last frame are gone: pad with a frame of zeros at both ends, so "
            "that as many frames come out as went in.",
        ),
        Misconception(
            _padded_by("constant", 2, 0),
            "each frame sees the two before it and none after: put one frame of zeros at each end, "
            "not two at the start.",
        ),
        Misconception(
            _padded_by("circular"),
            "the last frame looks at the first one as if the clip were a loop: beyond the ends "
            "there are zeros.",
        ),
        Misconception(
            _padded_by("replicate"),
            "the ends are repeated: beyond the first and the last frame there are zeros.",
        ),
        Misconception(
            lambda video, weight, bias: _temporal_convolution(video, weight.flip(-1), bias),
            "the kernel runs backward in time: weight[:, :, 0] belongs to the frame before.",
        ),
        Misconception(
            lambda video, weight, bias: F.conv3d(
                video, weight[:, :, None, :, None], bias, padding=(0, 1, 0)
            ),
            "your kernel runs down the rows of a picture; it belongs on the frame axis, the third "
            "one.",
        ),
        Misconception(
            lambda video, weight, bias: _temporal_convolution(video, weight, bias * 0),
            "the bias is missing.",
        ),
    ),
)


def _temporal_attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    split = (x.unflatten(-1, (heads, -1)) for x in (query, key, value))
    return _attend(*split, (query.shape[-1] // heads) ** -0.5).flatten(-2)


def _attention(axis: int = 1, power: float = -0.5, over: int = -1):
    """Attention of (batch, frame, pixel, channel) along `axis`.

    Scores are scaled by the width of a head to the `power`; the softmax runs over keys (-1) or,
    wrongly, over queries (-2).
    """

    def wrong(query, key, value, heads):
        q, k, v = (
            x.unflatten(-1, (heads, -1)).movedim(axis, -2) for x in (query, key, value)
        )  # (…, attended, width)
        weights = (q.shape[-1] ** power * q @ k.transpose(-1, -2)).softmax(over)
        return (weights @ v).movedim(-2, axis).flatten(-2)

    return wrong


def _interleaved(query, key, value, heads):
    """As if the channels of all heads were shuffled together."""
    parts = (
        x.unflatten(-1, (-1, heads)).transpose(-1, -2).flatten(-2) for x in (query, key, value)
    )
    mixed = _temporal_attention(*parts, heads)
    return mixed.unflatten(-1, (heads, -1)).transpose(-1, -2).flatten(-2)


TEMPORAL_ATTENTION = Exercise(
    "temporal_attention",
    NOTEBOOK,
    reference=_temporal_attention,
    cases=lambda: [
        (*(noise(seed + i, 2, 5, 6, 12) for i in range(3)), heads)
        for seed, heads in ((10, 3), (20, 2))
    ],
    misconceptions=(
        Misconception(
            _attention(2),
            "this is spatial attention: the pixels of a frame look at one another. Temporal "
            "attention runs along the frames, pixel by pixel.",
        ),
        Misconception(
            _attention(0),
            "your attention runs along the batch: clips that have nothing to do with one another "
            "would exchange their frames.",
        ),
        Misconception(
            _attention(power=0),
            "the scores are not scaled: divide them by the square root of a head's width.",
        ),
        Misconception(
            _attention(power=-1),
            "you divide the scores by the width of a head; it is the square root of it.",
        ),
        Misconception(
            _attention(over=-2),
            "your softmax runs over the queries; the weights of one query over all keys sum to 1.",
        ),
        Misconception(
            lambda query, key, value, heads: _temporal_attention(query, key, value, 1),
            "you made one head of all channels: every head compares with its own part of them.",
        ),
        Misconception(
            lambda query, key, value, heads: _temporal_attention(
                query * heads**-0.5, key, value, heads
            ),
            "you scale by all channels; each head has only its own channels / heads of them.",
        ),
        Misconception(
            _interleaved,
            "the channels of a head lie together: split them as (heads, width), not as (width, "
            "heads).",
        ),
        Misconception(
            lambda query, key, value, heads: value,
            "nothing was exchanged between frames: these are the values themselves.",
        ),
    ),
)

EXERCISES = (INFLATED, TEMPORAL_CONVOLUTION, TEMPORAL_ATTENTION)
