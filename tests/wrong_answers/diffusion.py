"""Wrong answers as a student might write them, and words of the hint that each deserves."""

import torch

WRONG = {
    "add_noise": [
        (lambda clean, noise, timestep, levels: torch.stack([
            levels[t] * x + (1 - levels[t]) * e
            for x, e, t in zip(clean, noise, timestep, strict=True)]), "roots are missing"),
        (lambda clean, noise, timestep, levels: torch.stack([
            (levels[t] / levels[t - 1]) ** 0.5 * x + (1 - levels[t] / levels[t - 1]) ** 0.5 * e
            for x, e, t in zip(clean, noise, timestep, strict=True)]), "single step"),
        (lambda clean, noise, timestep, levels: (
            levels[timestep] ** 0.5 * clean + (1 - levels[timestep]) ** 0.5 * noise), "width"),
    ],
    "epsilon_loss": [
        (lambda predict, clean, noise, timestep, levels: (
            predict(noised(clean, noise, timestep, levels), timestep) - torch.randn(clean.shape)
        ).pow(2).mean(), "compare the prediction with fresh noise"),
        (lambda predict, clean, noise, timestep, levels: (
            predict(noised(clean, torch.randn(clean.shape), timestep, levels), timestep) - noise
        ).pow(2).mean(), "add fresh noise"),
        (lambda predict, clean, noise, timestep, levels: (
            predict(noised(clean, noise, timestep, levels), timestep) - clean
        ).pow(2).mean(), "clean clip"),
    ],
    "tweedie": [
        (lambda noisy, prediction, timestep, levels: (
            noisy - (1 - column(levels[timestep])) ** 0.5 * prediction), "divide by"),
        (lambda noisy, prediction, timestep, levels: (
            noisy - prediction) / column(levels[timestep]) ** 0.5, "scale the prediction"),
    ],
    "ddpm_step": [
        (lambda noisy, prediction, timestep, levels, noise: one_step(
            noisy, prediction, levels[timestep] / levels[timestep - 1], levels, timestep)
            + tilde(levels, timestep) * noise, "as it is printed"),
        (lambda noisy, prediction, timestep, levels, noise: one_step(
            noisy, prediction, levels[timestep], levels, timestep)
            + tilde(levels, timestep) ** 0.5 * noise, "where α_t belongs"),
    ],
    "guided": [
        (lambda unconditional, conditional, scale: (
            (1 + scale) * unconditional - scale * conditional), "wrong sign"),
        (lambda unconditional, conditional, scale: (
            (1 + scale) * conditional - scale * unconditional), "counts from 0"),
        (lambda unconditional, conditional, scale: (
            scale * unconditional + (1 - scale) * conditional), "exchanged"),
    ],
}  # fmt: skip


def column(level):
    return level[:, None, None, None, None]


def noised(clean, noise, timestep, levels):
    level = column(levels[timestep])
    return level**0.5 * clean + (1 - level) ** 0.5 * noise


def tilde(levels, timestep):
    beta = 1 - levels[timestep] / levels[timestep - 1]
    return (1 - levels[timestep - 1]) / (1 - levels[timestep]) * beta


def one_step(noisy, prediction, alpha, levels, timestep):
    return (noisy - (1 - alpha) / (1 - levels[timestep]) ** 0.5 * prediction) / alpha**0.5
