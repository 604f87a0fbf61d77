"""What the keyframe model draws for captions, read back: the examination after pretraining."""

from dataclasses import dataclass

import numpy as np
import torch

from vmc.backbones import keyframe_backbone
from vmc.errors import BadInput
from vmc.evaluation.tables import ATTRIBUTES, Progress, asked_and_read, markdown, percent, right
from vmc.metrics import proportion
from vmc.sprites import NAMED, ReadOut, random_scene, read_out

_BATCH = 16
_STREAM = 7_000_001  # where the seeds of pretraining have the number of a stage

# The least of each motion that training shows (`vmc.sprites.motions.named`), over a whole clip:
# in fractions of the frame, in log size, in radians.
_LEAST = {
    "moving right": 0.36,
    "moving left": 0.36,
    "rising": 0.28,
    "falling": 0.28,
    "growing": float(np.log(0.26 / 0.16)),
    "shrinking": float(np.log(0.26 / 0.16)),
    "spinning": 0.95 * np.pi,
}


@dataclass(frozen=True)
class PretrainingReport:
    """What was asked for and what was drawn: a row per caption."""

    rows: list[dict]

    def table(self) -> str:
        """Markdown: how often each attribute was drawn as asked, with Wilson's 95 % intervals.

        They allow for what the captions that start from the same noise have in common.
        """
        lines = []
        for name in (*ATTRIBUTES, "motion"):
            asked = [row for row in self.rows if row[name]]
            if asked:
                share = proportion(right(asked, name), [row["noise"] for row in asked])
                label = "named motion" if name == "motion" else name
                lines.append([label, percent(share), str(len(asked))])
        return markdown(["", "drawn as asked [95 %]", "captions"], lines)


def pretraining_report(
    cascade, captions: int = 256, seed: int = 0, progress: Progress | None = None
) -> PretrainingReport:
    """Draw keyframes for full captions of plain scenes with one subject, and read them.

    Scenes and noise come from seeds that pretraining never uses. This world has only 3,584 such
    captions, so that many a text, though none of the videos, occurs in a long training. Seven in
    ten name a motion; in the others "is moving" promises no path that could be checked, and the
    row's motion is "".

    Arguments:
        cascade: whose keyframe stage is examined, at its own guidance and number of steps.
        captions: how many.
        seed: of scenes and noise, ≥ 0.
        progress: told after every sampling step of a batch; it counts a caption's steps singly.
    """
    if captions < 1 or seed < 0:
        raise BadInput(
            f"A report needs 1 caption or more and a seed from 0; got {captions} and {seed}."
        )
    rng = np.random.default_rng([seed, _STREAM])
    scenes = [random_scene(rng, styled=0.0, pairs=0.0) for _ in range(captions)]
    backbone, rows = keyframe_backbone(cascade), []
    work = backbone.sampling_steps
    for first in range(0, captions, _BATCH):
        batch, noise = scenes[first : first + _BATCH], int(rng.integers(2**31))

        def on_step(stage, number, total, latents, first=first, batch=batch):
            if progress is not None:
                label = f"captions {first + 1} to {first + len(batch)} of {captions}"
                progress(first * work + len(batch) * number, captions * work, label)

        drawn = cascade.generate(
            [scene.caption() for scene in batch],
            seed=noise,
            until="keyframes",
            on_step=on_step,
        )
        for scene, result in zip(batch, drawn, strict=True):
            seen, name = read_out(result.keyframes), scene.motion.name
            rows.append(
                {"caption": result.prompt, "noise": noise}
                | asked_and_read(scene, seen)
                | {"motion": name if name in NAMED else "", "motion_read": motion_shown(seen)}
            )
    return PretrainingReport(rows)


def motion_shown(seen: ReadOut) -> str:
    """The named motion that a read-out shows, or "moving" where it shows none of them.

    Straight lines are fitted to the centre and the log size over the clip, and the turn is taken
    from its first to its last frame. What there is most of wins, each counted in the least of it
    that training shows; it takes half of that.
    """
    time = np.linspace(0, 1, len(seen.centres))
    course = torch.cat([seen.centres, seen.scale.log()[:, None]], dim=1)
    y, x, size = np.polyfit(time, course.numpy(), 1)[0]
    turned = abs(seen.rotation[-1] - seen.rotation[0]).item()
    changes = dict(zip(_LEAST, (x, -x, -y, y, size, -size, turned), strict=True))
    extents = {name: change / _LEAST[name] for name, change in changes.items()}
    name = max(extents, key=extents.get)
    return name if extents[name] >= 0.5 else "moving"
