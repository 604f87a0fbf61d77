"""The exercises of 03_motion_vectors: residuals, estimate, loss, what it cannot see."""

import torch
from torch.nn.functional import cosine_similarity

from vmc.backbones.tiny import schedule
from vmc.exercises.checking import Exercise, Misconception, noise
from vmc.motion import alignment_loss, frame_residual, motion_estimate

NOTEBOOK = "03_motion_vectors"


def _videos():
    """Every axis has a size of its own, so that no two can be exchanged unnoticed."""
    return [(noise(0, 2, 3, 6, 4, 5), 1), (noise(1, 2, 3, 6, 4, 5), 2)]


RESIDUAL = Exercise(
    "frame_residual",
    NOTEBOOK,
    reference=frame_residual,
    cases=_videos,
    misconceptions=(
        Misconception(
            lambda video, stride: video[:, :, :-stride] - video[:, :, stride:],
            "you take the earlier frame minus the later one; Eq. 9 is v^(n+c) − v^n, so that a "
            "pixel that gets brighter counts as positive.",
        ),
        Misconception(
            lambda video, stride: video[:, stride:] - video[:, :-stride],
            "you subtract neighbouring channels; the axes are (batch, channel, frame, height, "
            "width), so frames are axis 2.",
        ),
        Misconception(
            lambda video, stride: video[stride:] - video[:-stride],
            "you subtract neighbouring videos of the batch; frames are axis 2.",
        ),
        Misconception(
            lambda video, stride: video[:, :, 1:] - video[:, :, :-1],
            "right for c = 1, but the stride is not used: the two frames of a pair are `stride` "
            "apart.",
        ),
        Misconception(
            lambda video, stride: video.roll(-stride, 2) - video,
            "you wrap around from the last frame to the first, which makes pairs that the video "
            "does not have: N frames give N − c pairs.",
        ),
        Misconception(
            lambda video, stride: video[:, :, stride:] - video[:, :, :1],
            "you subtract the first frame from all others; each frame has its own partner, `stride`"
            " before it.",
        ),
    ),
)


def _noised():
    levels = schedule()
    return [
        (
            noise(2, 4, 3, 6, 5, 4),
            noise(3, 4, 3, 6, 5, 4),
            torch.tensor([20, 300, 500, 800]),
            levels,
        )
    ]


def _levels(timestep, alphas_cumprod):
    return alphas_cumprod[timestep].view(-1, 1, 1, 1, 1)


def _estimate(of_signal, of_noise):
    """Eq. 13 with other levels of signal and noise than its own, as functions of ᾱ."""

    def wrong(noisy, prediction, timestep, alphas_cumprod):
        level = _levels(timestep, alphas_cumprod)
        residual, predicted = frame_residual(noisy), frame_residual(prediction)
        return (residual - of_noise(level) * predicted) / of_signal(level)

    return wrong


ESTIMATE = Exercise(
    "motion_estimate",
    NOTEBOOK,
    reference=motion_estimate,
    cases=_noised,
    misconceptions=(
        Misconception(
            _estimate(lambda a: a, lambda a: 1 - a),
            "the square roots are missing: Eq. 13 has √ᾱ and √(1−ᾱ).",
        ),
        Misconception(
            _estimate(lambda a: a.sqrt(), lambda a: (2 * (1 - a)).sqrt()),
            "the 2 of Eq. 11 does not belong here: it is the variance of δε itself, which Eq. 13 "
            "subtracts whole.",
        ),
        Misconception(
            _estimate(lambda a: 1, lambda a: (1 - a).sqrt()),
            "you did not divide by √ᾱ, so the vectors come out too short.",
        ),
        Misconception(
            _estimate(lambda a: (1 - a).sqrt(), lambda a: a.sqrt()),
            "√ᾱ and √(1−ᾱ) are exchanged: √ᾱ is how much is left of the clip.",
        ),
        Misconception(
            _estimate(lambda a: a.sqrt(), lambda a: -(1 - a).sqrt()),
            "you add the predicted noise; it is to be taken away.",
        ),
        Misconception(
            lambda noisy, prediction, timestep, alphas_cumprod: (
                (
                    frame_residual(noisy)
                    - (1 - alphas_cumprod[timestep]).sqrt() * frame_residual(prediction)
                )
                / alphas_cumprod[timestep].sqrt()
            ),
            "ᾱ_t lies along the width of the picture; give each video of the batch its own with "
            "alphas_cumprod[timestep].view(-1, 1, 1, 1, 1).",
        ),
    ),
)


def _cosine(over, before=frame_residual):
    """1 − cos with the vectors spread over the axes `over`, of what `before` makes."""

    def wrong(prediction, target):
        x, y = before(prediction), before(target)
        dot, norms = (x * y).sum(over), (x * x).sum(over).sqrt() * (y * y).sum(over).sqrt()
        return (1 - dot / norms).mean()

    return wrong


LOSS = Exercise(
    "cosine_loss",
    NOTEBOOK,
    reference=alignment_loss,
    cases=lambda: [
        (noise(4, 2, 3, 6, 4, 5), noise(5, 2, 3, 6, 4, 5)),
        (noise(6, 2, 3, 6, 4, 5) * torch.arange(1, 6), noise(6, 2, 3, 6, 4, 5)),
    ],
    misconceptions=(
        Misconception(
            _cosine((1, 3, 4), before=lambda video: video),
            "you compare the noises themselves; the loss is of their residuals δε.",
        ),
        Misconception(
            lambda prediction, target: 1 - _cosine((1, 3, 4))(prediction, target),
            "this is the cosine, which is 1 for a perfect prediction; the loss is 1 − cos.",
        ),
        Misconception(
            _cosine(2),
            "your cosine runs along the frames, a vector for each pixel and channel; in Eq. 17 a "
            "vector is one whole frame pair.",
        ),
        Misconception(
            _cosine(1),
            "your cosine runs over the channels alone, a vector for each pixel; in Eq. 17 a vector "
            "holds all pixels and channels of a frame pair.",
        ),
        Misconception(
            _cosine((3, 4)),
            "your cosine runs over the pixels of each channel by itself; the channels of a frame "
            "pair belong to one vector.",
        ),
        Misconception(
            _cosine((1, 2, 3, 4)),
            "you made one vector of all frame pairs of a video; Eq. 17 has one for each pair, and "
            "the mean is over the pairs.",
        ),
        Misconception(
            _cosine((0, 1, 2, 3, 4)),
            "you made one vector of the whole batch; Eq. 17 has one for each frame pair.",
        ),
        Misconception(
            lambda prediction, target: (
                1
                - cosine_similarity(
                    frame_residual(prediction).abs(), frame_residual(target).abs(), dim=2
                )
            ).mean(),
            "this is the published code's form: absolute values, along the frames. It cannot see "
            "direction; Eq. 17 has neither.",
        ),
    ),
)


def _what_sees_it(change, target):
    """Whether anything changed, and which of the losses notices."""
    changed = change(target)
    losses = {kind: alignment_loss(changed, target, kind) for kind in ("cosine", "l2", "released")}
    seen = {kind: loss.item() > 1e-5 for kind, loss in losses.items()}
    return {"changed": not torch.allclose(changed, target), **seen}


UNSEEN = Exercise(
    "unseen_change",
    NOTEBOOK,
    reference=lambda noise: noise + noise.mean((2, 3, 4), keepdim=True) + 1,
    cases=lambda: [(noise(7, 2, 3, 6, 4, 5),)],
    ask=_what_sees_it,
    misconceptions=(
        Misconception(lambda noise: noise, "nothing has changed yet."),
        Misconception(
            lambda noise: 2 * noise,
            "this changes the length of the residuals: the cosine forgives it, ℓ2 does not.",
        ),
        Misconception(
            lambda noise: -noise,
            "this turns every residual around: the published loss does not notice, the cosine and "
            "ℓ2 do.",
        ),
        Misconception(
            lambda noise: noise + torch.arange(noise.shape[2]).view(-1, 1, 1),
            "what you add differs from frame to frame, so it does not cancel in the differences: "
            "every loss sees it.",
        ),
    ),
)

EXERCISES = (RESIDUAL, ESTIMATE, LOSS, UNSEEN)
