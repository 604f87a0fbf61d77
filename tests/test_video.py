"""Clips in and out: exact where it can be, and one sentence for each thing that can be wrong."""

import errno
import math
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from vmc.errors import BadInput
from vmc.video import as_clip, contact_sheet, load_video, save_video, to_uint8, write_atomically


def numbered(count, height=40, width=64):
    """Frames of which number i has the grey level 10 i + 5."""
    levels = np.arange(count, dtype=np.uint8)[:, None, None, None] * 10 + 5
    return np.broadcast_to(levels, (count, height, width, 3)).copy()


def numbers(clip):
    """The numbers of the frames of such a clip."""
    return ((to_uint8(clip).mean((1, 2, 3)) - 5) / 10).round().astype(int).tolist()


def scenery(count=8, height=40, width=64):
    """A smooth colourful clip with a bright square that moves right, in [-1, 1]."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    clip = torch.stack([0.6 * x - 0.3, 0.8 * y - 0.4, 0.2 - 0.5 * x * y])[:, None]
    clip = clip.repeat(1, count, 1, 1)
    for n in range(count):
        left = width // 8 + n * width // (2 * count)
        clip[:, n, height // 4 : height // 2, left : left + width // 4] = 0.9
    return clip


def folder(path, frames, names=None):
    path.mkdir()
    for index, frame in enumerate(frames):
        name = names[index] if names else f"{index + 1}.png"
        picture = frame if isinstance(frame, Image.Image) else Image.fromarray(frame)
        picture.save(path / name)
    return path


def refused(*parts):
    """The one sentence of a `BadInput` that says all `parts`."""
    return pytest.raises(BadInput, match="(?s)" + "".join(f"(?=.*{part})" for part in parts))


# --- which frames ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ({}, [0, 2, 5, 7, 9, 11, 14, 16]),
        ({"num_frames": 3}, [0, 8, 16]),
        ({"num_frames": 3, "start": 6}, [6, 11, 16]),
        ({"num_frames": 3, "start": 6, "step": 1}, [6, 7, 8]),
        ({"num_frames": 4, "step": 5}, [0, 5, 10, 15]),
        ({"num_frames": 3, "start": 6, "step": 5, "reverse": True}, [16, 11, 6]),
        ({"num_frames": 17, "reverse": True}, list(range(16, -1, -1))),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "mp4", "gif"])
def test_takes_the_frames_that_were_asked_for(tmp_path, kind, arguments, expected):
    path = tmp_path / f"clip.{kind}"
    if kind == "folder":
        folder(path, numbered(17))
    else:
        save_video(as_clip(numbered(17)), path)
    assert numbers(load_video(path, **arguments)) == expected


def test_folder_is_in_natural_order_and_skips_what_is_no_frame(tmp_path):
    names = ["frame10.png", "frame2.png", "Frame1.jpg", "frame9.webp"]
    path = folder(tmp_path / "clip", numbered(4), names)
    (path / "notes.txt").write_text("not a frame")
    (path / "._frame1.png").write_bytes(b"left by a file manager")
    assert numbers(load_video(path, num_frames=4)) == [2, 1, 3, 0]


# --- how they are resized -------------------------------------------------------------------------


def test_frames_of_the_asked_size_come_back_exactly(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (3, 40, 64, 3), dtype=np.uint8)
    clip = load_video(folder(tmp_path / "clip", frames), num_frames=3)
    assert clip.shape == (3, 3, 40, 64)
    assert torch.equal(clip, as_clip(frames))
    assert np.array_equal(to_uint8(clip), frames)


@pytest.mark.parametrize("height, width", [(120, 300), (300, 120), (40, 64), (30, 48), (24, 400)])
def test_the_crop_is_centred_and_keeps_proportions(tmp_path, height, width):
    # A disc of 40 % of the height that a 5:8 crop has, in the middle of the frame.
    scale = min(height / 40, width / 64)
    y, x = np.ogrid[:height, :width]
    y, x = y + 0.5 - height / 2, x + 0.5 - width / 2
    disc = np.where(y**2 + x**2 < (0.2 * 40 * scale) ** 2, 255, 0).astype(np.uint8)
    path = folder(tmp_path / "clip", [np.repeat(disc[..., None], 3, 2)] * 2)
    light = (load_video(path, num_frames=2)[0, 0] + 1) / 2
    rows, columns = torch.arange(40) + 0.5, torch.arange(64) + 0.5
    cy, cx = (light.sum(1) @ rows) / light.sum(), (light.sum(0) @ columns) / light.sum()
    assert (cy - 20).abs() < 0.75 / scale + 0.05 and (cx - 32).abs() < 0.75 / scale + 0.05
    spread_y = (light.sum(1) @ (rows - cy) ** 2 / light.sum()).sqrt()
    spread_x = (light.sum(0) @ (columns - cx) ** 2 / light.sum()).sqrt()
    assert spread_x / spread_y == pytest.approx(1, abs=0.05)
    assert spread_y == pytest.approx(0.2 * 40 / 2, rel=0.05)  # of a disc: radius / 2


def test_shrinking_is_antialiased(tmp_path):
    stripes = np.zeros((320, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    clip = load_video(folder(tmp_path / "clip", [stripes] * 2), num_frames=2)
    assert (clip[..., 2:-2].abs() < 0.02).all()  # every one the grey between


# --- what is stored in them -----------------------------------------------------------------------


def test_grey_alpha_palette_16_bit_and_cmyk_pictures(tmp_path):
    ramp = np.tile(np.linspace(0, 255, 64).round().astype(np.uint8), (40, 1))
    rgb = np.repeat(ramp[..., None], 3, 2)
    half = np.where(np.arange(64) < 32, 255, 0).astype(np.uint8)
    rgba = np.dstack([rgb, np.tile(half, (40, 1))])
    pictures = [
        Image.fromarray(rgb),
        Image.fromarray(ramp),
        Image.fromarray(ramp.astype(np.uint16) * 257),
        Image.fromarray(rgb).quantize(256),
        Image.fromarray(rgba),
        Image.fromarray(rgba).convert("LA"),
        Image.fromarray(np.where(ramp > 127, 255, 0).astype(np.uint8)).convert("1"),
    ]
    assert [p.mode for p in pictures] == ["RGB", "L", "I;16", "P", "RGBA", "LA", "1"]
    frames = to_uint8(load_video(folder(tmp_path / "clip", pictures), num_frames=7))
    for same in frames[1:4]:
        assert np.array_equal(same, frames[0])
    for transparent in frames[4:6]:
        assert np.array_equal(transparent[:, :32], frames[0][:, :32])
        assert (transparent[:, 32:] == 255).all()
    assert np.array_equal(frames[6], np.where(frames[0] > 127, 255, 0))

    cmyk = Image.fromarray(rgb).convert("CMYK")
    names = ["1.jpg", "2.jpg"]
    clip = load_video(folder(tmp_path / "cmyk", [cmyk] * 2, names), num_frames=2)
    assert np.abs(to_uint8(clip)[0].astype(int) - rgb).max() <= 4


def test_pictures_are_turned_as_their_camera_noted(tmp_path):
    upright = Image.fromarray(to_uint8(scenery(2))[0])
    lying, exif = upright.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    path = tmp_path / "clip"
    path.mkdir()
    for name in ("1.png", "2.png"):
        lying.save(path / name, exif=exif)
    assert np.array_equal(to_uint8(load_video(path, num_frames=2))[0], np.asarray(upright))


@pytest.mark.parametrize("angle, turns", [(90, 1), (180, 2), (-90, 3)])
def test_a_rotated_film_is_turned_upright(tmp_path, angle, turns):
    upright = to_uint8(scenery(3, 64, 64))
    path = tmp_path / "phone.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"crf": "1"})
        stream.height = stream.width = 64
        stream.pix_fmt = "yuv420p"
        stream.set_display_rotation(angle)
        for pixels in np.rot90(upright, -turns, axes=(1, 2)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(path) as container:
        assert next(container.decode(video=0)).rotation % 360 == angle % 360
    read = to_uint8(load_video(path, num_frames=3, size=(64, 64)))
    assert np.abs(read.astype(int) - upright).mean() < 4


def test_a_variable_frame_rate_counts_stored_frames(tmp_path):
    path = tmp_path / "screen.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width, stream.pix_fmt = 40, 64, "yuv420p"
        for time, pixels in zip([0, 1, 2, 30, 90, 91, 200, 201], numbered(8), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert numbers(load_video(path)) == list(range(8))
    assert numbers(load_video(path, num_frames=3, start=1, step=3)) == [1, 4, 7]


def test_a_gif_with_palettes_and_transparency(tmp_path):
    path = tmp_path / "sticker.gif"
    pictures = []
    for left in (0, 20, 40):
        picture = Image.new("RGBA", (64, 40))
        picture.paste((200, 30, 30 + left, 255), (left, 10, left + 16, 30))
        pictures.append(picture)
    pictures[0].save(path, save_all=True, append_images=pictures[1:], disposal=2, duration=80)
    frames = to_uint8(load_video(path, num_frames=3))
    for frame, left in zip(frames, (0, 20, 40), strict=True):
        square = frame[10:30, left : left + 16].reshape(-1, 3)
        assert np.abs(square.astype(int) - (200, 30, 30 + left)).max() <= 2
        rest = frame.copy()
        rest[10:30, left : left + 16] = 255
        assert (rest == 255).all()


# --- arrays ---------------------------------------------------------------------------------------


def test_as_clip_takes_every_usual_layout():
    frames = np.random.default_rng(1).integers(0, 256, (5, 16, 24, 3), dtype=np.uint8)
    clip = as_clip(frames)
    assert clip.shape == (3, 5, 16, 24)
    assert clip.dtype == torch.float32 and clip.min() >= -1 and clip.max() <= 1
    assert torch.equal(clip, torch.tensor(frames).permute(3, 0, 1, 2) / 127.5 - 1)
    same = [
        list(frames),
        torch.tensor(frames),
        torch.tensor(frames).permute(3, 0, 1, 2),
        frames / 255.0,
        (frames / 255).astype(np.float32),
        clip,
        clip.double(),
    ]
    for other in same:
        assert torch.allclose(as_clip(other), clip, atol=1e-6)


def test_as_clip_resizes_as_load_video_does(tmp_path):
    frames = to_uint8(scenery(3, 90, 110))
    loaded = load_video(folder(tmp_path / "clip", frames), num_frames=3)
    assert (as_clip(frames, size=(40, 64)) - loaded).abs().max() < 1.5 / 127.5
    sharp = as_clip(np.where(np.indices((2, 90, 110, 3))[2] > 50, 1.0, 0.0), size=(40, 64))
    assert sharp.min() == -1 and sharp.max() == 1  # bicubic overshoot is cut


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_refused(tmp_path, bad):
    clip = scenery()
    clip[1, 3, 20, 20] = bad
    with refused("NaN or infinite"):
        as_clip(clip)
    with refused("NaN or infinite"):
        save_video(clip, tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "frames, parts",
    [
        (np.zeros((8, 40, 64), np.uint8), ["shape \\(8, 40, 64\\)", "expected"]),
        (np.zeros((8, 40, 64, 4), np.uint8), ["shape \\(8, 40, 64, 4\\)", "expected"]),
        (np.zeros((1, 40, 64, 3), np.uint8), ["1 frame", "at least 2"]),
        (np.zeros((8, 1, 1, 3), np.uint8), ["1 pixels high and 1 wide", "8"]),
        (np.zeros((8, 40, 64, 3), np.int64), ["int64", "uint8"]),
        (np.full((8, 40, 64, 3), -0.5), ["-0.5", "between 0 and 1"]),
        (np.full((8, 40, 64, 3), 255.0), ["255", "between 0 and 1"]),
        (torch.full((3, 8, 40, 64), 1.5), ["1.5", "between -1 and 1"]),
        ([np.zeros((40, 64, 3)), np.zeros((40, 65, 3))], ["one array"]),
        (["a", "b"], ["one array"]),
    ],
)
def test_as_clip_refuses(frames, parts):
    with refused(*parts):
        as_clip(frames)


# --- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix, tolerance", [("mp4", 4), ("mov", 4), ("webm", 5), ("gif", 5)])
@pytest.mark.parametrize("height, width", [(40, 64), (41, 63)])
def test_what_is_written_reads_back(tmp_path, suffix, tolerance, height, width):
    clip = scenery(8, height, width)
    clip[:, 4] = clip[:, 3]  # a frame that stands still is still a frame
    path = tmp_path / "new" / f"clip.{suffix}"
    save_video(clip, path, fps=7.5)
    with av.open(path) as container:
        stream = container.streams.video[0]
        stored = list(container.decode(stream))
        assert [float(f.time) for f in stored] == pytest.approx(
            [n / 7.5 for n in range(8)], abs=0.006 if suffix == "gif" else 0.001
        )
        assert container.duration / 1e6 == pytest.approx(8 / 7.5, abs=0.01)
        if suffix != "gif":
            assert stream.format.name == "yuv420p"
    assert (stored[0].height, stored[0].width) == (height, width) or suffix != "gif"
    read = np.stack([f.to_ndarray(format="rgb24") for f in stored])[:, :height, :width]
    assert np.abs(read.astype(int) - to_uint8(clip)).mean() < tolerance
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["mp4", "webm", "gif"])
def test_the_same_clip_gives_the_same_bytes(tmp_path, suffix):
    files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for file in files:
        save_video(scenery(), file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_gif_plays_forever_at_its_rate(tmp_path):
    path = tmp_path / "clip.gif"
    save_video(scenery(), path, fps=7.5)
    with Image.open(path) as gif:
        durations = []
        for index in range(gif.n_frames):
            gif.seek(index)
            durations.append(gif.info["duration"])
        assert gif.info["loop"] == 0
    assert len(durations) == 8 and set(durations) <= {130, 140}
    assert sum(durations) == pytest.approx(8000 / 7.5, abs=10)


def test_values_beyond_the_range_are_clamped():
    frames = to_uint8(torch.linspace(-1.4, 1.4, 64).expand(3, 2, 40, 64))
    assert frames[0, 0, 0, 0] == 0 and frames[0, 0, -1, 0] == 255
    assert (np.diff(frames[0, 0, :, 0].astype(int)) >= 0).all()


@pytest.mark.parametrize(
    "name, fps, parts",
    [
        ("clip.png", 8, ["clip.png", ".mp4"]),
        ("clip", 8, ["clip", ".mp4"]),
        ("clip.mp4", 0, ["fps is 0"]),
        ("clip.mp4", math.nan, ["fps is nan"]),
        ("clip.mp4", -1, ["fps is -1"]),
        ("clip.mp4", 1e-9, ["fps is 1e-09", "from 0.1 to 240"]),
        ("clip.gif", 60, ["fps is 60", "to 50"]),
    ],
)
def test_save_video_refuses(tmp_path, name, fps, parts):
    with refused(*parts):
        save_video(scenery(), tmp_path / name, fps=fps)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", ["write", "replace"])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, stage):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"an earlier result")
    whole = Path.write_bytes

    def full(*arguments):
        if stage == "write":
            whole(arguments[0], arguments[1][:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((Path, "write_bytes") if stage == "write" else ("os.replace",)), full)
    with refused("disk is full", "clip.mp4", "free some space"):
        save_video(scenery(), path)
    monkeypatch.undo()
    assert path.read_bytes() == b"an earlier result"
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "new" / "file.bin", b"data")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("a file where a folder is needed")
    (tmp_path / "folder.mp4").mkdir()
    for path in (tmp_path / "file" / "clip.mp4", tmp_path / "folder.mp4"):
        with refused(path.name, "cannot be written"):
            save_video(scenery(), path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.mp4"]


# --- contact sheets -------------------------------------------------------------------------------


def test_contact_sheet_shows_evenly_chosen_frames():
    long, short = as_clip(numbered(17)), as_clip(numbered(3, 80, 80))
    sheet = np.asarray(contact_sheet([long, short], columns=5, height=40))
    assert sheet.shape == (2 * 44 + 4, 5 * 68 + 4, 3)
    assert [sheet[24, 36 + 68 * n, 0] for n in range(5)] == [5, 45, 85, 125, 165]
    assert [sheet[68, 24 + 44 * n, 0] for n in range(3)] == [5, 15, 25]
    assert (sheet[48:88, 4 + 3 * 44 :] == 255).all()
    labelled = np.asarray(contact_sheet([long, short], ["a clip", "another"], 5, 40))
    assert labelled.shape == (2 * 64 + 4, 5 * 68 + 4, 3)
    assert (labelled[4:24] < 100).any() and (labelled[68:88] < 100).any()


def test_contact_sheet_refuses():
    with refused("2 clips", "1 labels"):
        contact_sheet([scenery(), scenery()], ["one"])
    with refused("needs a clip"):
        contact_sheet([])


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, parts",
    [
        ({"num_frames": 1}, ["num_frames is 1", "at least 2"]),
        ({"num_frames": 0}, ["num_frames is 0"]),
        ({"step": 0}, ["step is 0", "1 or more"]),
        ({"step": -1}, ["step is -1", "reverse=True"]),
        ({"start": -1}, ["start is -1"]),
        ({"start": 12}, ["start is 12", "ends with frame 11"]),
        ({"num_frames": 13}, ["has 12 readable frames", "13 were asked", "lower num_frames to 12"]),
        ({"start": 6}, ["has 6 readable frames from number 6", "lower num_frames to 6"]),
        ({"start": 11}, ["has 1 readable frame from number 11", "longer clip"]),
        ({"step": 2}, ["has 6 readable frames at step 2", "8 were asked", "num_frames to 6"]),
        ({"step": 4, "start": 30}, ["start is 30", "ends with frame 11"]),
        ({"size": (4, 64)}, ["size", "4 pixels high and 64 wide"]),
        ({"size": (40, 10000)}, ["size", "40 pixels high and 10000 wide"]),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "mp4"])
def test_impossible_requests(tmp_path, kind, arguments, parts):
    path = tmp_path / f"clip.{kind}"
    if kind == "folder":
        folder(path, numbered(12))
    else:
        save_video(as_clip(numbered(12)), path)
    with refused(*parts):
        load_video(path, **arguments)


def test_what_is_no_video(tmp_path):
    with refused("no file or folder", "missing.mp4"):
        load_video(tmp_path / "missing.mp4")
    with refused("no file or folder"):
        load_video(tmp_path / ("x" * 3000))

    (tmp_path / "empty.mp4").touch()
    with refused("empty.mp4", "0 bytes"):
        load_video(tmp_path / "empty.mp4")

    for name in ("text.mp4", "text.txt", "text.gif"):
        (tmp_path / name).write_text("these are words\n" * 200)
        with refused(name, "not a video"):
            load_video(tmp_path / name)

    # A playlist may name other files or addresses, so it is not followed.
    save_video(scenery(), tmp_path / "clip.mp4")
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nclip.mp4\n#EXT-X-ENDLIST\n")
    (tmp_path / "concat.mp4").write_text("ffconcat version 1.0\nfile clip.mp4\n")
    Image.fromarray(numbered(1)[0]).save(tmp_path / "single.png")
    for name in ("list.mp4", "concat.mp4", "single.png"):
        with refused(name, "not a video"):
            load_video(tmp_path / name)

    with av.open(tmp_path / "sound.mov", "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with refused("sound.mov", "holds no pictures"):
        load_video(tmp_path / "sound.mov")


def test_folders_that_are_no_clip(tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "notes.txt").write_text("nothing to see")
    with refused("none", "holds no pictures", ".png"):
        load_video(tmp_path / "none")

    frames = [*numbered(9), numbered(1, 41)[0], numbered(1, 42)[0]]
    with refused("10.png is 64x41", "1.png is 64x40", "one size"):
        load_video(folder(tmp_path / "odd", frames))

    path = folder(tmp_path / "broken", numbered(3))
    (path / "2.png").write_text("not a picture")
    with refused("2.png", "cannot be read as a picture"):
        load_video(path, num_frames=3)
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    for name, keep in (("2.png", 0.5), ("2.jpg", 0.5), ("2.webp", 0.7)):
        path = folder(tmp_path / f"cut {name}", [noise] * 3, ["1.png", name, "3.png"])
        data = (path / name).read_bytes()
        (path / name).write_bytes(data[: int(len(data) * keep)])
        with refused(name):
            load_video(path, num_frames=3)


@pytest.mark.parametrize("height, width", [(1, 1), (7, 64), (40, 10_000), (10_000, 8)])
def test_frames_too_small_or_too_large(tmp_path, height, width):
    pixels = np.zeros((height, width, 3), np.uint8)
    parts = [f"{height} pixels high and {width} wide", "between 8 and 8192"]
    with refused("1.png", *parts):
        load_video(folder(tmp_path / "clip", [pixels] * 2), num_frames=2)
    pictures = [Image.fromarray(pixels)] * 2
    pictures[0].save(tmp_path / "clip.gif", save_all=True, append_images=pictures[1:])
    with refused("clip.gif", *parts):
        load_video(tmp_path / "clip.gif", num_frames=2)


def test_a_picture_bomb_is_refused_before_it_is_unpacked(tmp_path):
    # The head of a PNG that says 20,000 x 20,000 pixels.
    path = folder(tmp_path / "clip", numbered(2))
    data = bytearray((path / "1.png").read_bytes())
    data[16:24] = struct.pack(">II", 20_000, 20_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (path / "1.png").write_bytes(data)
    with refused("1.png", "cannot be read as a picture"):
        load_video(path, num_frames=2)


@pytest.mark.parametrize("kind", ["mp4", "index first.mp4", "webm", "gif"])
def test_a_truncated_video_gives_whole_frames_or_one_sentence(tmp_path, kind):
    """Cut anywhere, a file gives frames of the clip, in their order, or a `BadInput`."""
    frames = np.random.default_rng(0).integers(0, 256, (10, 5, 8, 3), dtype=np.uint8)
    clip = as_clip(frames.repeat(8, axis=1).repeat(8, axis=2))
    path, cut = tmp_path / f"clip.{kind}", tmp_path / f"cut.{kind}"
    save_video(clip, path)
    if kind == "index first.mp4":
        with av.open(path) as source, av.open(cut, "w", options={"movflags": "faststart"}) as moved:
            stream = moved.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    moved.mux(packet)
        cut.replace(path)
    data, counts = path.read_bytes(), []
    whole = load_video(path, num_frames=10)
    for length in range(0, len(data), max(1, len(data) // 20)):
        cut.write_bytes(data[:length])
        try:
            load_video(cut, num_frames=2)
        except BadInput as error:
            assert str(cut) in str(error) and "\n" not in str(error)
            counts.append(0)
            continue
        count = 10
        while True:
            try:
                read = load_video(cut, num_frames=count)
                break
            except BadInput:
                count -= 1
        assert torch.equal(read, whole[:, :count])
        counts.append(count)
    assert counts == sorted(counts)
    assert counts[0] == 0 and (counts[-1] >= 8 or kind == "mp4")  # whose index stands at its end
    assert len(set(counts)) > 3 or kind == "mp4"


def test_a_damaged_video_never_shows_a_traceback(tmp_path):
    rng = np.random.default_rng(0)
    for suffix in ("mp4", "webm", "gif"):
        path = tmp_path / f"clip.{suffix}"
        save_video(scenery(), path)
        data = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(15):
            broken = data.copy()
            places = rng.integers(0, len(data), 20)
            broken[places] = rng.integers(0, 256, 20)
            path.write_bytes(broken.tobytes())
            try:
                clip = load_video(path, num_frames=4)
            except BadInput as error:
                assert str(path) in str(error)
            else:
                assert clip.shape == (3, 4, 40, 64) and clip.isfinite().all()
