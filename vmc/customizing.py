"""A whole run in one folder: one clip in, new videos with its motion out.

The folder's `report.json` is the state of the run, written anew after every stage, so that a run
which was stopped anywhere goes on from there. Every file appears whole or not at all.
"""

import io
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from torch import Tensor

from vmc.adapter import MotionAdapter, versions
from vmc.cascade import Cascade, Generated
from vmc.diffusion import invert
from vmc.errors import BadInput
from vmc.finetuning import Finetuning
from vmc.loss_curve import loss_curve, loss_table
from vmc.machine import device_name, peak_memory
from vmc.metrics import trajectory_error
from vmc.prompts import appearance_invariant
from vmc.sprites import HELD_OUT, Scene, read_out
from vmc.video import contact_sheet, load_video, save_video, write_atomically

FPS = 7.5
CHECKPOINT = "tuning.checkpoint.safetensors"  # leaves the folder when the run is finished
SHOWN = 240  # pixels that a keyframe is high, about, where it is smaller: 40×64 becomes 240×384

OnProgress = Callable[[str, str, int, int], None]
"""Called as on_progress(stage, what it is doing, done, total)."""


class Customizing:
    """A run from a clip to videos: the constructor checks everything, `run` does the work.

    Arguments:
        clip: a video file, a GIF, a folder of frames, or the word of a held-out motion, of which
            a red ball on the road is rendered.
        prompts: of the videos, one each.
        out: the folder for the results.
        tuning_prompt: what moves in the clip, and how; looks and places are taken out of it
            (`vmc.prompts.appearance_invariant`). Only a rendered clip has one of its own.
        backbone, device: as in `Cascade.from_pretrained`.
        steps: of tuning; the backbone's own number if None.
        seed: of tuning and of generation.
        reverse: learn the motion played backward.
        resume: go on with the run that `out` holds, or begin it where there is none.
        on_progress: told of every step.
        text_bits: of a weight of the text encoder, 16, 8 or 4, where the backbone has the choice;
            its own if None.
    Raises:
        BadInput: for any of these that will not do, before anything is written.
    """

    def __init__(
        self,
        clip: str,
        prompts: Sequence[str],
        out: str | Path,
        tuning_prompt: str | None = None,
        backbone: str = "tiny",
        steps: int | None = None,
        seed: int = 0,
        device: str | None = None,
        reverse: bool = False,
        resume: bool = False,
        on_progress: OnProgress = lambda *_: None,
        text_bits: int | None = None,
    ):
        started = time.perf_counter()
        self.out, self.prompts, self.seed = Path(out), list(prompts), seed
        self.reverse, self.on_progress = reverse, on_progress
        self.report = self._begin(resume)
        self.scene = rendered(clip)
        if self.scene is None and not os.path.exists(clip):
            raise BadInput(
                f"There is no file or folder {clip}, and no rendered motion of that name (these "
                f"are {', '.join(HELD_OUT)}); check the path."
            )
        self.tuning_prompt = appearance_invariant(self._typed(clip, tuning_prompt))
        if not self.prompts or not all(prompt.strip() for prompt in self.prompts):
            raise BadInput(
                'A prompt is empty: say what to show, such as "a blue star is moving on the snow".'
            )
        chosen = {} if text_bits is None else {"text_bits": text_bits}
        self.cascade = Cascade.from_pretrained(backbone, device, **chosen)
        base = self.cascade.base
        base.encode_text([self.tuning_prompt, *self.prompts])  # refuses words it does not know
        self.clip = self._load(clip)
        self.adapter: MotionAdapter | None = None
        self.tuning: Finetuning | None = Finetuning(
            self.cascade,
            self.clip,
            self.tuning_prompt,
            steps,
            seed=seed,
            checkpoint=self.out / CHECKPOINT,
        )
        settings = {
            "clip": clip,
            "reverse": reverse,
            "tuning_prompt": self.tuning_prompt,
            "prompts": self.prompts,
            "backbone": backbone,
            **chosen,
            "fingerprint": base.fingerprint,
            "seed": seed,
            "steps": self.tuning.total,
            **self.tuning.settings,
            "inverts_tuned": base.inverts_tuned,
            "inversion_steps": base.inversion_steps,
            "sampling_steps": base.sampling_steps,
            "guidance_scale": base.guidance_scale,
        }
        self._check_same_run(settings)
        self.report |= {
            "settings": settings,
            "versions": versions(),
            "device": device_name(base.device),
        }
        self.report["seconds"]["loading"] = round(time.perf_counter() - started, 2)

    def run(self) -> dict:
        """Tune, invert and generate; returns the report.

        After an exception, Ctrl-C among them, everything finished so far is in the folder.
        """
        if self.report["finished"]:
            return self.report
        self._write_report()
        if self.adapter is None:
            self.adapter = self._tune()
        adapter = self.adapter
        with self._timed("inversion"), adapter.inverting(self.cascade):
            inverted = invert(
                self.cascade,
                self.clip,
                seed=self.seed,
                on_step=lambda n, total, *_: self.on_progress("inversion", "inversion", n, total),
            )
        for number in range(len(self.report["videos"]), len(self.prompts)):
            with self._timed(f"video {number}"):
                self.report["videos"].append(self._make_video(number, adapter, inverted))
            self._write_report()
        self._write_contact_sheet()
        self.report["finished"] = True
        self._write_report()
        (self.out / CHECKPOINT).unlink(missing_ok=True)
        return self.report

    def _begin(self, resume: bool) -> dict:
        """The report of the run to go on with, or a new one where there is none."""
        path = self.out / "report.json"
        taken = [f.name for f in (path, self.out / CHECKPOINT) if os.path.exists(f)]
        if taken and not resume:
            raise BadInput(
                f"{self.out} already holds a run ({taken[0]}): give another folder with --out, or "
                "go on with that run by adding --resume."
            )
        if path.name not in taken:
            return {"finished": False, "settings": None, "seconds": {}, "videos": []}
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            _ = [report[name] for name in ("finished", "settings", "seconds", "videos")]
        except (OSError, ValueError, KeyError, TypeError):
            raise BadInput(
                f"{path} is damaged or not a report that vmc wrote: start anew in another folder."
            ) from None
        return report

    def _check_same_run(self, settings: dict) -> None:
        earlier = self.report["settings"] or settings
        for name, here in settings.items():
            if earlier.get(name) != here:
                raise BadInput(
                    f"{self.out} holds another run: its {name} is {earlier.get(name)!r}, and here "
                    f"it is {here!r}; repeat the command of that run, or give another folder with "
                    "--out."
                )

    def _typed(self, clip: str, tuning_prompt: str | None) -> str:
        if tuning_prompt is not None:
            return tuning_prompt
        if self.scene is None:
            raise BadInput(
                f"Say what moves in {clip} and how with --tuning-prompt, as in "
                '--tuning-prompt "a ball is moving".'
            )
        return self.scene.caption()

    def _load(self, clip: str) -> Tensor:
        base = self.cascade.base
        if self.scene is None:
            return load_video(clip, base.frames, base.size, reverse=self.reverse)
        frames = self.scene.render(base.frames, base.size)
        return frames.flip(1) if self.reverse else frames

    def _tune(self) -> MotionAdapter:
        tuning = self.tuning
        self.on_progress("tuning", "tuning", tuning.number, tuning.total)
        with closing(tuning):
            for step in tuning:
                label = f"tuning, loss {step.loss:.3f}"
                self.on_progress("tuning", label, step.number, step.total)
        tuning.adapter.save(self.out / "adapter.safetensors")
        write_atomically(self.out / "loss.csv", loss_table(tuning.history).encode())
        write_atomically(self.out / "loss.png", loss_curve(tuning.history))
        self.report["seconds"]["tuning"] = round(sum(step.seconds for step in tuning.history), 2)
        self._write_report()
        self.tuning = None  # its weights and AdamW's means leave their memory to what follows
        return tuning.adapter

    @property
    def single_stage(self) -> bool:
        """Whether the keyframes are the video, as no stage follows."""
        return self.cascade.interpolation is None

    def _make_video(self, number: int, adapter: MotionAdapter, inverted: Tensor) -> dict:
        """Make and write one prompt's video; returns what the report says of it."""
        row = f"video {number + 1} of {len(self.prompts)}"
        made = self.cascade.generate(
            self.prompts[number],
            adapter,
            inverted,
            self.seed,
            until="keyframes" if self.single_stage else "video",
            on_step=lambda stage, number, total, _: self.on_progress(
                row, f"{row}: {stage}", number, total
            ),
        )
        times = max(round(SHOWN / made.keyframes.shape[2]), 1)
        large = made.keyframes.repeat_interleave(times, 2).repeat_interleave(times, 3)
        # Every fourth frame of a cascade's video is a keyframe: both run at one pace.
        pace, video = (FPS, large) if self.single_stage else (FPS / 4, made.video)
        save_video(large, self.out / f"keyframes_{number}.gif", pace)
        save_video(video, self.out / f"video_{number}.mp4", FPS)
        return {"prompt": made.prompt, "file": f"video_{number}.mp4"} | self._measured(made)

    def _measured(self, made: Generated) -> dict:
        """What the keyframes show, and how far their motion is from a rendered clip's."""
        if self.scene is None:
            return {}
        asked = self.scene.centres(self.cascade.base.frames)
        shown = read_out(made.keyframes)
        error = trajectory_error(shown.centres, asked.flip(0) if self.reverse else asked)
        read = {name: getattr(shown, name) for name in ("subject", "colour", "place")}
        return {"trajectory_error": round(error, 4), "shows": read}

    def _write_contact_sheet(self) -> None:
        """Drawn from the files, so that a run that was resumed gives the same picture."""
        base = self.cascade.base
        size = base.size if self.single_stage else (160, 288)
        files = [self.out / video["file"] for video in self.report["videos"]]
        sheet = contact_sheet(
            [self.clip.cpu(), *(load_video(file, base.frames, size) for file in files)],
            [f"The clip, tuned as “{self.tuning_prompt}”", *(f"“{p}”" for p in self.prompts)],
        )
        data = io.BytesIO()
        sheet.save(data, "png")
        write_atomically(self.out / "contact_sheet.png", data.getvalue())

    def _write_report(self) -> None:
        earlier = self.report.get("peak_memory_mb", {})
        self.report["peak_memory_mb"] = {
            kind: max(round(size / 1e6), earlier.get(kind, 0))
            for kind, size in peak_memory().items()
        }
        text = json.dumps(self.report, indent=2, ensure_ascii=False) + "\n"
        write_atomically(self.out / "report.json", text.encode())

    @contextmanager
    def _timed(self, stage: str):
        started = time.perf_counter()
        yield
        self.report["seconds"][stage] = round(time.perf_counter() - started, 2)


def rendered(clip: str) -> Scene | None:
    """The scene that the word of a held-out motion stands for; None for any other word."""
    words = {word: name for name in HELD_OUT for word in (name, name.replace(" ", "-"))}
    return Scene("ball", "red", "on the road", words[clip]) if clip in words else None
