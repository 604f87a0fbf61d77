"""The steps of a tuning run as a table and as a picture."""

import csv
import io
from collections.abc import Sequence

import numpy as np

from vmc.finetuning import Step


def loss_table(history: Sequence[Step]) -> str:
    """Comma-separated values, a row per step.

    Everything but the seconds, so that two equal runs give equal tables.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["step", "loss", "timestep", "learning_rate", "gradient_norm"])
    for step in history:
        timesteps = " ".join(map(str, step.timestep))
        table.writerow([step.number, step.loss, timesteps, step.learning_rate, step.gradient_norm])
    return text.getvalue()


def loss_curve(history: Sequence[Step]) -> bytes:
    """A PNG of the loss over the steps.

    A step's loss depends on its timestep above all, so the dots are coloured by that, and a
    running mean goes through them.
    """
    from matplotlib.figure import Figure

    number = [step.number for step in history]
    loss = np.array([step.loss for step in history])
    timestep = [np.mean(step.timestep) for step in history]
    width = max(1, min(25, len(loss) // 4))
    weights = np.ones(width)  # near both ends there are fewer steps to take the mean of
    mean = np.convolve(loss, weights, "same") / np.convolve(np.ones_like(loss), weights, "same")

    figure = Figure(figsize=(8, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    dots = axes.scatter(number, loss, c=timestep, vmin=0, vmax=1000, s=12, linewidths=0)
    axes.plot(number, mean, color="black", label=f"mean of {width} steps")
    axes.set(xlabel="step", ylabel="alignment loss", xlim=(0, len(loss) + 1))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.colorbar(dots, label="timestep")
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()
