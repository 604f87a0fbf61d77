"""Explorers of generation: the way from a clip to noise, and the stages of the cascade."""

from collections.abc import Sequence

import ipywidgets
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vmc.cascade import Generated
from vmc.errors import BadInput
from vmc.pictures import enlarged, side_by_side
from vmc.video import contact_sheet
from vmc.widgets.explorer import Explorer, slider
from vmc.widgets.shown import STILL

_LARGE = 320  # height of a frame of every stage
_ROWS = 5  # steps of an inversion on its static picture


def explore_inversion(
    latents: Sequence[Float[Tensor, "..."]],
    timesteps: Sequence[int],
    step: int | None = None,
) -> None:
    """A slider over the steps of an inversion: the clip on its way to noise (Sec. 3.3).

    Arguments:
        latents: (channel, frame, height, width) of each step, also with a batch axis of one before
            them, as `vmc.invert` hands them to `on_step`. Of other channels than colours the first
            three are shown.
        timesteps: the one that each of them has reached.
        step: where the slider begins, the last if None.
    Raises:
        BadInput: if there is not one timestep for each latent, or nothing at all.
    """
    inversion_explorer(latents, timesteps, step).show()


def inversion_explorer(latents, timesteps, step) -> Explorer:
    if not latents or len(latents) != len(timesteps):
        raise BadInput(
            f"There are {len(latents)} latents and {len(timesteps)} timesteps; give one for each "
            "step of an inversion."
        )
    clips = [x.reshape(x.shape[-4:])[:3].detach().float().cpu() for x in latents]

    def row(index: int) -> tuple[Tensor, str]:
        name = f"step {index + 1} of {len(clips)}, t = {timesteps[index]}"
        return clips[index] / clips[index].abs().quantile(0.99).clamp(min=1), name

    def sheet(*indices: int) -> Image.Image:
        rows, names = zip(*map(row, indices), strict=True)
        return contact_sheet(rows, names, height=STILL)

    last = len(clips) - 1
    chosen = np.unique(np.linspace(0, last, _ROWS).round().astype(int)).tolist()
    return Explorer(
        {"step": slider("step", last + 1 if step is None else step, last + 1, lowest=1)},
        lambda step: sheet(step - 1),
        sheet(*chosen),
        f"An inversion: the clip turns into noise, at t = {[timesteps[i] for i in chosen]}",
    )


def explore_cascade(generated: Generated, moment: int = 0) -> None:
    """Pick a stage and a moment: keyframes, the frames between them, and twice larger (Sec. 3.3).

    Stages that `generated` does not have are left out; `moment` is the frame of 29 to begin with.
    """
    cascade_explorer(generated, moment).show()


def cascade_explorer(generated: Generated, moment: int) -> Explorer:
    names = ("keyframes", "interpolated", "enlarged", "video")
    stages = {name: getattr(generated, name) for name in names}
    stages = {
        f"{name}: {x.shape[1]} frames of {x.shape[2]} x {x.shape[3]}": x.detach().float().cpu()
        for name, x in stages.items()
        if x is not None
    }
    frames = max(clip.shape[1] for clip in stages.values())

    def draw(stage: str, moment: int) -> Image.Image:
        clip = stages[stage]
        index = round(moment / max(1, frames - 1) * (clip.shape[1] - 1))
        frame = enlarged(clip[:, index : index + 1], _LARGE)
        return side_by_side([frame], [f"frame {index + 1} of {clip.shape[1]}"])[0]

    rows = [enlarged(clip[:, _spread(clip.shape[1])], STILL) for clip in stages.values()]
    return Explorer(
        {
            "stage": ipywidgets.ToggleButtons(options=list(stages), style={"button_width": "auto"}),
            "moment": slider("moment", moment, frames - 1),
        },
        draw,
        contact_sheet(rows, list(stages), height=STILL),
        f"{generated.prompt}, from left to right in time; {'; below, '.join(stages)}",
    )


def _spread(frames: int, columns: int = 8) -> Tensor:
    return torch.linspace(0, frames - 1, min(columns, frames)).round().long()
