"""Wrong answers as a student might write them, and words of the hint that each deserves."""

import torch
from torch.nn.functional import cosine_similarity

WRONG = {
    "frame_residual": [
        (lambda video, stride: -torch.diff(video, dim=2) if stride == 1 else
            torch.stack([video[:, :, n] - video[:, :, n + 2] for n in range(4)], 2), "earlier"),
        (lambda video, stride: torch.stack(
            [video[:, c + stride] - video[:, c] for c in range(3 - stride)], 1), "channels"),
        (lambda video, stride: torch.diff(video, dim=2), "stride is not used"),
    ],
    "motion_estimate": [
        (lambda noisy, prediction, timestep, levels: torch.stack([
            (torch.diff(x, dim=1) - (1 - a) * torch.diff(e, dim=1)) / a
            for x, e, a in zip(noisy, prediction, levels[timestep], strict=True)]), "square roots"),
        (lambda noisy, prediction, timestep, levels: torch.stack([
            torch.diff(x, dim=1) - (1 - a) ** 0.5 * torch.diff(e, dim=1)
            for x, e, a in zip(noisy, prediction, levels[timestep], strict=True)]), "divide"),
    ],
    "cosine_loss": [
        (lambda prediction, target: 1 - cosine_similarity(
            prediction.diff(dim=2), target.diff(dim=2), dim=2).mean(), "along the frames"),
        (lambda prediction, target: 1 - cosine_similarity(
            prediction.diff(dim=2).flatten(1), target.diff(dim=2).flatten(1)).mean(),
            "all frame pairs"),
        (lambda prediction, target: cosine_similarity(
            prediction.diff(dim=2).transpose(1, 2).flatten(2),
            target.diff(dim=2).transpose(1, 2).flatten(2), dim=2).mean(), "1 − cos"),
    ],
    "unseen_change": [
        (lambda noise: noise * 0.5, "length"),
        (lambda noise: 0 - noise, "around"),
        (lambda noise: noise + torch.linspace(0, 1, 6)[:, None, None], "frame to frame"),
    ],
}  # fmt: skip
