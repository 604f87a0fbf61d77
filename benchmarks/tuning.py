"""One tuning step and one sampling step, ours against a plain one: time and memory, one table.

    python benchmarks/tuning.py --backbone show-1 [--device cpu] [--repeats 3] [--sides vmc]
    python benchmarks/tuning.py --backbone tiny

Show-1 is built at full size with random weights: nothing is downloaded, and time and memory do not
depend on what the weights are. The plain side does as the published code does: weights in float32
under autocast, all parameters handed to the optimizer (which skips those without gradient), the
text encoder resident beside the network, every activation kept, diffusers' own temporal layers.
Each side runs in a process of its own, so that peaks do not mix; on a CPU the peak is that of
resident memory, Python and its libraries (about 0.4 GB) included, and seconds are those of the
processor. Predictions are `vmc plan`'s.
"""

import argparse
import json
import subprocess
import sys
import time

import torch
from unet_cpu import plain

from vmc.adapter import versions
from vmc.backbones.show1 import published
from vmc.backbones.show1.keyframes import Show1Backbone, Show1Denoiser
from vmc.backbones.show1.parts import parts
from vmc.backbones.tiny import schedule
from vmc.backbones.unet import PixelUNet3D
from vmc.cascade import Cascade, checked_device
from vmc.diffusion import add_noise
from vmc.finetuning import Finetuning
from vmc.machine import device_name, peak_memory
from vmc.motion import alignment_loss
from vmc.planning.cards import peak_flops
from vmc.planning.parts import measured

TOKENS = 77


def random_network(kind, arguments, device, dtype):
    """A network whose weights keep the size of what passes through them."""
    with torch.device("meta"):
        network = kind(**arguments)
    network = torch.nn.Module.to(network, dtype).to_empty(device=device)
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.7 / parameter[0].numel() ** 0.5)
        else:
            torch.nn.init.constant_(parameter, float(name.endswith("weight")))
    return network.eval().requires_grad_(False)


class RandomText:
    """Stands in for the text encoder, whose work is done before the first step."""

    device = None

    def __call__(self, prompts):
        generator = torch.Generator().manual_seed(0)
        return torch.randn(len(prompts), TOKENS, 4096, generator=generator)

    def knows(self, prompts):
        return True


def backbone(name, device, dtype, checkpointing):
    if name == "tiny":
        return Cascade.from_pretrained("tiny", device).base
    unet = random_network(PixelUNet3D, published.KEYFRAMES, device, dtype)
    if checkpointing:
        unet.enable_gradient_checkpointing()
    return Show1Backbone(Show1Denoiser(unet, schedule()), RandomText(), None, "random")


def resident_text_encoder(device):
    from transformers import T5Config, T5EncoderModel

    with torch.device("meta"):
        encoder = T5EncoderModel(T5Config(**published.T5))
    encoder = torch.nn.Module.to(encoder, torch.float16).to_empty(device=device)
    for parameter in encoder.parameters():
        torch.nn.init.zeros_(parameter)  # an untouched page of memory is not there yet
    return encoder


def seconds_of(step, device):
    """On a GPU by the clock; on a CPU of the processor, whatever else the machine does."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    started = clock()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def our_steps(base, clip, repeats):
    run = Finetuning(base, clip, "a ball is moving", steps=repeats + 1)
    return lambda: next(run)


def plain_steps(base, clip, half):
    """The published code's step, with the loss of Eq. 17."""
    if base.device.type == "cpu":
        base.denoiser.unet = base.unet = plain(base.unet)
    for parameter in base.temporal_qkv().values():
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(base.unet.parameters(), lr=1e-4, weight_decay=0.01)
    text = base.encode_text(["a ball is moving"])
    generator = torch.Generator().manual_seed(0)

    def step():
        noise = torch.randn(1, *clip.shape, generator=generator).to(base.device)
        timestep = torch.tensor([500], device=base.device)
        noisy = add_noise(clip[None].to(base.device), noise, timestep, base.alphas_cumprod)
        optimizer.zero_grad()
        with torch.autocast(base.device.type, half or torch.bfloat16, enabled=half is not None):
            prediction = base.predict_noise(noisy, timestep, text)
        alignment_loss(prediction.float(), noise, "cosine", 1).backward()
        torch.nn.utils.clip_grad_norm_(base.unet.parameters(), 1.0)
        optimizer.step()

    return step


def half_precision(device):
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def measure(options: argparse.Namespace) -> None:
    """One side in this process: seconds of each step, and the peak in bytes."""
    device = checked_device(options.device)
    ours, tiny = options.side == "vmc", options.backbone == "tiny"
    half = None if tiny else half_precision(device)
    base = backbone(
        options.backbone, device, half if ours and half else torch.float32, checkpointing=ours
    )
    encoder = None if tiny or ours else resident_text_encoder(device)
    generator = torch.Generator().manual_seed(1)
    clip = torch.rand(3, base.frames, *base.size, generator=generator) * 2 - 1
    if options.work == "tuning":
        step = our_steps(base, clip, options.repeats) if ours else plain_steps(base, clip, half)
    else:
        text = base.encode_text(["a ball is moving"]).repeat(2, 1, 1)
        noisy = torch.randn(2, *clip.shape, generator=generator).to(device)
        autocast = bool(half) and not ours
        if not ours and device.type == "cpu":
            base.denoiser.unet = base.unet = plain(base.unet)

        @torch.no_grad()
        def step():
            with torch.autocast(device.type, half or torch.bfloat16, enabled=autocast):
                base.predict_noise(noisy, 500, text)

    seconds = []
    for number in range(options.repeats + 1):  # the first warms up
        seconds.append(seconds_of(step, device))
        took = f"{seconds[-1]:.1f} s"
        print(f"{options.side}, {options.work}, step {number}: {took}", file=sys.stderr)
    peak = peak_memory()["gpu" if device.type == "cuda" else "resident"]
    del encoder
    print(json.dumps({"seconds": min(seconds[1:] or seconds), "peak": peak}))


def expected(options, work, side):
    """What the planner says of one step: (bytes at the peak, operations)."""
    if options.backbone == "tiny":
        return None, None
    named = {"tuning": "tuning", "sampling": "keyframes"}[work]
    part = next(part for part in parts("show-1", "keyframes") if part.name == named)
    need = measured(part, torch.bfloat16, checkpointing=side == "vmc")
    return need.peak if side == "vmc" else None, need.flops / part.passes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", choices=("show-1", "tiny"), default="show-1")
    parser.add_argument("--device", default=None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--works", nargs="+", default=["tuning", "sampling"])
    parser.add_argument("--sides", nargs="+", default=["plain", "vmc"])
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        measure(options)
        return
    device = checked_device(options.device)
    libraries = ", ".join(f"{name} {version}" for name, version in versions().items())
    print(f"{options.backbone} on {device_name(device)}, {torch.get_num_threads()} thread(s)")
    print(f"({libraries})\n")
    print("| step | side | seconds | peak, GB | predicted, GB | share of the card's peak |")
    print("|---|---|---:|---:|---:|---:|", flush=True)
    for work in options.works:
        for side in options.sides:
            command = [sys.executable, __file__, "--side", side, "--work", work]
            command += ["--backbone", options.backbone, "--repeats", str(options.repeats)]
            command += ["--device", device.type]
            made = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            if made.returncode:
                print(f"| {work} | {side} | not measured: it ended with {made.returncode} | | | |")
                continue
            got = json.loads(made.stdout.splitlines()[-1])
            peak, flops = expected(options, work, side)
            best = peak_flops(device_name(device)) if flops else None
            share = f"{flops / got['seconds'] / best:.2f}" if best else "not known"
            predicted = f"{peak / 1e9:.2f}" if peak else "–"
            print(
                f"| {work} | {side} | {got['seconds']:.2f} | {got['peak'] / 1e9:.2f} | {predicted} "
                f"| {share} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
