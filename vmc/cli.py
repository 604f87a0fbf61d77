"""The commands: vmc customize | doctor | plan | pretrain | evaluate.

Results go to stdout; progress and whatever went wrong go to stderr. Status 0 is success, 1 a
self-test that failed, 2 an input that cannot be used (one sentence says why), 130 Ctrl-C.
"""

import errno
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from vmc.errors import BadInput
from vmc.terminal import interrupt_noted, progress_bars

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Video Motion Customization: one clip in, its motion in new videos out.",
)

Backbone = Annotated[
    str,
    typer.Option(
        help='"tiny", "show-1", "modelscope", "zeroscope" or "animatediff", or a folder of weights '
        "in the layout of one of them."
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; the GPU where there is one.")]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same result.")]


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its status."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        app(words)
    except BadInput as error:
        typer.echo(error, err=True)
        sys.exit(2)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        place = "A file" if error.filename is None else error.filename
        typer.echo(f"{place} cannot be written ({error.strerror}); choose another --out.", err=True)
        sys.exit(2)
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which is not imported here
            raise
        typer.echo(
            "The GPU's memory is full: `vmc plan` says what a run needs and which options make it "
            "fit; close other programs that use the GPU, or take --device cpu.",
            err=True,
        )
        sys.exit(2)
    except SystemExit as ending:
        if ending.code == 130 and words[0] != "doctor":
            flag = ["--resume"] if words[0] == "customize" and "--resume" not in words else []
            command = shlex.join(["vmc", *words, *flag])
            typer.echo(f"\nStopped; to go on from here:\n{command}", err=True)
        raise


@app.command()
def customize(
    clip: Annotated[
        str,
        typer.Argument(
            help="mp4, mov, webm, GIF, a folder of frames, or the word of a motion to render: "
            "zigzag, bounce, loop, figure-eight, spiral, stop-and-go, swing."
        ),
    ],
    prompt: Annotated[list[str], typer.Option(help="What to show; may be given several times.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    tuning_prompt: Annotated[
        str | None,
        typer.Option(
            help="What moves in the clip, and how; places and looks are taken out of it. "
            "A rendered motion has one of its own."
        ),
    ] = None,
    backbone: Backbone = "tiny",
    steps: Annotated[int | None, typer.Option(help="Steps of tuning.")] = None,
    seed: Seed = 0,
    device: Device = None,
    reverse: Annotated[
        bool, typer.Option("--reverse", help="Learn the motion played backward.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run that the folder holds.")
    ] = False,
    text_bits: Annotated[
        int | None,
        typer.Option(
            help="16, 8 or 4: how large a number of show-1's text encoder is in memory; 8 and 4 "
            "need bitsandbytes."
        ),
    ] = None,
) -> None:
    """Learn the motion of one clip, and make new videos that follow it."""
    from vmc.customizing import Customizing

    run = Customizing(
        clip,
        prompt,
        out,
        tuning_prompt,
        backbone,
        steps,
        seed,
        device,
        reverse,
        resume,
        text_bits=text_bits,
    )
    removed = tuning_prompt not in (None, run.tuning_prompt)
    aside = f", without the place and looks in “{tuning_prompt}”" if removed else ""
    typer.echo(f"Tuning with “{run.tuning_prompt}”{aside}.", err=True)
    with progress_bars() as run.on_progress:
        report = run.run()
    for video in report["videos"]:
        error = video.get("trajectory_error")
        measured = "" if error is None else f"   trajectory error {error:.3f}"
        typer.echo(f"{out / video['file']}   {video['prompt']}{measured}")
    typer.echo(out / "contact_sheet.png")


@app.command()
def doctor(
    backbone: Backbone = "tiny",
    device: Device = None,
    record: Annotated[
        bool,
        typer.Option("--record", help="Write the numbers anew, after the weights were changed."),
    ] = False,
) -> None:
    """Check versions, device and memory, and that the weights give the right numbers here."""
    from vmc import doctor as clinic

    for name, value in clinic.describe(device).items():
        typer.echo(f"{name:8} {value}")
    different = [library for library in clinic.libraries() if library.differs]
    typer.echo(f"versions {'all as tested' if not different else 'not all as tested:'}")
    for library in different:
        typer.echo(f"         {library.name} {library.installed}, tested with {library.tested}")
    if record:
        typer.echo(f"recorded {clinic.record(backbone, device)}")
        return
    diagnosis = clinic.examine(backbone, device)
    for name, error in diagnosis.errors.items():
        verdict = "WRONG" if name in diagnosis.failed else "right"
        typer.echo(f"{name}: {verdict} (off by {error:.1e}, allowed {clinic.TOLERANCE:.0e})")
    if diagnosis.failed:
        typer.echo(
            f"The self-test failed: the {', '.join(diagnosis.failed)} came out wrong. "
            f"Suspect: {'; '.join(diagnosis.suspects)}.",
            err=True,
        )
        raise typer.Exit(1)
    typer.echo(f"The self-test passed in {diagnosis.seconds:.0f} s.")


@app.command()
def plan(
    backbone: Backbone = "show-1",
    gpu_memory: Annotated[
        str | None, typer.Option(help="Of the card to plan for, such as 8GB; the one found if any.")
    ] = None,
    until: Annotated[
        str, typer.Option(help="The last stage: keyframes, interpolated or video.")
    ] = "video",
) -> None:
    """Say what a run will need, before anything is loaded: memory, disk, time, and what fits."""
    from vmc.planning import plan as planned
    from vmc.planning.cards import card_found, gigabytes

    card, memory, dtype = card_found()
    memory = memory if gpu_memory is None else gigabytes(gpu_memory)
    made = planned(backbone, memory, card, dtype, until)
    typer.echo(made.description())
    typer.echo(made.advice())


@app.command()
def pretrain(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, logs and sheets.")] = Path(
        "outputs/pretraining"
    ),
    stage: Annotated[
        list[str] | None, typer.Option(help="Only this one; may be given several times.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of each stage.")] = None,
    seed: Seed = 0,
    device: Device = None,
    sheet_every: Annotated[int, typer.Option(min=1, help="Steps between two sheets.")] = 500,
    start: Annotated[
        str | None, typer.Option(help='Weights to train further: "tiny", or a folder of them.')
    ] = None,
) -> None:
    """Train the tiny cascade from nothing, or go on where that was stopped."""
    from vmc.backbones.tiny import WEIGHTS
    from vmc.cascade import checked_device
    from vmc.doctor import record
    from vmc.pretraining import RECIPES, Pretraining, export
    from vmc.pretraining.samples import write_sample

    device = str(checked_device(device))
    weights_from = WEIGHTS if start == "tiny" else start
    out.mkdir(parents=True, exist_ok=True)
    with progress_bars() as show, interrupt_noted() as interrupted:
        for name in stage or RECIPES:
            training = Pretraining(name, out, steps, seed, device, weights=weights_from)
            show(name, name, training.step, training.steps)
            for step, loss in training:
                show(name, f"{name}, loss {loss:.4f}", step, training.steps)
                if step % sheet_every == 0 or step == training.steps:
                    write_sample(training)
                if interrupted.is_set():
                    training.save()
                    raise KeyboardInterrupt
    weights = out / "tiny"
    export(out, weights)
    if all((weights / name).exists() for name in RECIPES):
        record(str(weights), device)
    typer.echo(weights)


@app.command()
def evaluate(
    pretraining: Annotated[
        bool,
        typer.Option(
            "--pretraining", help="Examine the untuned model instead, on captions it never saw."
        ),
    ] = False,
    captions: Annotated[int, typer.Option(min=1, help="How many, for --pretraining.")] = 256,
    motion: Annotated[
        list[str] | None, typer.Option(help="Only this one; may be given several times.")
    ] = None,
    prompts: Annotated[int, typer.Option(help="For each clip.")] = 3,
    seeds: Annotated[int, typer.Option(help="Clips of each motion.")] = 3,
    steps: Annotated[int | None, typer.Option(help="Steps of tuning.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of tuning.")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="Of sampling.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the rows and a picture of each clip.")] = (
        Path("outputs/evaluation")
    ),
    backbone: Backbone = "tiny",
    seed: Seed = 0,
    device: Device = None,
) -> None:
    """Measure motion and looks: untuned or tuned, from noise or from the inverted clip."""
    from vmc.cascade import Cascade
    from vmc.evaluation import four_way, pretraining_report
    from vmc.sprites import HELD_OUT

    cascade = Cascade.from_pretrained(backbone, device)
    with progress_bars() as show:

        def progress(done: int, total: int, label: str) -> None:
            show("evaluation", label, done, total)

        if pretraining:
            report = pretraining_report(cascade, captions, seed, progress)
        else:
            report = four_way(
                cascade,
                motion or HELD_OUT,
                prompts,
                seeds,
                steps,
                guidance_scale,
                csv=out / "four_way.csv",
                sheets=out,
                progress=progress,
                **({} if learning_rate is None else {"learning_rate": learning_rate}),
            )
    typer.echo(report.table())
    if not pretraining:
        typer.echo(f"\n{report.motions()}\n\n{report.contrasts()}")
