"""Clips as pictures: enlarged, with paths drawn over them, side by side, playing.

An animation is an animated PNG and not a GIF, because pages made from notebooks (GitHub's and
nbconvert's) show `image/png` and leave `image/gif` out.
"""

import io
import textwrap
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vmc.errors import BadInput
from vmc.video import to_uint8

Paths = Sequence[Float[Tensor, "_ 2"]]
"""Centres (y, x) of each frame, in fractions of it: the true ones, then any tracked ones."""

_TRUE, _TRACKED, _EDGE = (255, 255, 255), (255, 221, 0), (0, 0, 0)
_FINER = 3  # paths are drawn this much larger and then reduced, so that their edges are smooth
_LINE, _LETTER = 16, 6.4  # pixels that a line of text is high, and a letter wide


def enlarged(
    clip: Float[Tensor, "3 frame h w"], height: int, paths: Paths | None = None
) -> Float[Tensor, "3 frame height width"]:
    """The clip `height` pixels high, small pixels as squares, with paths over it.

    The true path is a white line; the tracked one is yellow and goes as far as the frame's time.
    Raises `BadInput` for a path that has not one centre a frame.
    """
    frames = to_uint8(clip)
    for path in paths or ():
        if len(path) != len(frames):
            raise BadInput(
                f"A path has {len(path)} centres, but its clip {len(frames)} frames: give each "
                "frame one."
            )
    whole = height % frames.shape[1] == 0
    way = Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS
    size = (round(height * frames.shape[2] / frames.shape[1]), height)
    pictures = []
    for index, frame in enumerate(frames):
        picture = Image.fromarray(frame).resize(size, way)
        if paths:
            layer = _drawn(paths, index, size)
            picture.paste(layer, mask=layer)
        pictures.append(np.asarray(picture))
    return torch.from_numpy(np.stack(pictures)).movedim(3, 0) / 127.5 - 1


def _drawn(paths: Paths, index: int, size: tuple[int, int]) -> Image.Image:
    """A transparent layer with the paths as they are at frame `index`."""
    width, height = size[0] * _FINER, size[1] * _FINER
    layer = Image.new("RGBA", (width, height), (*_TRUE, 0))
    draw, unit = ImageDraw.Draw(layer), max(2, height // 180)
    for number, (path, colour) in enumerate(zip(paths, (_TRUE, _TRACKED), strict=False)):
        points = [(x * width, y * height) for y, x in path.tolist()]
        line = points if number == 0 else points[: index + 1]
        for ink, edge in ((_EDGE, 1), (colour, 0)):
            draw.line(line, fill=ink, width=2 * (1 + edge) * unit, joint="curve")
            draw.circle(points[index], (4 + edge) * unit, fill=ink)
    return layer.resize(size, Image.Resampling.LANCZOS)


def side_by_side(
    clips: Sequence[Float[Tensor, "3 _ height _"]], labels: Sequence[str] = ()
) -> list[Image.Image]:
    """A picture for each frame of the longest clip; the others keep step with it. Labels above."""
    gap, font = 6, ImageFont.load_default(size=12)
    frames = [to_uint8(clip) for clip in clips]
    lefts = np.cumsum([0] + [f.shape[2] + gap for f in frames])
    texts = [
        textwrap.wrap(label, max(8, int(f.shape[2] / _LETTER)))
        for label, f in zip(labels, frames, strict=bool(labels))
    ]
    top = _LINE * max(map(len, texts), default=0)
    blank = Image.new("RGB", (int(lefts[-1]) - gap, top + frames[0].shape[1]), "white")
    for left, lines in zip(lefts, texts, strict=False):
        ImageDraw.Draw(blank).text((left, 0), "\n".join(lines), "black", font, spacing=3)
    pictures = []
    for moment in np.linspace(0, 1, max(map(len, frames))):
        pictures.append(blank.copy())
        for left, clip in zip(lefts, frames, strict=False):
            now = Image.fromarray(clip[round(moment * (len(clip) - 1))])
            pictures[-1].paste(now, (int(left), top))
    return pictures


def animated_png(pictures: Sequence[Image.Image], fps: int | float = 8) -> bytes:
    """Pictures of one size as an endless animation of 256 colours that rests on the last one."""
    palette = Image.fromarray(np.concatenate([np.asarray(p) for p in pictures])).quantize(256)
    first, *others = [p.quantize(palette=palette, dither=Image.Dither.NONE) for p in pictures]
    durations = [round(1000 / fps)] * len(others) + [round(3000 / fps)]
    file = io.BytesIO()
    first.save(file, "png", save_all=True, append_images=others, duration=durations, loop=0)
    return file.getvalue()
