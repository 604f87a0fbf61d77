"""Wrong answers as a student might write them, and words of the hint that each deserves."""

import torch

from vmc.diffusion import add_noise
from vmc.motion import alignment_loss, frame_residual


def _parts(name):
    return name.split(".")


def _named_only(unet):
    return [n for n, _ in unet.named_parameters() if "temp_att" in n and _parts(n)[-2][:3] == "to_"
            and _parts(n)[-2] in ("to_q", "to_k", "to_v")]  # fmt: skip


def _whole_transformers(unet):
    unet.requires_grad_(False)
    for name, module in unet.named_modules():
        if name.endswith(("temp_attentions.0", "temp_attentions.1")):
            module.requires_grad_(True)
    return [n for n, p in unet.named_parameters() if p.requires_grad]


def _all_attention(unet):
    chosen = []
    for name, parameter in unet.named_parameters():
        on = name.split(".")[-2] in {"to_q", "to_k", "to_v"}
        parameter.requires_grad = on
        if on:
            chosen.append(name)
    return chosen


def _fresh_noise(predict, clip, noise, timestep, levels):
    predicted = predict(add_noise(clip, noise, timestep, levels), timestep)
    return alignment_loss(predicted, torch.randn(noise.shape))


def _epsilon_matching(predict, clip, noise, timestep, levels):
    predicted = predict(add_noise(clip, noise, timestep, levels), timestep)
    return torch.nn.functional.mse_loss(predicted, noise)


def _no_roots(predict, clip, noise, timestep, levels):
    level = levels[timestep].item()
    predicted = predict(level * clip + (1 - level) * noise, timestep)
    one, other = (frame_residual(x).movedim(2, 1).flatten(2) for x in (predicted, noise))
    return (1 - torch.nn.functional.cosine_similarity(one, other, dim=2)).mean()


def _clip_as_target(predict, clip, noise, timestep, levels):
    predicted = predict(add_noise(clip, noise, timestep, levels), timestep)
    return alignment_loss(predicted, clip)


WRONG = {
    "motion_weights": [
        (_named_only, "left on outside"),
        (_whole_transformers, "whole temporal transformer"),
        (_all_attention, "within a frame train too"),
    ],
    "step_loss": [
        (_fresh_noise, "not shared"),
        (_epsilon_matching, "ε-matching"),
        (_no_roots, "square roots"),
        (_clip_as_target, "differences of the clip"),
    ],
    "path_error": [
        (lambda tracked, asked, size: ((tracked - asked) ** 2).sum(1).sqrt().mean(), "tenth"),
        (lambda tracked, asked, size: (
            (tracked - asked) * torch.tensor(size)).norm(dim=1).mean(), "in pixels"),
        (lambda tracked, asked, size: (
            (tracked - asked) * torch.tensor(size)).square().sum(1).mean().sqrt()
            / torch.tensor(size).float().norm(), "mean square"),
    ],
    "tuning_memory": [
        (lambda total, trained, bytes_each: total * (bytes_each + 16) * 1e-9, "everything"),
        (lambda total, trained, bytes_each: total * bytes_each / 1e9, "only what"),
        (lambda total, trained, bytes_each: bytes_each * total + 16.0 * trained, "in bytes"),
    ],
}  # fmt: skip
