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


def mean_width(history: Sequence[Step]) -> int:
    """Over how many steps a mean says something of a run of this length."""
    return max(1, min(25, len(history) // 4))


def draw_loss(axes, history: Sequence[Step], total: int, size: float = 12):
    """The loss over the steps into matplotlib `axes` that reach to step `total`.

    A step's loss depends on its timestep above all, so the dots, of `size` square points, are
    coloured by that, and a running mean goes through them. Returns the dots, for a colour bar.
    """
    number = [step.number for step in history]
    loss = np.array([step.loss for step in history])
    timestep = [np.mean(step.timestep) for step in history]
    width = mean_width(history)
    weights = np.ones(width)  # near both ends there are fewer steps to average
    mean = np.convolve(loss, weights, "same") / np.convolve(np.ones_like(loss), weights, "same")
    dots = axes.scatter(number, loss, c=timestep, vmin=0, vmax=1000, s=size, linewidths=0)
    axes.plot(number, mean, color="black", label=f"mean of {width} step{'s' * (width > 1)}")
    axes.set(xlabel="step", ylabel="alignment loss", xlim=(0, total + 1))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right")
    return dots


def loss_curve(history: Sequence[Step]) -> bytes:
    """A PNG of the loss over the steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), dpi=120, layout="constrained")
    dots = draw_loss(figure.subplots(), history, len(history))
    figure.colorbar(dots, label="timestep")
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()
