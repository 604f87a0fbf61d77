"""Clips in: from video files, GIFs, folders of frames, and arrays in memory.

Files come from strangers: only video containers are opened (no playlists, which could point
anywhere), and whatever is wrong with one is said in a sentence.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count, islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped, UInt8
from PIL import Image, ImageOps
from torch import Tensor

from vmc.errors import BadInput

SMALLEST, LARGEST = 8, 8192  # pixels along either side of a frame
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_Pixels = Callable[[], UInt8[Tensor, "3 height width"]]  # a stored frame, not yet unpacked
_CONTAINERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf"


def load_video(
    path: str | Path,
    num_frames: int = 8,
    size: tuple[int, int] = (40, 64),
    start: int = 0,
    step: int | None = None,
    reverse: bool = False,
) -> Float[Tensor, "3 frame height width"]:
    """Reads `num_frames` frames of a video file, a GIF or a folder of pictures, in [-1, 1].

    `size` is (height, width): the largest centred crop of that shape is resized with antialiased
    bicubic weights. (The published code squashes the whole frame to 40x64 instead, which makes an
    egg of a wheel.) Frames are counted as they are stored, whatever their durations. With
    `step=None` they are spread evenly from frame `start` to the last one, else every `step`-th is
    taken. `reverse` plays them backwards (Sec. 4.4). Transparent parts become white, and a rotation
    noted in the file is applied. The pictures of a folder are taken in the natural order of their
    names (2.png before 10.png).

    Raises `BadInput` for anything that cannot be read or has too few frames.
    """
    path = Path(path)
    if num_frames < 2:
        raise BadInput(f"num_frames is {num_frames}, but a motion takes at least 2 frames.")
    if step is not None and step < 1:
        raise BadInput(f"step is {step}, but it must be 1 or more; reverse=True plays backwards.")
    if start < 0:
        raise BadInput(f"start is {start}, but the first frame is number 0.")
    _check_sides(*size, what="The size asked for")
    if not os.path.exists(path):
        raise BadInput(f"There is no file or folder {path}; check the path.")
    if not os.access(path, os.R_OK):
        raise BadInput(f"{path} cannot be opened; give yourself the right to read it.")

    read = _read_folder if path.is_dir() else _read_gif if _is_gif(path) else _read_film
    # Counted first, then read again: a long film never stands in memory.
    end = None if step is None else start + (num_frames - 1) * step + 1
    total = sum(1 for _ in islice(read(path), end))
    wanted = _wanted(path, total, num_frames, start, step)
    stored = enumerate(islice(read(path), wanted[-1] + 1))
    frames = [_fit(pixels(), size) for index, pixels in stored if index in wanted]
    clip = torch.stack(frames, dim=1).float() / 127.5 - 1
    return clip.flip(1) if reverse else clip


def as_clip(
    frames: np.ndarray | Tensor | Sequence, size: tuple[int, int] | None = None
) -> Float[Tensor, "3 frame height width"]:
    """A clip from frames in memory, cropped and resized to `size` (height, width) if that is given.

    Taken are (F, H, W, 3) of bytes or of floats in [0, 1], as mediapy, imageio and matplotlib have
    them, and (3, F, H, W) of bytes or of floats in [-1, 1], as here. Raises `BadInput` for another
    shape or type, for NaN or infinity, and for values out of range.
    """
    try:
        clip = frames.detach() if isinstance(frames, Tensor) else torch.tensor(np.array(frames))
    except (TypeError, ValueError):
        raise BadInput("The frames do not form one array of numbers; give them one size.") from None
    if clip.ndim != 4 or 3 not in (clip.shape[0], clip.shape[-1]):
        raise BadInput(
            f"The clip has shape {tuple(clip.shape)}; expected (frames, height, width, 3) or "
            "(3, frames, height, width)."
        )
    lowest = -1
    if clip.shape[-1] == 3:  # the channels, for no frame is 3 pixels wide
        clip, lowest = clip.movedim(-1, 0), 0
    if clip.shape[1] < 2:
        raise BadInput(f"The clip has {clip.shape[1]} frame, but a motion takes at least 2.")
    _check_sides(*clip.shape[2:], what="The clip")
    if clip.dtype == torch.uint8:
        clip = clip.float() / 127.5 - 1
    elif clip.is_floating_point():
        clip = clip.float()
        if not clip.isfinite().all():
            raise BadInput("The clip holds NaN or infinite values; look at where it comes from.")
        if clip.min() < lowest - 1e-3 or clip.max() > 1 + 1e-3:
            raise BadInput(
                f"The clip's values run from {clip.min():.3g} to {clip.max():.3g}; floats in this "
                f"layout must lie between {lowest} and 1 (or give bytes, 0 to 255)."
            )
        clip = 2 * clip - 1 if lowest == 0 else clip
    else:
        raise BadInput(f"The clip is of type {clip.dtype}; expected bytes (uint8) or floats.")
    if size is not None:
        _check_sides(*size, what="The size asked for")
        clip = torch.stack([_fit(frame, size) for frame in clip.unbind(1)], dim=1)
    return clip.clamp(-1, 1)


def _is_gif(path: Path) -> bool:
    if not path.is_file():
        raise BadInput(f"{path} is neither a file nor a folder; give a video or pictures.")
    with path.open("rb") as file:
        first = file.read(4)
    if not first:
        raise BadInput(f"{path} is empty (0 bytes); record, export or download it again.")
    return first == b"GIF8"


def _read_film(path: Path) -> Iterator[_Pixels]:
    """The frames of a video file, up to its end or to where it is cut off or damaged."""
    import av

    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
    try:
        container = av.open(f"file:{path}", options=options, metadata_errors="ignore")
    except av.FFmpegError as error:
        raise BadInput(
            f"{path} is not a video that can be read, or it is cut off or damaged; give an mp4, "
            "mov, webm or GIF, or a folder of pictures."
        ) from error
    with container:
        stream = container.streams.best("video")
        if stream is None or stream.codec_context is None:
            raise BadInput(f"{path} holds no pictures that can be decoded; give another video.")
        stream.thread_type = "SLICE"  # frames in flight between threads are lost where a file ends
        with suppress(av.FFmpegError):
            for packet in container.demux(stream):
                if packet.is_corrupt:  # the file ends in its middle
                    return
                for frame in packet.decode():
                    if frame.is_corrupt:
                        return
                    _check_sides(frame.height, frame.width, what=str(path))
                    yield partial(_upright, frame)


def _upright(frame) -> UInt8[Tensor, "3 height width"]:
    pixels = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
    return torch.tensor(pixels.copy()).movedim(-1, 0)


def _read_gif(path: Path) -> Iterator[_Pixels]:
    """The frames of a GIF, up to its end or to where it is cut off or damaged."""
    with _opened(path) as animation:
        for index in count():
            try:
                animation.seek(index)
                picture = animation.convert("RGBA")
            except Exception:  # EOFError at the end, nearly anything on damaged data
                return
            yield partial(_on_white, picture)


def _read_folder(folder: Path) -> Iterator[_Pixels]:
    """The pictures of a folder in natural order, once all are seen to have one size."""
    files = [f for f in folder.iterdir() if f.suffix.lower() in PICTURES and f.name[0] != "."]
    # Split at its digits, a name is text, number, text, ...: the same kind at the same place.
    parts = partial(re.split, r"(\d+)")
    files.sort(key=lambda f: ([int(p) if p.isdecimal() else p for p in parts(f.name)], f.name))
    if not files:
        raise BadInput(f"{folder} holds no pictures; expected frames as {', '.join(PICTURES)}.")
    sizes = []
    for file in files:
        with _opened(file) as picture:
            sizes.append(picture.size)
        if sizes[-1] != sizes[0]:
            raise BadInput(
                f"{file} is {sizes[-1][0]}x{sizes[-1][1]} pixels, but {files[0].name} is "
                f"{sizes[0][0]}x{sizes[0][1]}; the frames of one clip need one size."
            )
    return (partial(_read_picture, file) for file in files)


def _read_picture(file: Path) -> UInt8[Tensor, "3 height width"]:
    with _opened(file) as opened:
        picture = ImageOps.exif_transpose(opened)
        if picture.mode.startswith("I"):  # 16 bits of grey, which `convert` would clip to 8
            picture = Image.fromarray((np.asarray(picture).astype(np.uint16) >> 8).astype(np.uint8))
        return _on_white(picture)


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(file) as picture:
            _check_sides(picture.height, picture.width, what=str(file))
            yield picture
    except BadInput:
        raise
    except Exception as error:  # on damaged data Pillow raises nearly anything
        raise BadInput(f"{file} cannot be read as a picture; replace or remove it.") from error


def _on_white(picture: Image.Image) -> UInt8[Tensor, "3 height width"]:
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return torch.tensor(np.array(picture.convert("RGB"))).movedim(-1, 0)


def _wanted(path: Path, total: int, num_frames: int, start: int, step: int | None) -> list[int]:
    """The indices of the frames to take from a clip that has `total`."""
    if total == 0:
        raise BadInput(f"No frame of {path} can be decoded; the file is cut off or damaged.")
    if start >= total:
        raise BadInput(f"start is {start}, but {path} ends with frame {total - 1}; start earlier.")
    left = len(range(start, total, step or 1))
    if left < num_frames:
        # A clip is counted no further than it must be, so `total` is its end here.
        found = f"has {left} readable frame{'s' * (left != 1)}"
        found += f" from number {start} on" * (start > 0) + f" at step {step}" * (step is not None)
        remedy = f"lower num_frames to {left}" if left > 1 else "give a longer clip"
        raise BadInput(f"{path} {found}, but {num_frames} were asked for; {remedy}.")
    if step is not None:
        return list(range(start, start + num_frames * step, step))
    return np.linspace(start, total - 1, num_frames).round().astype(int).tolist()


def _fit(image: Shaped[Tensor, "3 _ _"], size: tuple[int, int]) -> Shaped[Tensor, "3 height width"]:
    """The largest centred crop with the proportions of `size` (height, width), resized to it."""
    scale = min(image.shape[1] / size[0], image.shape[2] / size[1])
    height, width = max(1, round(scale * size[0])), max(1, round(scale * size[1]))
    top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
    crop = image[None, :, top : top + height, left : left + width]
    return F.interpolate(crop, size, mode="bicubic", antialias=True)[0]


def _check_sides(height: int, width: int, what: str) -> None:
    if min(height, width) < SMALLEST or max(height, width) > LARGEST:
        raise BadInput(
            f"{what} is {height} pixels high and {width} wide; either side must have between "
            f"{SMALLEST} and {LARGEST}."
        )
