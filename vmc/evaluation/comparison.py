"""The four-way comparison: VMC, and what is left of it without tuning, without inversion, without
both, on motions that the model has never seen.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vmc.backbones import keyframe_backbone
from vmc.cascade import Generated
from vmc.diffusion import invert
from vmc.errors import BadInput
from vmc.evaluation.contrast import by_contrast
from vmc.evaluation.pictures import save_picture, sheet_with_paths
from vmc.evaluation.tables import (
    ATTRIBUTES,
    NUMBERS,
    Progress,
    RowFile,
    asked_and_read,
    clips_of,
    markdown,
    number,
    percent,
    right,
)
from vmc.finetuning import finetune
from vmc.metrics import Interval, interval, motion_fidelity, proportion, trajectory_error
from vmc.prompts import appearance_invariant
from vmc.sprites import COLOURS, HELD_OUT, PLACES, SUBJECTS, Scene, held_out, read_out
from vmc.sprites.places import VARIANTS

SOURCE = "the clip itself"
WAYS = {
    "untuned, noise": (False, False),
    "untuned, inverted": (False, True),
    "tuned, noise": (True, False),
    "tuned, inverted": (True, True),
}
"""Name → (with the tuned weights?, from the clip's inverted noise?); the last is VMC."""

_STREAM = 7_000_002  # where the seeds of pretraining have the number of a stage


@dataclass(frozen=True)
class FourWay:
    """A row for each clip, way and prompt, and one for the clip itself, read like the others: its
    errors are the read-out's own."""

    rows: list[dict]

    def table(self) -> str:
        """Markdown: a line for each way, and the ratio of the trajectory errors below.

        All intervals are of 95 % over the clips, whose results are drawn or counted together.
        """
        lines = []
        for way in (SOURCE, *WAYS):
            rows, line = self._of(way), [way]
            for name in NUMBERS:
                line.append(number(interval([row[name] for row in rows], clips_of(rows))))
            answers = [right(rows, name) for name in ATTRIBUTES]
            for column in (*answers, [all(each) for each in zip(*answers, strict=True)]):
                line.append(percent(proportion(column, clips_of(rows))))
            lines.append(line)
        head = ["", *(name.replace("_", " ") for name in NUMBERS), *ATTRIBUTES, "all three"]
        return (
            f"{markdown(head, lines)}\n\n"
            f"{len(set(clips_of(self.rows)))} clips; 95 % intervals over clips. Trajectory error "
            f"of tuning and inversion over that of inversion alone: {number(self.ratio())}."
        )

    def ratio(self) -> Interval:
        """Mean trajectory error of the tuned over that of the untuned, both from inverted noise."""
        tuned, untuned = self._of("tuned, inverted"), self._of("untuned, inverted")
        errors = [[row["trajectory_error"] for row in rows] for rows in (tuned, untuned)]
        return interval(errors[0], clips_of(tuned), over=errors[1])

    def motions(self) -> str:
        """Markdown: the mean trajectory error of each motion and way."""
        lines = []
        for motion in dict.fromkeys(row["motion"] for row in self.rows):
            errors = [
                [row["trajectory_error"] for row in self._of(way) if row["motion"] == motion]
                for way in (SOURCE, *WAYS)
            ]
            lines.append([motion, *(f"{np.mean(each):.3f}" for each in errors)])
        return markdown(["trajectory error", SOURCE, *WAYS], lines)

    def contrasts(self) -> str:
        """Markdown: trajectory errors by whether the new subject stands out as the clip's did."""
        return by_contrast(self._of(SOURCE), {way: self._of(way) for way in WAYS})

    def _of(self, way: str) -> list[dict]:
        return [row for row in self.rows if row["way"] == way]


def four_way(
    cascade,
    motions: Sequence[str] = HELD_OUT,
    prompts: int = 3,
    seeds: int = 3,
    steps: int | None = None,
    guidance_scale: float | None = None,
    inversion: str | None = None,
    csv: str | Path | None = None,
    sheets: str | Path | None = None,
    progress: Progress | None = None,
    **tuning,
) -> FourWay:
    """Untuned or tuned × from random or from inverted noise, on held-out motions.

    Each motion and seed make one clip: the motion a little shifted and stretched, a subject, a
    colour and a place. The prompts share none of these three with it, nor with each other. All
    four ways are asked for the same prompts, and those without inversion start from the same noise.

    Arguments:
        cascade: whose keyframe stage is tuned; the later stages have no part in this.
        motions: held-out ones, by name.
        prompts: for each clip, 1 to 6.
        seeds: clips for each motion; 0, 1, … are also the seeds of their tuning and noise.
        steps: of tuning; the backbone's own number if None.
        guidance_scale: of sampling; the backbone's own if None.
        inversion: the network that inverts for the tuned one: itself ("tuned"), or the one that it
            was ("untuned"); as the backbone's `inverts_tuned` says if None.
        csv: a file for the rows, written after every clip. Clips that are in it are not made
            again, so that a comparison goes on where it was interrupted.
        sheets: a folder for a picture of each clip and what was made of it, the true path in white
            and the tracked one in yellow.
        progress: told after every step of tuning, inversion and sampling.
        **tuning: further arguments of `vmc.finetune`, such as learning_rate.
    Raises:
        BadInput: any of these out of range; a csv of other weights or settings.
    """
    if not motions or seeds < 1 or not 1 <= prompts < len(COLOURS):
        raise BadInput(
            f"A comparison takes a motion or more, 1 seed or more and 1 to {len(COLOURS) - 1} "
            f"prompts; got {len(motions)}, {seeds} and {prompts}."
        )
    if inversion not in (None, "tuned", "untuned"):
        raise BadInput(f'Inversion is by the "tuned" or the "untuned" network; got {inversion!r}.')
    backbone = keyframe_backbone(cascade)
    inversion = inversion or ("tuned" if backbone.inverts_tuned else "untuned")
    steps = backbone.tuning_steps if steps is None else steps
    settings = {
        "fingerprint": backbone.fingerprint,
        "prompts": prompts,
        "steps": steps,
        "learning_rate": backbone.learning_rate,
        "inversion_steps": backbone.inversion_steps,
        "sampling_steps": backbone.sampling_steps,
        "guidance_scale": backbone.guidance_scale if guidance_scale is None else guidance_scale,
        "inversion": inversion,
    }
    file = RowFile(csv, json.dumps(settings | tuning))
    clips = {(m, s): _scenes(m, s, prompts) for m in motions for s in range(seeds)}
    work = steps + len(WAYS) * backbone.sampling_steps
    work += backbone.inversion_steps * (2 if inversion == "tuned" else 1)
    for index, ((motion, seed), scenes) in enumerate(clips.items()):
        if file.of(motion, seed):
            continue
        done = index * work

        def tick(activity, clip=f"{motion} {seed}"):
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, len(clips) * work, f"{clip}: {activity}")

        how = dict(steps=steps, seed=seed, **tuning)
        made = _four_ways(cascade, scenes, seed, inversion, guidance_scale, how, tick)
        asked = scenes[0].centres(backbone.frames)
        seen = [read_out(result.keyframes) for _, _, result in made]
        if sheets is not None:
            labels = [f"{way}: {result.prompt}" for way, _, result in made]
            pictures = [result.keyframes for _, _, result in made]
            sheet = sheet_with_paths(pictures, labels, asked, [each.centres for each in seen])
            save_picture(sheet, Path(sheets) / f"{motion.replace(' ', '_')}_{seed}.png")
        file.add(
            {"motion": motion, "seed": seed, "way": way, "prompt": result.prompt}
            | asked_and_read(scene, read)
            | {
                "trajectory_error": trajectory_error(read.centres, asked, backbone.size),
                "motion_fidelity": motion_fidelity(read.centres[None], asked[None], backbone.size),
                "tracked": json.dumps([[round(c, 4) for c in yx] for yx in read.centres.tolist()]),
            }
            for (way, scene, result), read in zip(made, seen, strict=True)
        )
    return FourWay([row for clip in clips for row in file.of(*clip)])


def _scenes(motion: str, seed: int, prompts: int) -> list[Scene]:
    """The source, then the targets on its path; no two share subject, colour or place."""
    rng = np.random.default_rng([seed, _STREAM, *motion.encode()])
    path = held_out(motion, rng)
    looks = [rng.permutation(options) for options in (SUBJECTS, list(COLOURS), PLACES)]
    return [
        Scene(*map(str, look), path, variant=int(rng.integers(VARIANTS)))
        for look in list(zip(*looks, strict=False))[: prompts + 1]
    ]


def _four_ways(
    cascade,
    scenes: list[Scene],
    seed: int,
    inversion: str,
    guidance_scale: float | None,
    tuning: dict,
    tick: Callable[[str], None],
) -> list[tuple[str, Scene, Generated]]:
    """(way, scene asked for, result): the clip of the first scene, then each way for the others."""
    source, *targets = scenes
    backbone = keyframe_backbone(cascade)
    clip = source.render(backbone.frames, backbone.size)
    made = [(SOURCE, source, Generated(source.caption(), clip))]

    run = finetune(cascade, clip, appearance_invariant(source.caption()), **tuning)
    for step in run:
        tick(f"tuning, loss {step.loss:.2f}")
    adapter = run.adapter

    def inverted():
        return invert(cascade, clip, seed=seed, on_step=lambda *_: tick("inverting"))

    noise = {False: inverted()}
    if inversion == "tuned":
        with adapter.applied(cascade):
            noise[True] = inverted()
    else:
        noise[True] = noise[False]
    for way, (tuned, from_clip) in WAYS.items():
        drawn = cascade.generate(
            [target.caption() for target in targets],
            adapter=adapter if tuned else None,
            inverted=noise[tuned] if from_clip else None,
            seed=seed,
            guidance_scale=guidance_scale,
            until="keyframes",
            on_step=lambda *_, way=way: tick(way),
        )
        made += [(way, target, result) for target, result in zip(targets, drawn, strict=True)]
    return made
