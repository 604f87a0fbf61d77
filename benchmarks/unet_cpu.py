"""How much faster the temporal layers are than diffusers' own on a CPU: one table, one run.

    python benchmarks/unet_cpu.py [--threads 1] [--repeats 5] [--batch 1]

Both sides have the same weights and are timed in turn, so that whatever else the machine does
falls on both. Times are milliseconds of processor time, the smallest of the repeats.
"""

import argparse
import copy
import time

import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from diffusers.models.resnet import TemporalConvLayer
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel

from vmc.backbones.temporal import TemporalConvolution, TemporalTransformer
from vmc.backbones.unet import PixelUNet3D

FRAMES = 8
LEVELS = ((64, 20, 32), (96, 10, 16), (128, 5, 8))  # width, height, width in pixels
HEADS = 16
TINY = dict(
    in_channels=12,
    out_channels=12,
    block_out_channels=[width for width, _, _ in LEVELS],
    layers_per_block=1,
    attention_head_dim=HEADS,
    cross_attention_dim=96,
    encoder_hid_dim=128,
    addition_embed_type_num_heads=4,
    norm_num_groups=16,
    down_block_types=["ResnetDownsampleBlock3D"] + ["SimpleCrossAttnDownBlock3D"] * 2,
    up_block_types=["SimpleCrossAttnUpBlock3D"] * 2 + ["ResnetUpsampleBlock3D"],
)


class PlainConvolution(TemporalConvLayer):
    pass


class PlainTransformer(TransformerTemporalModel):
    def forward(self, hidden, num_frames):
        return super().forward(hidden, num_frames=num_frames).sample


def plain(module):
    """A copy of `module` with diffusers' own temporal layers and attention in it."""
    module = copy.deepcopy(module)
    for layer in module.modules():
        if isinstance(layer, TemporalConvolution):
            layer.__class__ = PlainConvolution
        elif isinstance(layer, TemporalTransformer):
            layer.__class__ = PlainTransformer
            for block in layer.transformer_blocks:
                block.attn1.set_processor(AttnProcessor2_0())
                block.attn2.set_processor(AttnProcessor2_0())
    return module


def seconds(run, train):
    started = time.process_time()
    with torch.set_grad_enabled(train):
        output = run()
        if train:
            output.backward(torch.ones_like(output))
    return time.process_time() - started


def compare(name, module, inputs, repeats):
    sides = {"diffusers": plain(module), "vmc": module}
    with torch.no_grad():
        difference = (sides["diffusers"](*inputs) - module(*inputs)).abs().max().item()
    for train in (False, True):
        times = {side: [] for side in sides}
        for _ in range(repeats + 1):
            for side, model in sides.items():
                times[side].append(seconds(lambda model=model: model(*inputs), train))
        theirs, ours = (min(times[side][1:]) * 1e3 for side in sides)  # the first warms up
        what = "forward + backward" if train else "forward"
        print(
            f"{name:<36}{what:<20}{theirs:>10.1f}{ours:>10.1f}{theirs / ours:>8.2f}"
            f"{difference:>12.1e}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)

    print(f"batch {arguments.batch}, {FRAMES} frames, float32, {arguments.threads} thread(s)")
    print(f"{'':<56}{'diffusers':>10}{'vmc':>10}{'ratio':>8}{'difference':>12}")
    for width, rows, columns in LEVELS:
        images = torch.randn(arguments.batch * FRAMES, width, rows, columns, requires_grad=True)
        size = f"{width} × {rows}×{columns}"
        convolution = TemporalConvolution(width, width)
        torch.nn.init.normal_(convolution.conv4[-1].weight, std=0.05)
        transformer = TemporalTransformer(width, heads=HEADS, norm_num_groups=16)
        for name, layer in (("convolution", convolution), ("attention", transformer)):
            inputs = (images, FRAMES)
            compare(f"temporal {name} {size}", layer, inputs, arguments.repeats)
    unet = PixelUNet3D(**TINY).eval()
    sample = torch.randn(arguments.batch, 12, FRAMES, *LEVELS[0][1:])
    text = torch.randn(arguments.batch, 16, 128)
    parameters = sum(p.numel() for p in unet.parameters()) / 1e6
    compare(f"U-Net, {parameters:.1f} M parameters", unet, (sample, 500, text), arguments.repeats)


if __name__ == "__main__":
    main()
