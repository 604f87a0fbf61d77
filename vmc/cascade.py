"""Keyframes → interpolation → super-resolution: from a prompt to a finished video (Sec. 3.3).

Only the keyframe stage is ever tuned; the others (`vmc.stages`) turn its eight small pictures into
29 large ones and stay as they are.
"""

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from vmc.backbones import Backbone
from vmc.backbones.registry import module_of
from vmc.diffusion import guided
from vmc.errors import BadInput
from vmc.residency import as_memory_allows, set_aside
from vmc.stages import Interpolation, sample

UNTIL = ("keyframes", "interpolated", "video")
OnStep = Callable[[str, int, int, Tensor], None]
"""Called as on_step(stage, number, total, current latent) after every sampling step."""


@dataclass(frozen=True, eq=False)
class Generated:
    """What the stages made of one prompt; a stage that was not asked for is None."""

    prompt: str
    keyframes: Float[Tensor, "3 keyframe h w"]
    """8×40×64."""
    interpolated: Float[Tensor, "3 frame h w"] | None = None
    """29×40×64."""
    enlarged: Float[Tensor, "3 frame height width"] | None = None
    """29×160×256."""
    video: Float[Tensor, "3 frame final_height final_width"] | None = None
    """29×320×576."""


class Cascade:
    """A text-to-video cascade: a keyframe `base`, and the stages that finish its work.

    `base` is what VMC tunes. A cascade of a single-stage backbone has no later stages, and makes
    keyframes only.
    """

    def __init__(
        self,
        base: Backbone,
        interpolation: Interpolation | None = None,
        super_resolution: tuple[Callable, ...] = (),
    ):
        self.base = base
        self.interpolation = interpolation
        self.super_resolution = super_resolution

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "tiny",
        device: str | None = None,
        dtype: torch.dtype | None = None,
        **settings,
    ) -> "Cascade":
        """Load a cascade by its name or from a folder in the layout of one of them.

        "tiny" comes with the package; "show-1", and the single-stage "modelscope", "zeroscope"
        and "animatediff", are downloaded on first use. `device` is "cuda" or "cpu" (the GPU where
        there is one, if None); `dtype` is what the networks compute in (what suits backbone and
        device, if None). `settings` are those of the backbone's own `load_stages`. Raises
        `BadInput` for an unknown name or setting, missing or altered weights, or a device that is
        not there.
        """
        load_stages = module_of(name).load_stages
        known = list(inspect.signature(load_stages).parameters)[3:]
        if unknown := sorted(settings.keys() - set(known)):
            raise BadInput(
                f"The backbone {name} has no setting {unknown[0]!r} (it has: "
                f"{', '.join(known) or 'none'}); load it without."
            )
        return cls(*load_stages(name, checked_device(device), dtype, **settings))

    @torch.no_grad()
    def generate(
        self,
        prompt: str | list[str],
        adapter=None,
        inverted: Float[Tensor, "1 channel frame h w"] | None = None,
        seed: int = 0,
        guidance_scale: float | None = None,
        steps: int | None = None,
        until: str = "video",
        on_step: OnStep | None = None,
    ) -> Generated | list[Generated]:
        """Make a video of each prompt.

        Several prompts share the work of the keyframe stage, as many at a time as the GPU's memory
        allows.

        Arguments:
            adapter: a `MotionAdapter` that gives the motion; None is the model as it was.
            inverted: noise from `vmc.invert`, to start from in place of random noise.
            seed: of the noise; every prompt of a list starts from the same.
            guidance_scale: of the keyframe stage; 1 is none, the backbone's own if None.
            steps: sampling steps of the keyframe stage; the backbone's own if None.
            until: the last stage to run, "keyframes", "interpolated" or "video".
            on_step: called after every step, with the stage's name.
        Returns:
            A `Generated`, or a list of them for a list of prompts.
        Raises:
            BadInput: an empty or unreadable prompt, steps < 1, a stage that is not there.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        self._check(prompts, steps, until)
        base = self.base
        scale = base.guidance_scale if guidance_scale is None else guidance_scale
        generator = torch.Generator().manual_seed(seed)
        text, unconditional = base.encode_text(prompts), base.encode_text([""])

        start = self._start(inverted, generator)

        def denoised(text):
            def predict(noisy, timestep):
                if scale == 1:
                    return base.predict_noise(noisy, timestep, text)
                both = torch.cat([unconditional.expand_as(text), text])
                return guided(
                    *base.predict_noise(noisy.repeat(2, 1, 1, 1, 1), timestep, both).chunk(2), scale
                )

            return sample(
                predict,
                base.sampler(),
                start.expand(len(text), -1, -1, -1, -1),
                steps or base.sampling_steps,
                _named(on_step, "keyframes"),
            )

        with adapter.applied(base) if adapter is not None else nullcontext():
            latents = as_memory_allows(denoised, text)
        keyframes = base.decode_video(latents).clamp(-1, 1)
        if until == "keyframes":
            results = [Generated(p, k) for p, k in zip(prompts, keyframes, strict=True)]
        else:
            with set_aside(base.unet, base.device):
                results = [
                    self._finish(p, k, (text[i : i + 1], unconditional), seed, until, on_step)
                    for i, (p, k) in enumerate(zip(prompts, keyframes, strict=True))
                ]
        return results[0] if isinstance(prompt, str) else results

    @torch.no_grad()
    def finish(
        self,
        made: Generated,
        seed: int = 0,
        until: str = "video",
        on_step: OnStep | None = None,
    ) -> Generated:
        """Take the keyframes that `generate` made of a prompt through the later stages.

        With the same `seed` the result is that of generating everything at once. Arguments and
        `BadInput` as there.
        """
        if until == "keyframes":
            return made
        self._check([made.prompt], None, until)
        base = self.base
        words, keyframes = base.encode_text([made.prompt, ""]), made.keyframes.to(base.device)
        with set_aside(base.unet, base.device):
            return self._finish(made.prompt, keyframes, words.split(1), seed, until, on_step)

    def _check(self, prompts, steps, until):
        if not prompts or not all(isinstance(p, str) and p.strip() for p in prompts):
            raise BadInput(
                'The prompt is empty: say what to show, such as "a blue star is moving".'
            )
        if steps is not None and steps < 1:
            raise BadInput(f"Sampling needs at least one step, not {steps}: ask for 20 or so.")
        if until not in UNTIL:
            raise BadInput(f"There is no stage {until!r}: choose one of {', '.join(UNTIL)}.")
        if until != "keyframes" and self.interpolation is None:
            raise BadInput(
                f'The backbone {self.base.name!r} makes keyframes only: pass until="keyframes".'
            )
        if until == "video" and not self.super_resolution:
            raise BadInput(
                f"The cascade {self.base.name!r} was loaded without super-resolution: pass "
                'until="interpolated", or load all of it.'
            )

    def _start(self, inverted, generator):
        blank = torch.zeros((1, 3, self.base.frames, *self.base.size), device=self.base.device)
        shape = self.base.encode_video(blank).shape
        if inverted is None:
            return torch.randn(shape, generator=generator).to(self.base.device)
        if inverted.shape != shape:
            raise BadInput(
                f"The inverted noise has shape {tuple(inverted.shape)}, but this cascade starts "
                f"from {tuple(shape)}: make it with vmc.invert on the same cascade."
            )
        return inverted.to(self.base.device, torch.float32)

    def _finish(self, prompt, keyframes, words, seed, until, on_step):
        """Run the later stages on one prompt's keyframes, from noise of their own."""
        generator = torch.Generator().manual_seed(seed)
        interpolated = self.interpolation(
            keyframes, *words, generator, _named(on_step, "interpolation")
        )
        if until == "interpolated":
            return Generated(prompt, keyframes, interpolated)
        sizes = [interpolated]
        for stage in self.super_resolution:
            name = f"super-resolution {stage.size[0]}×{stage.size[1]}"
            # A stage with a text encoder of its own reads the prompt itself.
            read = stage.read(prompt) if hasattr(stage, "read") else words
            sizes.append(stage(sizes[-1], *read, generator, _named(on_step, name)))
        return Generated(prompt, keyframes, *(clip.cpu() for clip in sizes))


def _named(on_step: OnStep | None, stage: str):
    if on_step is None:
        return None
    return lambda number, total, latents: on_step(stage, number, total, latents)


def checked_device(device: str | torch.device | None) -> torch.device:
    """The device asked for, or the best there is; `BadInput` if it is not there."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(device)
    except RuntimeError as error:
        raise BadInput(f'{device!r} is not a device: use "cpu" or "cuda".') from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BadInput('The device "cuda" was asked for, but no CUDA GPU is visible: use "cpu".')
    return device
