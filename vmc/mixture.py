"""Data on a line of which everything is known: a mixture of Gaussians, and what noise makes of it.

Nobody can write down the density of clips, so that what a network learned of it cannot be checked.
Here it can: under the forward process (Eq. 1) a mixture stays a mixture, and so every p_t has its
density and its score (Eq. 3) in closed form.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, Normal

from vmc.errors import BadInput


@dataclass(frozen=True)
class GaussianMixture:
    """Numbers x_0 drawn from several normal distributions; one mean, std and weight for each.

    Raises `BadInput` unless there are as many of each, stds and weights are above zero, and the
    weights add up to 1.
    """

    means: tuple[float, ...] = (-0.7, 0.5)
    stds: tuple[float, ...] = (0.2, 0.1)
    weights: tuple[float, ...] = (0.4, 0.6)

    def __post_init__(self):
        lengths = {len(self.means), len(self.stds), len(self.weights)}
        positive = min((*self.stds, *self.weights), default=0) > 0
        if len(lengths) > 1 or not positive or abs(sum(self.weights) - 1) > 1e-6:
            raise BadInput(
                "A mixture has one mean, one std and one weight for each of its parts, stds and "
                f"weights above zero and weights that add up to 1; got {self}."
            )

    def sample(self, count: int, generator: torch.Generator) -> Float[Tensor, "count"]:
        part = torch.tensor(self.weights).multinomial(count, True, generator=generator)
        noise = torch.randn(count, generator=generator)
        return torch.tensor(self.means)[part] + torch.tensor(self.stds)[part] * noise

    def noised(self, alpha_cumprod: float | Float[Tensor, ""]) -> "GaussianMixture":
        """p_t, the distribution of x_t = √ᾱ_t x_0 + √(1-ᾱ_t) ε, for one ᾱ_t."""
        level = float(alpha_cumprod)
        means = tuple(level**0.5 * mean for mean in self.means)
        stds = tuple((level * std**2 + 1 - level) ** 0.5 for std in self.stds)
        return GaussianMixture(means, stds, self.weights)

    def density(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        parts = Normal(torch.tensor(self.means), torch.tensor(self.stds))
        return MixtureSameFamily(Categorical(torch.tensor(self.weights)), parts).log_prob(x).exp()

    def score(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """d log p(x) / dx: each part pulls to its own mean, as far as x is likely to be its own."""
        means, stds, weights = map(torch.tensor, (self.means, self.stds, self.weights))
        away = (means - x[..., None]) / stds
        own = (weights.log() - stds.log() - away.square() / 2).softmax(-1)
        return (own * away / stds).sum(-1)
