"""How fast the rendered world is drawn and read: one table, one run.

    python benchmarks/rendering.py [--clips 1000] [--threads 1]

Processor time on whatever machine runs it, the first use of each template and backdrop included.
"""

import argparse
import time

import numpy as np
import torch

from vmc.sprites import FRAMES, random_scene, read_out, render

BATCH = 50


def seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def draw(scenes, frames, size):
    """Draw the scenes in batches, as training does, and keep none."""
    for start in range(0, len(scenes), BATCH):
        batch = scenes[start : start + BATCH]
        render(batch, np.tile(np.linspace(0, 1, frames), (len(batch), 1)), size)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng = np.random.default_rng(0)
    clips, tenth, hundredth = (max(options.clips // share, 1) for share in (1, 10, 100))
    scenes = []
    rows = [
        (
            f"invent {clips} scenes",
            clips,
            lambda: scenes.extend(random_scene(rng) for _ in range(clips)),
        ),
        (f"draw {clips} keyframe clips, 8×40×64", clips, lambda: draw(scenes, 8, (40, 64))),
        (
            f"draw {hundredth} videos, {FRAMES}×160×256",
            hundredth,
            lambda: draw(scenes[:hundredth], FRAMES, (160, 256)),
        ),
        (
            f"draw and read {tenth} keyframe clips",
            tenth,
            lambda: [read_out(s.render(), s.style) for s in scenes[:tenth]],
        ),
    ]
    print(f"| what, {options.threads} thread(s) | seconds | ms each |\n|---|---|---|")
    for name, count, work in rows:
        took = seconds(work)
        print(f"| {name} | {took:.2f} | {1000 * took / count:.1f} |")


if __name__ == "__main__":
    main()
