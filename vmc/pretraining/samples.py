"""What a stage in training draws so far: a picture to look at, and how much of it is right.

Everything is drawn by a copy of the network with its averaged weights and from generators of its
own, so that training goes on as if nobody had looked.
"""

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from vmc.backbones.tiny import TinyBackbone
from vmc.cascade import Cascade
from vmc.evaluation import motion_shown
from vmc.pretraining import KEYFRAME_TIMES, Pretraining
from vmc.sprites import FRAMES, Scene, read_out, render
from vmc.sprites.motions import named
from vmc.stages import Interpolation, SuperResolution
from vmc.video import contact_sheet, write_atomically

SAMPLES = 4  # of the frames drawn for each caption by the text-to-image stage


@dataclass(frozen=True)
class Sample:
    """A contact sheet, and numbers for the log by name.

    The first two stages are read: shares of what was asked for that is there. The others are
    compared with the scenes that they complete: the root of the mean squared error.
    """

    sheet: Image.Image
    numbers: dict[str, float]


def sample(training: Pretraining) -> Sample:
    """Draw with what the stage has learned so far."""
    model = training.averaged()
    backbone = TinyBackbone(model["denoiser"], model["text_encoder"])
    if training.stage == "image":
        return _frames(backbone)
    if training.stage == "keyframes":
        return _clips(backbone)
    return _completed(backbone, training.stage)


def write_sample(training: Pretraining) -> None:
    """Save a sheet beside the checkpoint, and add a row to the stage's table of samples."""
    made, step = sample(training), f"{training.step:06d}"
    data = io.BytesIO()
    made.sheet.save(data, "png")
    write_atomically(training.folder / f"{training.stage}_{step}.png", data.getvalue())
    table = training.folder / f"{training.stage}_samples.csv"
    rows = table.read_text() if table.exists() else ",".join(["step", *made.numbers]) + "\n"
    rows += ",".join([str(training.step), *(f"{n:.4f}" for n in made.numbers.values())]) + "\n"
    write_atomically(table, rows.encode())


def _scenes() -> list[Scene]:
    rng = np.random.default_rng(0)
    return [
        Scene(subject, colour, place, named(motion, rng))
        for subject, colour, place, motion in (
            ("car", "red", "on the road", "moving right"),
            ("fish", "yellow", "underwater", "moving left"),
            ("star", "blue", "on the snow", "rising"),
            ("bird", "pink", "in the forest", "falling"),
            ("ball", "green", "at night", "growing"),
            ("rocket", "orange", "in the sky", "spinning"),
        )
    ]


def _frames(backbone: TinyBackbone) -> Sample:
    backbone.frames = 1
    captions = [scene.caption(motion=False) for scene in _scenes()]
    draws = [
        Cascade(backbone).generate(captions, seed=seed, until="keyframes")
        for seed in range(SAMPLES)
    ]
    rows = [torch.cat([one.keyframes for one in row], 1) for row in zip(*draws, strict=True)]
    found = [
        _right(scene, frame[:, None])
        for scene, row in zip(_scenes(), rows, strict=True)
        for frame in row.unbind(1)
    ]
    return Sample(contact_sheet(rows, captions, SAMPLES), _shares(found))


def _clips(backbone: TinyBackbone) -> Sample:
    captions = [scene.caption() for scene in _scenes()]
    drawn = [
        made.keyframes for made in Cascade(backbone).generate(captions, seed=0, until="keyframes")
    ]
    found = [
        _right(scene, clip) | {"motion": motion_shown(read_out(clip)) == scene.motion.name}
        for scene, clip in zip(_scenes(), drawn, strict=True)
    ]
    return Sample(contact_sheet(drawn, captions), _shares(found))


def _right(scene: Scene, clip: Tensor) -> dict[str, bool]:
    seen = read_out(clip)
    return {
        name: getattr(seen, name) == getattr(scene, name) for name in ("subject", "colour", "place")
    }


def _shares(found: list[dict[str, bool]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in found])) for name in found[0]}


def _completed(backbone: TinyBackbone, stage: str) -> Sample:
    """Rendered scenes as the stage before would hand them over, and what this one makes of them."""
    size, low_size = {
        "interpolation": ((40, 64), None),
        "super_resolution_1": ((160, 256), (40, 64)),
        "super_resolution_2": ((320, 576), (160, 256)),
    }[stage]
    clips, labels, errors = [], [], []
    for scene in _scenes()[:2]:
        words = backbone.encode_text([scene.caption()]), backbone.encode_text([""])
        generator = torch.Generator().manual_seed(0)
        if low_size is None:
            given = render([scene], KEYFRAME_TIMES[None], size)[0]
            true = render([scene], np.linspace(0, 1, FRAMES)[None], size)[0]
            complete = Interpolation(backbone.denoiser, backbone.sampler)
        else:
            true = render([scene], np.array([[12, 13]]) / (FRAMES - 1), size)[0]
            given = F.interpolate(true[None], (2, *low_size), mode="area")[0]
            complete = SuperResolution(backbone.denoiser, backbone.sampler, size)
        with torch.no_grad():
            drawn = complete(given.to(backbone.device), *words, generator).cpu()
        errors.append((drawn - true).square().mean().sqrt().item())
        clips += [given[:, :3], drawn, true]
        labels += [f"{scene.caption()}: given", "drawn", "true"]
    # Of the interpolation two windows are shown: three keyframes and what lies between them.
    columns, height = (9, 96) if low_size is None else (2, 240)
    shown = [clip[:, :columns] for clip in clips]
    return Sample(contact_sheet(shown, labels, columns, height), {"error": float(np.mean(errors))})
