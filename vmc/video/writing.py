"""Clips out: video files, GIFs and contact sheets, whole or not at all."""

import errno
import io
import os
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vmc.errors import BadInput

# Without B-frames x264 writes the same bytes each time; with them it did not.
_H264 = ("libx264", {"crf": "18", "bf": "0"})
_ENCODERS = {
    ".mp4": _H264,
    ".mov": _H264,
    ".webm": ("libvpx-vp9", {"crf": "24", "b": "0", "cpu-used": "4"}),
    ".gif": ("gif", {}),
}


def to_uint8(
    video: Float[Tensor, "3 frame height width"],
) -> UInt8[np.ndarray, "frame height width 3"]:
    """The frames of a clip in [-1, 1] (clamped to it) as bytes, as mediapy and Pillow take them."""
    if not video.isfinite().all():
        raise BadInput("The video holds NaN or infinite values; look at where it comes from.")
    levels = (video.detach().float().clamp(-1, 1) + 1) * 127.5
    return levels.round().byte().permute(1, 2, 3, 0).cpu().numpy()


def save_video(
    video: Float[Tensor, "3 frame height width"], path: str | Path, fps: int | float = 8
) -> None:
    """Writes a clip in [-1, 1] as .mp4 or .mov (H.264), .webm (VP9) or .gif (an endless loop).

    `fps` may be fractional (7.5). A GIF keeps time in hundredths of a second, so it ends at 50; its
    frames share a palette of 256 colours. The other formats need even sides: an odd one gets its
    last row or column twice. Missing folders are made. Raises `BadInput` where it cannot write.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _ENCODERS:
        raise BadInput(f"{path} cannot be written; let its name end in {', '.join(_ENCODERS)}.")
    fastest = 50 if suffix == ".gif" else 240
    if not 0.1 <= fps <= fastest:
        raise BadInput(f"fps is {fps}; a {suffix} takes from 0.1 to {fastest} frames a second.")
    frames = to_uint8(video)
    write_atomically(path, _encode(frames, suffix, Fraction(fps).limit_denominator(1001)))


def contact_sheet(
    clips: Sequence[Float[Tensor, "3 _ _ _"]],
    labels: Sequence[str] = (),
    columns: int = 8,
    height: int = 96,
) -> Image.Image:
    """A picture with a row per clip: up to `columns` frames, evenly chosen, `height` pixels high,
    and the clip's label above them. Clips may differ in length and size."""
    if not clips or columns < 1 or height < 1:
        raise BadInput("A contact sheet needs a clip, a column and a height of 1 pixel or more.")
    if labels and len(labels) != len(clips):
        raise BadInput(f"There are {len(clips)} clips but {len(labels)} labels; give one for each.")
    gap, strip = 4, 20 if labels else 0
    rows = []
    for clip in clips:
        frames = to_uint8(clip)
        chosen = np.linspace(0, len(frames) - 1, min(columns, len(frames))).round().astype(int)
        cell = (max(1, round(height * frames.shape[2] / frames.shape[1])), height)
        rows.append([Image.fromarray(frames[index]).resize(cell) for index in chosen])
    width = max(len(row) * (row[0].width + gap) for row in rows) + gap
    sheet = Image.new("RGB", (width, len(rows) * (strip + height + gap) + gap), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for index, row in enumerate(rows):
        top = gap + index * (strip + height + gap)
        if labels:
            draw.text((gap, top), labels[index], fill="black", font=font)
        for column, picture in enumerate(row):
            sheet.paste(picture, (gap + column * (picture.width + gap), top + strip))
    return sheet


def write_atomically(path: str | Path, data: bytes) -> None:
    """Writes a file so that it appears whole or not at all, and makes missing folders.

    Raises `BadInput` where that cannot be done: a full disk, no permission, a folder in the way.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise BadInput(
                f"The disk is full: {path} needs {len(data) / 1e6:.1f} MB; free some space or "
                "write to another disk."
            ) from error
        raise BadInput(f"{path} cannot be written ({error.strerror}); write elsewhere.") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _encode(frames: UInt8[np.ndarray, "frame height width 3"], suffix: str, fps: Fraction) -> bytes:
    import av

    codec, options = _ENCODERS[suffix]
    if suffix == ".gif":
        clock, source, stored = Fraction(1, 100), "pal8", "pal8"
        muxing = {"loop": "0", "final_delay": str(round(100 / fps))}
        pictures = _indexed(frames)
    else:
        clock, source, stored, muxing = 1 / fps, "rgb24", "yuv420p", {"fflags": "+bitexact"}
        odd_rows, odd_columns = frames.shape[1] % 2, frames.shape[2] % 2
        frames = np.pad(frames, ((0, 0), (0, odd_rows), (0, odd_columns), (0, 0)), mode="edge")
        pictures = frames
    # Encoded in memory, so that the one write to the disk is the atomic one.
    file = io.BytesIO()
    with av.open(file, "w", format=suffix[1:], container_options=muxing) as container:
        stream = container.add_stream(codec, rate=1 / clock, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], stored
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format=source)
            frame.pts, frame.time_base = round(index / (fps * clock)), clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def _indexed(frames: UInt8[np.ndarray, "frame height width 3"]) -> list:
    """Each frame as indices into one palette, and that palette as 256 times (alpha, r, g, b)."""
    palette = Image.fromarray(np.concatenate(frames)).quantize(256)
    rgb = np.array(palette.getpalette("RGB"), np.uint8).reshape(-1, 3)
    table = np.full((256, 4), 255, np.uint8)
    table[: len(rgb), 1:] = rgb
    return [(np.array(Image.fromarray(f).quantize(palette=palette)), table) for f in frames]
