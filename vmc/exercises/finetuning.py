"""The exercises of 04_finetuning: what trains and what it costs, a step, a path's error."""

import torch
from torch import Tensor, nn

from vmc.backbones.tiny import schedule
from vmc.backbones.unet import PixelUNet3D
from vmc.diffusion import add_noise
from vmc.exercises.checking import Exercise, Misconception, noise
from vmc.metrics import trajectory_error
from vmc.motion import alignment_loss

NOTEBOOK = "04_finetuning"


def _unet() -> PixelUNet3D:
    """The U-Net of the notebooks at its smallest, with every gradient on, as PyTorch makes it."""
    return PixelUNet3D(
        block_out_channels=(32,),
        down_block_types=("SimpleCrossAttnDownBlock3D",),
        up_block_types=("SimpleCrossAttnUpBlock3D",),
        layers_per_block=1,
        attention_head_dim=16,
        cross_attention_dim=32,
        encoder_hid_dim=12,
        addition_embed_type=None,
        norm_num_groups=8,
    )


def _train(places: tuple[str, ...], leaves: tuple[str, ...], others_off: bool = True):
    """An answer that trains what has one of `places` and one of `leaves` in its name."""

    def answer(unet: nn.Module) -> list[str]:
        names = []
        for name, parameter in unet.named_parameters():
            chosen = any(p in name for p in places) and any(f".{x}" in name for x in leaves)
            parameter.requires_grad_(chosen or not others_off)
            names += [name] * chosen
        return names

    return answer


_QKV = ("to_q.", "to_k.", "to_v.")


def _what_trains(function, unet):
    named = {str(name) for name in function(unet)}
    return {"named": named, "on": {n for n, p in unet.named_parameters() if p.requires_grad}}


MOTION_WEIGHTS = Exercise(
    "motion_weights",
    NOTEBOOK,
    reference=_train(("temp_attentions",), _QKV),
    cases=lambda: [(_unet(),)],
    ask=_what_trains,
    misconceptions=(
        Misconception(
            _train(("temp_attentions",), _QKV, others_off=False),
            "the names are right, but gradients are left on outside the temporal attention: turn "
            "requires_grad off for all others.",
        ),
        Misconception(
            _train(("attentions",), _QKV),
            'the attentions within a frame train too: ".attentions." is in every name of theirs, '
            'and "temp_attentions" only in the temporal ones.',
        ),
        Misconception(
            _train((".attentions",), _QKV),
            "these are the attentions within a frame, which know looks; motion is in the temporal "
            "ones, temp_attentions.",
        ),
        Misconception(
            _train(("temp_attentions",), ("",)),
            "the whole temporal transformer trains; the paper tunes only its queries, keys and "
            "values, to_q, to_k and to_v.",
        ),
        Misconception(
            _train(("temp_attentions",), (*_QKV, "to_out.")),
            "the output projection to_out trains too; the paper tunes W^Q, W^K and W^V alone.",
        ),
        Misconception(
            _train(("temp_",), ("",)),
            "the temporal convolutions train too; the paper tunes the temporal attention alone.",
        ),
        Misconception(
            lambda unet: [name for name, _ in unet.named_parameters()],
            "everything trains; the method tunes to_q, to_k and to_v of the temporal attentions.",
        ),
    ),
)


def _predict(noisy: Tensor, timestep: int) -> Tensor:
    """Stands for ε_θ: any fixed function that mixes pixels, frames and the timestep will do."""
    return (noisy + noisy.roll(1, 2) * 0.5 + noisy.roll(1, 4) * 0.3).tanh() * (1 + timestep / 1000)


def _step(noised=add_noise, loss=lambda predicted, noise, clip: alignment_loss(predicted, noise)):
    """A step of Algorithm 1 with another line 7 or lines 8 to 10."""

    def answer(predict, clip, noise, timestep, alphas_cumprod):
        noisy = noised(clip, noise, timestep, alphas_cumprod)
        return loss(predict(noisy, timestep), noise, clip)

    return answer


def _with_levels(of_signal, of_noise):
    return lambda clip, noise, timestep, levels: (
        of_signal(levels[timestep]) * clip + of_noise(levels[timestep]) * noise
    )


def _alphas_in_place(clip, noise, timestep, levels):
    alpha = levels[timestep] / levels[timestep - 1]
    return alpha.sqrt() * clip + (1 - alpha).sqrt() * noise


STEP_LOSS = Exercise(
    "step_loss",
    NOTEBOOK,
    reference=_step(),
    cases=lambda: [
        (_predict, noise(0, 1, 3, 6, 4, 5).tanh(), noise(1, 1, 3, 6, 4, 5), 300, schedule()),
        (_predict, noise(2, 1, 3, 5, 6, 4).tanh(), noise(3, 1, 3, 5, 6, 4), 700, schedule()),
    ],
    misconceptions=(
        Misconception(
            _step(lambda clip, *_: clip),
            "the model is shown the clean clip; line 7 adds the noise first.",
        ),
        Misconception(
            _step(loss=lambda predicted, noise, clip: (predicted - noise).pow(2).mean()),
            "this is ε-matching, the loss of pretraining (Eq. 8), which learns looks as well; "
            "lines 8 to 10 compare differences between frames.",
        ),
        Misconception(
            _step(loss=lambda predicted, noise, clip: alignment_loss(predicted, clip)),
            "you compare with the differences of the clip; the model predicts noise, so line 9 "
            "takes those of the noise.",
        ),
        Misconception(
            _step(
                loss=lambda predicted, noise, clip: alignment_loss(
                    predicted, torch.randn_like(noise)
                )
            ),
            "the noise is not shared: line 9 needs the very ε that line 7 added.",
        ),
        Misconception(
            _step(loss=lambda predicted, noise, clip: alignment_loss(predicted, noise, "l2")),
            "this is the ℓ2 loss of Eq. 16; line 10 has the cosine of Eq. 17.",
        ),
        Misconception(
            _step(loss=lambda predicted, noise, clip: alignment_loss(predicted, noise, "released")),
            "this is the published code's loss, which cannot see direction; line 10 has the signed "
            "cosine of Eq. 17.",
        ),
        Misconception(
            _step(_with_levels(lambda a: a, lambda a: 1 - a)),
            "the square roots are missing in line 7: √ᾱ of the clip and √(1−ᾱ) of the noise.",
        ),
        Misconception(
            _step(_alphas_in_place),
            "this is one step of the chain, with α where ᾱ belongs: line 7 goes from the clip to "
            "t in one leap.",
        ),
        Misconception(
            _step(_with_levels(lambda a: (1 - a).sqrt(), lambda a: a.sqrt())),
            "√ᾱ and √(1−ᾱ) are exchanged in line 7.",
        ),
    ),
)


def _distances(tracked: Tensor, asked: Tensor, size: tuple[int, int]) -> Tensor:
    return ((tracked - asked) * torch.tensor(size)).norm(dim=-1)


def _diagonal(size: tuple[int, int]) -> float:
    return (size[0] ** 2 + size[1] ** 2) ** 0.5


def _paths():
    tracked, asked = ((0.5 + 0.2 * noise(seed, 8, 2)).clamp(0, 1) for seed in (8, 9))
    return [(tracked, asked, (40, 64)), (tracked, asked, (320, 576))]


PATH_ERROR = Exercise(
    "path_error",
    NOTEBOOK,
    reference=trajectory_error,
    cases=_paths,
    misconceptions=(
        Misconception(
            lambda tracked, asked, size: (tracked - asked).norm(dim=-1).mean().item(),
            "a tenth of the height counts as much as a tenth of the width; go to pixels first, "
            "height and width each with its own size.",
        ),
        Misconception(
            lambda tracked, asked, size: _distances(tracked, asked, size).mean().item(),
            "this is in pixels, so it depends on the resolution; divide by the diagonal.",
        ),
        Misconception(
            lambda tracked, asked, size: (
                _distances(tracked, asked, size).mean().item() / (size[0] + size[1])
            ),
            "the diagonal is √(height² + width²), not their sum.",
        ),
        Misconception(
            lambda tracked, asked, size: (
                _distances(tracked, asked, size[::-1]).mean().item() / _diagonal(size)
            ),
            "height and width are exchanged: centres are (y, x), and sizes (height, width).",
        ),
        Misconception(
            lambda tracked, asked, size: (
                _distances(tracked, asked, size).pow(2).mean().sqrt().item() / _diagonal(size)
            ),
            "this is the root of the mean square, in which one bad frame weighs most; the error is "
            "the plain mean of the distances.",
        ),
        Misconception(
            lambda tracked, asked, size: (
                _distances(tracked.mean(0), asked.mean(0), size).item() / _diagonal(size)
            ),
            "you compare the mean places; that forgives any path around the right middle, so take "
            "the distance in each frame first.",
        ),
        Misconception(
            lambda tracked, asked, size: (
                _distances(tracked.diff(dim=0), asked.diff(dim=0), size).mean().item()
                / _diagonal(size)
            ),
            "you compare the steps from frame to frame; the trajectory error is of the places.",
        ),
    ),
)


def _memory(of_trained: int, untuned_too: bool = True):
    """GB, if a trained weight takes so many bytes more than its untuned one."""
    return lambda total, trained, bytes_each: (
        ((total - trained * (not untuned_too)) * bytes_each + trained * of_trained) / 1e9
    )


TUNING_MEMORY = Exercise(
    "tuning_memory",
    NOTEBOOK,
    reference=_memory(16),
    cases=lambda: [(1.727e9, 0.135e9, 2), (3.4e9, 0.4e9, 4)],
    misconceptions=(
        Misconception(
            _memory(0),
            "this is only what it takes to have the weights; tuning also holds its own copy, the "
            "gradient and AdamW's two numbers.",
        ),
        Misconception(
            lambda total, trained, bytes_each: (total * bytes_each + total * 16) / 1e9,
            "this is what training everything takes; a weight that is not trained needs no "
            "gradient and nothing of AdamW.",
        ),
        Misconception(
            _memory(16, untuned_too=False),
            "the untuned weights of what is trained are missing; they stay, so that the model is "
            "whole again afterwards.",
        ),
        Misconception(
            _memory(12),
            "one of the four numbers is missing: tuned weight, gradient, and AdamW's two.",
        ),
        Misconception(
            _memory(4),
            "a trained weight has four numbers, and each of them four bytes.",
        ),
        Misconception(
            lambda total, trained, bytes_each: total * bytes_each + trained * 16,
            "this is in bytes; a GB is 10⁹ of them.",
        ),
        Misconception(
            lambda total, trained, bytes_each: (total * bytes_each + trained * 16) / 2**30,
            "this is in GiB of 2³⁰ bytes; asked for are GB of 10⁹.",
        ),
    ),
)

EXERCISES = (MOTION_WEIGHTS, STEP_LOSS, PATH_ERROR, TUNING_MEMORY)
