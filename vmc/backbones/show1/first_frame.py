"""The first sharp frame: DeepFloyd's IF-II-L, an image model, enlarges it four times.

Show-1's video super-resolution starts from it, and takes the looks of all frames from there.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vmc.diffusion import guided
from vmc.residency import OnDemand, at_hand
from vmc.stages import low_resolution_condition, sample


@dataclass
class FirstFrame:
    """Image super-resolution, conditioned on the noised enlargement of its input."""

    network: nn.Module | OnDemand
    """A diffusers UNet2DConditionModel with a class embedding for the noise level."""
    sampler: Callable[[], object]
    """Makes a DDPM scheduler that uses the variance the network learned."""
    alphas_cumprod: Float[Tensor, "T"]
    """Of the noise on the condition."""
    size: tuple[int, int]
    steps: int = 70
    guidance_scale: float = 4.0
    noise_level: int = 150

    def __call__(self, frame, text, unconditional, generator, on_step=None):
        """(3, 1, h, w) → (3, 1, *size); not clamped, as published."""
        shape = (1, 3, 1, *self.size)
        start = torch.randn(shape, generator=generator).to(frame)
        grain = torch.randn(shape, generator=generator).to(frame)
        level = torch.tensor([self.noise_level], device=frame.device)
        condition = low_resolution_condition(
            frame[None], self.size, level, grain, self.alphas_cumprod, align_corners=True
        )
        with at_hand(self.network) as network:

            def answer(noisy, timestep, words):
                seen = torch.cat([noisy, condition], dim=1)[:, :, 0].to(network.dtype)
                output = network(seen, timestep, words.to(network.dtype), class_labels=level)
                return output.sample[:, :, None].float().chunk(2, dim=1)

            def predict(noisy, timestep):
                # Guidance concerns ε alone; the variance is that of the prompt.
                noise, variance = answer(noisy, timestep, text)
                if self.guidance_scale != 1:
                    without, _ = answer(noisy, timestep, unconditional)
                    noise = guided(without, noise, self.guidance_scale)
                return torch.cat([noise, variance], dim=1)

            made = sample(predict, self.sampler(), start, self.steps, on_step, generator)
        return made[0]
