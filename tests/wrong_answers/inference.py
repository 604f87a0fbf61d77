"""Wrong answers as a student might write them, and words of the hint that each deserves."""

import torch


def towards_the_clip(latent, prediction, timestep, following, levels):
    a, b = levels[following], levels[timestep]
    return (
        b.sqrt() * (latent - (1 - a).sqrt() * prediction) / a.sqrt() + (1 - b).sqrt() * prediction
    )


def with_one_level(latent, prediction, timestep, following, levels):
    a = levels[following]
    clean = (latent - (1 - a).sqrt() * prediction) / a.sqrt()
    return a.sqrt() * clean + (1 - a).sqrt() * prediction


def noised_once_more(latent, prediction, timestep, following, levels):
    a = levels[following]
    return a**0.5 * latent + (1 - a) ** 0.5 * prediction


def with_fresh_noise(latent, prediction, timestep, following, levels):
    a, b = levels[timestep], levels[following]
    clean = (latent - (1 - a) ** 0.5 * prediction) / a**0.5
    return b**0.5 * clean + (1 - b) ** 0.5 * torch.randn(clean.shape)


def joined_with_doubles(windows):
    return torch.cat([window for window in windows], 1)


def joined_without_the_end(windows):
    return windows[:, :, :4].transpose(0, 1).flatten(1, 2)


WRONG = {
    "inversion_step": [
        (towards_the_clip, "goes down"),
        (with_one_level, "present one"),
        (noised_once_more, "take out the noise"),
        (with_fresh_noise, "new noise"),
    ],
    "same_level": [
        (lambda t, theirs, ours: t, "different levels"),
        (lambda t, theirs, ours: int(torch.argmin((theirs - ours[t]) ** 2)), "other way"),
        (lambda t, theirs, ours: int(torch.argmin(ours - theirs[t])), "sign"),
    ],
    "joined": [
        (joined_with_doubles, "not 35"),
        (joined_without_the_end, "last keyframe is missing"),
    ],
    "strengthened": [
        (lambda own, tuned, s: {n: w * s for n, w in tuned.items()}, "all zero"),
        (lambda own, tuned, s: {n: w + s * (w - own[n]) for n, w in tuned.items()}, "start from"),
        (lambda own, tuned, s: {n: torch.lerp(w, own[n], s) for n, w in tuned.items()},
            "exchanged"),
    ],
}  # fmt: skip
