# %% [markdown]
# # Diffusion: from a clip to noise, and back
#
# <!-- links -->
# <!-- /links -->
#
# **What you'll do.** Turn a clip into noise, find out what a network must know to turn it back, and
# write every formula of that yourself: forward process, loss, denoised estimate, step back,
# guidance.
#
# **What you'll learn.** Equations 1–7 of the paper ([Jeong et al., CVPR
# 2024](https://arxiv.org/abs/2312.00845)), which every later notebook stands on. Three of them are
# misprinted there; you will see what goes wrong if they are taken at their word.
#
# **What you'll need.** PyTorch and some probability: normal distributions, means, variances. No
# diffusion. Five exercises are on the way, about half an hour in all.
#
# | machine | minutes | peak memory |
# |---|---|---|
# | 2 CPU cores | 0.8 | 0.97 GB |

# %%
import torch
from torch import nn

import vmc
from vmc.sprites import Scene
from vmc.widgets import curves, explore_noise, progress, show, table

cascade = vmc.Cascade.from_pretrained("tiny")
base = cascade.base

# %% [markdown]
# ## 1. From a clip to noise (Eq. 1)
#
# A clip from the drawn world, eight frames of 40 × 64 pixels with values from −1 to 1:

# %%
scene = Scene("fish", "orange", "underwater", motion="swing")
clip = scene.render()
show(clip, labels=[scene.caption()], height=160, alt="an orange fish swings through blue water")

# %% [markdown]
# Diffusion destroys it in $T = 1000$ small steps. Step $t$ shrinks what is there a little and adds
# a little noise:
#
# $$p(\mathbf{x}_t \mid \mathbf{x}_{t-1}) = \mathcal{N}\left(\mathbf{x}_t \mid \sqrt{\alpha_t}\,
# \mathbf{x}_{t-1},\ \beta_t I\right), \qquad \alpha_t = 1 - \beta_t \tag{1a}$$
#
# How much in which step is the *noise schedule*. It is usually given as $\bar\alpha_t = \prod_{i
# \le t} \alpha_i$, in code `alphas_cumprod`, and is fixed before a network is trained. Ours is
# Show-1's.

# %%
levels = base.alphas_cumprod  # ᾱ_t, for t = 0 … 999
alphas = levels / torch.cat([torch.ones(1), levels[:-1]])  # α_t
betas = 1 - alphas  # β_t

# %%
generator = torch.Generator().manual_seed(0)
x, chain = clip, [clip]
for alpha, beta in zip(alphas, betas, strict=True):
    noise = torch.randn(x.shape, generator=generator)
    x = alpha.sqrt() * x + beta.sqrt() * noise
    chain.append(x)

# %% [markdown]
# One of its frames, every 125 steps. On the contact sheet time runs from left to right:

# %%
frame = torch.stack([x[:, 3] for x in chain[125::125]], dim=1)
show(frame.clamp(-1, 1), height=160, alt="a frame sinks into noise over 1000 steps")

# %% [markdown]
# **A misprint.** The paper prints the mean as $\beta_t \mathbf{x}_{t-1}$ and the variance as $1 -
# \beta_t$. Before you run the next cell: how much of the clip would be left after the very first
# step?

# %%
# NBVAL_CHECK_OUTPUT
print(f"as printed: {betas[0]:.5f} of the clip, right: {alphas[0].sqrt():.5f} of it")

# %% [markdown]
# ### All steps in one
#
# Nobody walks through the chain in training, because the sum of normal variables is normal again.
# Let $\mathbf{x}_{t-1}$ have mean $m\,\mathbf{x}_0$ and variance $v$. After a step the mean is
# $\sqrt{\alpha_t}\, m\, \mathbf{x}_0$, and the variance $\alpha_t v + \beta_t$. If $v$ was $1 -
# \bar\alpha_{t-1}$, it becomes $\alpha_t - \bar\alpha_t + 1 - \alpha_t = 1 - \bar\alpha_t$. So,
# from $m = 1$ and $v = 0$ on,
#
# $$p(\mathbf{x}_t \mid \mathbf{x}_0) = \mathcal{N}\left(\mathbf{x}_t \mid \sqrt{\bar\alpha_t}\,
# \mathbf{x}_0,\ (1 - \bar\alpha_t) I\right), \quad\text{or}\quad \mathbf{x}_t =
# \sqrt{\bar\alpha_t}\, \mathbf{x}_0 + \sqrt{1 - \bar\alpha_t}\, \boldsymbol\epsilon. \tag{1b}$$
#
# The same with numbers, step by step against the closed form:

# %%
# NBVAL_CHECK_OUTPUT
mean, variance, largest = 1.0, 0.0, 0.0
for alpha, level in zip(alphas.double(), levels.double(), strict=True):
    mean, variance = alpha.sqrt() * mean, alpha * variance + 1 - alpha
    gap = max((mean - level.sqrt()).abs(), (variance - (1 - level)).abs())
    largest = max(largest, gap.item())
print("the chain and the leap differ by less than 1e-6:", largest < 1e-6)

# %%
t = range(1000)
mixing = {
    "√ᾱ, how much clip": (t, levels.sqrt()),
    "√(1−ᾱ), how much noise": (t, (1 - levels).sqrt()),
}
alt = "the share of the clip falls from 1 to 0 over t, that of the noise rises from 0 to 1"
curves(mixing, ("timestep t", "factor"), alt)

# %% [markdown]
# **Predict.** From which $t$ on can you no longer say that there is a fish? Where the fish is? What
# colour the water has? Then move the slider. (Without a running kernel you see one frame at eight
# timesteps.)

# %%
explore_noise(clip, levels)

# %% [markdown]
# Large things outlive small ones: the colour of a whole region is an average over many pixels, from
# which the noise nearly cancels, and an edge is not. A network that is shown $\mathbf{x}_t$ has to
# guess what the noise has buried, and what that is depends on $t$.

# %% [markdown]
# ### Exercise 1.1: the leap
#
# *Difficulty ●○○, 4 minutes.* Write Eq. 1b for a batch of clips, `(batch, channel, frame, height,
# width)`, each with a timestep of its own.

# %%
from vmc.exercises import check


def noised(clean, noise, timestep, alphas_cumprod):
    """x_t; `timestep` holds one number for each clip of the batch."""
    ...


check("add_noise", noised)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `alphas_cumprod[timestep]` has one number for each clip. To multiply a clip with its own number it
# needs four more axes, of size one.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def noised(clean, noise, timestep, alphas_cumprod):
#     level = alphas_cumprod[timestep].view(-1, 1, 1, 1, 1)
#     return level.sqrt() * clean + (1 - level).sqrt() * noise
# ```
#
# In the library this is `vmc.diffusion.add_noise`.
#
# </details>

# %% [markdown]
# ## 2. Learning to find the noise (Eq. 2)
#
# To go back, one needs to know what was added. So a network $\epsilon_\theta$ is shown the noisy
# clip and the timestep, and trained to name the noise:
#
# $$\min_\theta \mathbb{E}\left[\left\| \epsilon_\theta(\mathbf{x}_t, t) - \boldsymbol\epsilon
# \right\|^2\right] \tag{2}$$
#
# (The paper leaves the square out. All code, its own included, takes the mean of the squares.)
# Guessing "no noise at all", zero everywhere, would cost 1.
#
# Our tiny network takes a detour. What it estimates is the clean clip, $\hat{\mathbf{x}}_0$, and it
# was trained on the error of that. Its $\epsilon_\theta$ comes from Eq. 1b, solved for the noise:
#
# $$\epsilon_\theta(\mathbf{x}_t, t) = \frac{\mathbf{x}_t - \sqrt{\bar\alpha_t}\,
# \hat{\mathbf{x}}_0}{\sqrt{1 - \bar\alpha_t}}$$
#
# So an error of the clip is one of the noise, multiplied by $\sqrt{\bar\alpha_t / (1 -
# \bar\alpha_t)}$. What does it make of our clip?

# %%
text = base.encode_text([scene.caption()])


@torch.no_grad()
def predict(noisy, timestep):
    """ε_θ(x_t, t), knowing the caption."""
    return base.predict_noise(noisy, timestep, text.expand(len(noisy), -1, -1))


# %%
from vmc.diffusion import add_noise, noise_loss

rows = []
for t in (10, 100, 300, 600, 900):
    noise = torch.randn((1, *clip.shape), generator=generator)
    loss = noise_loss(predict, clip[None], noise, torch.tensor([t]), levels)
    rows.append([t, loss.item(), (levels[t] / (1 - levels[t])).sqrt().item()])
table(["timestep t", "loss of Eq. 2", "what an error of the clip is multiplied by"], rows)

# %% [markdown]
# **Why is it harder the less noise there is?** At $t = 900$ a network is shown little else than
# noise and may nearly repeat its input. At $t = 10$ the noise is a faint grain on a picture, and
# what is grain and what is picture must be told apart pixel by pixel.
#
# Is there a loss above 1 in your table? An ideal predictor never does worse than zero. One that
# estimates the clip may, at small $t$, where the smallest error of the picture is multiplied most.

# %% [markdown]
# ### Exercise 1.2: the loss
#
# *Difficulty ●○○, 4 minutes.* Write Eq. 2 for a batch, as the mean of the squares.
# `predict(noisy, timestep)` is the network.


# %%
def epsilon_loss(predict, clean, noise, timestep, alphas_cumprod):
    """The loss, one number. Noise clips with `add_noise` or with your own function."""
    ...


check("epsilon_loss", epsilon_loss)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Who is to find the noise must be shown a clip in which it is. How many different noises are
# needed?
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def epsilon_loss(predict, clean, noise, timestep, alphas_cumprod):
#     noisy = add_noise(clean, noise, timestep, alphas_cumprod)
#     return (predict(noisy, timestep) - noise).square().mean()
# ```
#
# There is one noise: what is added is what must be found. Drawing it twice is a mistake that runs
# without any error, and trains the network to predict zero. In the library this is
# `vmc.diffusion.noise_loss`.
#
# </details>

# %% [markdown]
# ## 3. The noise is the score (Eq. 3)
#
# What has a network learned that can find noise? In which direction clips become more likely. The
# slope of the log-density, $\nabla \log p_t(\mathbf{x}_t)$, is called the *score*. For a known
# $\mathbf{x}_0$ it is easily written down, since $p(\mathbf{x}_t \mid \mathbf{x}_0)$ is a Gaussian:
#
# $$\nabla_{\mathbf{x}_t} \log p(\mathbf{x}_t \mid \mathbf{x}_0) = -\frac{\mathbf{x}_t -
# \sqrt{\bar\alpha_t}\, \mathbf{x}_0}{1 - \bar\alpha_t} = -\frac{\boldsymbol\epsilon}{\sqrt{1 -
# \bar\alpha_t}}$$
#
# A network does not know $\mathbf{x}_0$. With squares as the loss the best that it can do is to
# predict the mean of all $\boldsymbol\epsilon$ that may have led to $\mathbf{x}_t$; and the mean of
# these conditional scores is the score of $p_t$ itself. Eq. 3 trains a network $\mathbf{s}_\theta$
# to match them directly,
#
# $$\min_\theta \mathbb{E}\left[\left\| \mathbf{s}_\theta(\mathbf{x}_t, t) -
# \nabla_{\mathbf{x}_t} \log p(\mathbf{x}_t \mid \mathbf{x}_0) \right\|^2\right], \tag{3}$$
#
# and whoever has solved Eq. 2 has its solution too:
#
# $$\mathbf{s}_\theta(\mathbf{x}_t, t) = -\frac{\epsilon_\theta(\mathbf{x}_t, t)}{\sqrt{1 -
# \bar\alpha_t}}$$
#
# To check that we need data whose scores are known. Of clips nobody knows them, so for a while the
# data are single numbers: a mixture of two normal distributions. Noise turns a mixture into another
# mixture.

# %%
from vmc.mixture import GaussianMixture

mixture = GaussianMixture(means=(-0.7, 0.5), stds=(0.2, 0.1), weights=(0.4, 0.6))
x = torch.linspace(-2.5, 2.5, 401)
lines = {f"t = {t}": (x, mixture.noised(levels[t]).density(x)) for t in (0, 150, 300, 600, 990)}
alt = "two separate peaks at t = 0 grow wide and merge into one normal distribution at t = 990"
curves(lines, ("x", "density of x_t"), alt)

# %% [markdown]
# A small network, trained with Eq. 2 on numbers with noise of $t = 150$. It never sees a density or
# a slope.

# %%
with torch.random.fork_rng():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
for _ in range(800):
    clean = mixture.sample(1024, generator)[:, None]
    noise = torch.randn(clean.shape, generator=generator)
    loss = (net(add_noise(clean, noise, 150, levels)) - noise).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# %% [markdown]
# **Predict.** Does the loss go to zero, if only the network is large enough and trained for long?

# %%
clean = mixture.sample(100_000, generator)[:, None]
noise = torch.randn(clean.shape, generator=generator)
noisy = add_noise(clean, noise, 150, levels)
best = -(1 - levels[150]).sqrt() * mixture.noised(levels[150]).score(noisy)
with torch.no_grad():
    rows = [[who, (e - noise).square().mean().item()] for who, e in
            (("network", net(noisy)), ("best possible, from the true score", best))]  # fmt: skip
table(["predicts the noise", "loss of Eq. 2"], rows)

# %% [markdown]
# It does not: from $\mathbf{x}_t$ alone the noise cannot be known, and the best predictor pays for
# that too. Now the claim itself, that the solution of Eq. 2 is the score:

# %%
true = mixture.noised(levels[150]).score(x)
with torch.no_grad():
    learned = -net(x[:, None])[:, 0] / (1 - levels[150]).sqrt()
alt = "the network's score follows the true one: down, up again between the two peaks, and down"
curves({"true score": (x, true), "network": (x, learned)}, ("x", "score at t = 150"), alt)

# %% [markdown]
# Positive means that data are more likely to the right. The curve crosses zero downwards at the two
# peaks, and upwards at the valley between them. Far outside, where next to no training data fell,
# the network need not be right.

# %% [markdown]
# ## 4. Seeing through the noise (Eq. 6)
#
# Whoever knows the noise can take it away. Eq. 1b, solved for $\mathbf{x}_0$, with the prediction
# in place of the noise:
#
# $$\hat{\mathbf{x}}_0(t) = \frac{1}{\sqrt{\bar\alpha_t}}\left(\mathbf{x}_t - \sqrt{1 -
# \bar\alpha_t}\, \epsilon_\theta(\mathbf{x}_t, t)\right) \tag{6}$$
#
# **Predict.** Below the noisy clip you will see $\hat{\mathbf{x}}_0(t)$. What can the model show at
# $t = 999$, where you see nothing? Will it be one sharp clip, right or wrong, or something else?

# %%
explore_noise(clip, levels, predict=predict, timestep=600)

# %% [markdown]
# From the best possible predictor $\hat{\mathbf{x}}_0(t)$ is no clip of the world but the *mean* of
# all clips that could be under the noise, $\mathbb{E}[\mathbf{x}_0 \mid \mathbf{x}_t]$ (Tweedie's
# formula). While much is possible, that is a blur; compare what ours shows. For the mixture it can
# be checked: draw numbers, noise them, and average those $\mathbf{x}_0$ whose $\mathbf{x}_t$
# came out alike.

# %%
from vmc.diffusion import tweedie

noisy = add_noise(clean, noise, 600, levels)
places = torch.linspace(-2, 2, 41)
averages = [clean[(noisy - place).abs() < 0.05].mean() for place in places]
best = -(1 - levels[600]).sqrt() * mixture.noised(levels[600]).score(places)
estimates = tweedie(places, best, torch.full((41,), 600), levels)
lines = {"mean of x_0 drawn": (places, averages), "Tweedie, Eq. 6": (places, estimates)}
alt = "both curves coincide and rise from one peak of the data to the other"
curves(lines, ("x_t at t = 600", "x_0"), alt)

# %% [markdown]
# Between the two ends the estimate takes values, around −0.2, that the data nearly never have.

# %% [markdown]
# ### Exercise 1.3: the denoised estimate
#
# *Difficulty ●○○, 3 minutes.* Write Eq. 6 for a batch of clips with a timestep each.


# %%
def denoised(noisy, prediction, timestep, alphas_cumprod):
    """x̂_0(t), the noise predicted being `prediction`."""
    ...


check("tweedie", denoised)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Undo exercise 1.1 in reverse order: first the noise, then the factor of the clip.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def denoised(noisy, prediction, timestep, alphas_cumprod):
#     level = alphas_cumprod[timestep].view(-1, 1, 1, 1, 1)
#     return (noisy - (1 - level).sqrt() * prediction) / level.sqrt()
# ```
#
# In the library this is `vmc.diffusion.tweedie`.
#
# </details>

# %% [markdown]
# ## 5. One step back (Eq. 4)
#
# New data come from pure noise, $\mathbf{x}_T \sim \mathcal{N}(0, I)$, by undoing the chain. Given
# $\mathbf{x}_t$ and $\mathbf{x}_0$, the step before is normal again; put $\hat{\mathbf{x}}_0(t)$ in
# the place of $\mathbf{x}_0$, collect terms, and you have *ancestral sampling* (DDPM):
#
# $$\mathbf{x}_{t-1} = \frac{1}{\sqrt{\alpha_t}}\left(\mathbf{x}_t - \frac{1 - \alpha_t}{\sqrt{1 -
# \bar\alpha_t}}\, \epsilon_\theta(\mathbf{x}_t, t)\right) + \sqrt{\tilde\beta_t}\,
# \boldsymbol\epsilon, \qquad \tilde\beta_t = \frac{1 - \bar\alpha_{t-1}}{1 - \bar\alpha_t}\beta_t
# \tag{4}$$
#
# From 20,000 numbers of pure noise, with the best possible prediction:

# %%
from vmc.diffusion import ddpm_step


def best_prediction(x, t):
    return -(1 - levels[t]).sqrt() * mixture.noised(levels[t]).score(x)


start = torch.randn(20_000, generator=generator)

# %%
samples = start
for t in reversed(range(1000)):
    noise = torch.randn(samples.shape, generator=generator)
    samples = ddpm_step(samples, best_prediction(samples, t), t, levels, noise)

# %% [markdown]
# **A misprint.** The paper prints $\tilde\beta_t \boldsymbol\epsilon$, without the root. That looks
# harmless: $\tilde\beta_t$ is small, and its root a little less so. What will it do to the samples?

# %%
misprinted = start
for t in reversed(range(1, 1000)):
    variance = (1 - levels[t - 1]) / (1 - levels[t]) * betas[t]
    noise = variance.sqrt() * torch.randn(start.shape, generator=generator)  # β̃ ε = √β̃ · (√β̃ ε)
    misprinted = ddpm_step(misprinted, best_prediction(misprinted, t), t, levels, noise)


# %%
def share_below(samples):
    return torch.searchsorted(samples.sort().values, x) / len(samples)


data = mixture.sample(20_000, generator)
results = {"the data": data, "Eq. 4": samples, "Eq. 4 as printed": misprinted}
lines = {name: (x, share_below(drawn)) for name, drawn in results.items()}
alt = "samples of Eq. 4 lie as the data do, in two groups; as printed they all fall on one point"
curves(lines, ("x", "share of samples below x"), alt)

# %% [markdown]
# With a thousand steps of too little noise every sample ends at nearly the same place. It is the
# noise of the steps that makes samples differ.

# %% [markdown]
# ### Exercise 1.4: the step
#
# *Difficulty ●●○, 7 minutes.* Write Eq. 4. All that you have is `alphas_cumprod`; no step is asked
# for at `timestep = 0`.


# %%
def step_back(noisy, prediction, timestep, alphas_cumprod, noise):
    """x_(t-1); `timestep` is one number, `noise` the fresh ε."""
    ...


check("ddpm_step", step_back)

# %% [markdown]
# <details><summary>Hint</summary>
#
# $\alpha_t = \bar\alpha_t / \bar\alpha_{t-1}$, and $\beta_t = 1 - \alpha_t$.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def step_back(noisy, prediction, timestep, alphas_cumprod, noise):
#     level, before = alphas_cumprod[timestep], alphas_cumprod[timestep - 1]
#     alpha = level / before
#     mean = (noisy - (1 - alpha) / (1 - level).sqrt() * prediction) / alpha.sqrt()
#     variance = (1 - before) / (1 - level) * (1 - alpha)
#     return mean + variance.sqrt() * noise
# ```
#
# </details>

# %% [markdown]
# ## 6. Fewer steps, less chance (Eq. 5)
#
# A thousand network calls for one clip are many. DDIM takes longer strides: go to
# $\hat{\mathbf{x}}_0(t)$, and put noise back, as much as an earlier timestep should have. Part of
# that noise is the predicted one, and a part that $\eta$ decides is fresh:
#
# $$\mathbf{x}_{t-1} = \sqrt{\bar\alpha_{t-1}}\, \hat{\mathbf{x}}_0(t) +
# \sqrt{1 - \bar\alpha_{t-1} - \eta^2 \tilde\beta_t}\ \epsilon_\theta(\mathbf{x}_t, t) +
# \eta \sqrt{\tilde\beta_t}\, \boldsymbol\epsilon \tag{5}$$
#
# (Printed with $\tilde\beta_t$ and $\tilde\beta_t^2$: the root is missing again.) With $\eta = 1$
# this is Eq. 4; with $\eta = 0$ nothing is random but the start. "$t - 1$" may be any earlier
# timestep.

# %%
# NBVAL_CHECK_OUTPUT
from vmc.diffusion import ddim_step

noisy, prediction, noise = torch.randn(3, 1000, generator=generator, dtype=torch.float64)
ddim = ddim_step(noisy, prediction, 500, levels, eta=1.0, noise=noise)
ddpm = ddpm_step(noisy, prediction, 500, levels, noise)
print("with η = 1, Eq. 5 is Eq. 4:", torch.allclose(ddim, ddpm, rtol=0, atol=1e-6))

# %% [markdown]
# How many steps does the mixture need? Distances between samples and data, in units of $x$ (sort
# both and take the mean difference); drawing the data twice gives the floor:


# %%
def distance(samples):
    return (samples.sort().values - mixture.sample(20_000, generator).sort().values).abs().mean()


def sample(steps, eta):
    x, timesteps = start, torch.linspace(999, 0, steps).long().tolist()
    for t, previous in zip(timesteps, [*timesteps[1:], -1], strict=True):
        noise = torch.randn(x.shape, generator=generator)
        x = ddim_step(x, best_prediction(x, t), t, levels, eta, noise, previous)
    return x


# %%
rows = [[n, *(distance(sample(n, eta)).item() for eta in (0.0, 1.0))] for n in (5, 10, 20, 50, 200)]
rows.append(["the data again", *(distance(mixture.sample(20_000, generator)).item(),) * 2])
table(["steps", "η = 0", "η = 1"], rows)

# %% [markdown]
# With few steps the deterministic sampler is the better one. It also gives each noise one result,
# and therefore can be run *backwards*, from a clip to its noise: the inversion of VMC ([notebook
# 05](05_inference.ipynb)).

# %% [markdown]
# ### A clip out of noise
#
# Now the real model, 25 steps with $\eta = 0$. Pixels are known to lie in [−1, 1], so each
# $\hat{\mathbf{x}}_0(t)$ is clamped to that before it is used, and the noise that goes with it is
# worked out from Eq. 1b.

# %%
from vmc.diffusion import noise_from_clean

timesteps = list(range(960, -1, -40))
x, noisy_frames, clean_frames = torch.randn((1, *clip.shape), generator=generator), [], []
for t, previous in zip(timesteps, [*timesteps[1:], -1], strict=True):
    clean = tweedie(x, predict(x, t), t, levels).clamp(-1, 1)
    x = ddim_step(x, noise_from_clean(x, clean, t, levels), t, levels, previous=previous)
    noisy_frames.append(x[0, :, 3].clamp(-1, 1))
    clean_frames.append(clean[0, :, 3])

# %%
steps = [torch.stack(frames[::3], dim=1) for frames in (noisy_frames, clean_frames)]
alt = "over 25 steps: a frame of the noisy clip; below, what it is taken for"
show(*steps, labels=["x_t, one frame", "what it is taken for"], height=160, alt=alt)

# %%
show(x[0].clamp(-1, 1), labels=[f"made from noise: {scene.caption()}"], height=160)

# %% [markdown]
# Follow $\hat{\mathbf{x}}_0(t)$ from left to right: where do the colours of the place appear, when
# the subject, when its outline? Compare with section 1: is what the noise buried last found first?

# %% [markdown]
# ## 7. Words (Eq. 7)
#
# The caption went in as `text` all along. Training does not change, the network is only told $c$
# too:
#
# $$\min_\theta \mathbb{E}\left[\left\| \epsilon_\theta(\mathbf{x}_t, t, c) - \boldsymbol\epsilon
# \right\|^2\right] \tag{7}$$
#
# In a part of the training the caption is left empty (∅), so the network also knows how to predict
# without one. The difference of both predictions is what the words contribute, and *classifier-free
# guidance* enlarges it by a scale $s$:
#
# $$\hat{\boldsymbol\epsilon} = \epsilon_\theta(\mathbf{x}_t, t, \varnothing) + s\,\left(
# \epsilon_\theta(\mathbf{x}_t, t, c) - \epsilon_\theta(\mathbf{x}_t, t, \varnothing)\right)$$
#
# The paper uses it without writing it down. **Predict**: from one and the same noise, what will
# $s = 0$, 1, 4 and 15 give for "a blue star is moving on the snow"?

# %%
prompt, results = "a blue star is moving on the snow", {}
with progress() as on_step:
    for scale in (0.0, 1.0, 4.0, 15.0):
        made = cascade.generate(prompt, guidance_scale=scale, until="keyframes", on_step=on_step)
        results[f"s = {scale:g}"] = made.keyframes

# %% [markdown]
# (`generate` samples as in section 6, with a solver that needs fewer steps for the same accuracy.)

# %%
alt = f"{prompt}, with growing guidance"
show(*results.values(), labels=list(results), alt=alt)

# %% [markdown]
# With $s = 0$ the words are not heard, so what appears is whatever the noise suggests. Compare how
# well place, colour and subject follow the prompt with $s = 1$ and $s = 4$, and what becomes of
# colours and edges at $s = 15$.

# %% [markdown]
# ### Exercise 1.5: guidance
#
# *Difficulty ●○○, 3 minutes.* Write the formula above.


# %%
def guide(unconditional, conditional, scale):
    """ε̂ from ε_θ(x_t, t, ∅) and ε_θ(x_t, t, c)."""
    ...


check("guided", guide)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Test yourself: with a scale of 0 the words must have no influence, and with 1 there is no
# guidance.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def guide(unconditional, conditional, scale):
#     return unconditional + scale * (conditional - unconditional)
# ```
#
# Papers differ: some write $(1 + w)\,\epsilon_\theta(c) - w\,\epsilon_\theta(\varnothing)$, which
# is the same with $w = s - 1$.
#
# </details>

# %% [markdown]
# ## What to keep
#
# | symbol | meaning | in code |
# |---|---|---|
# | $\mathbf{x}_0$, $\mathbf{x}_t$ | a clip, and with the noise of timestep $t$ | `clean`, `noisy` |
# | $\beta_t$, $\alpha_t = 1 - \beta_t$ | variance that step $t$ adds, what it keeps | |
# | $\bar\alpha_t$ | what is kept from the start to $t$ | `alphas_cumprod[t]` |
# | $\boldsymbol\epsilon$, $\epsilon_\theta$ | noise, its prediction | `noise`, `noise_prediction` |
# | $\hat{\mathbf{x}}_0(t)$ | mean of what may be under the noise | `tweedie(…)` |
# | $\eta$ | how much of a DDIM step is fresh noise | `eta` |
#
# A prediction of the noise is all that one needs: it is the score (Eq. 3), the clean clip (Eq. 6)
# and a step back (Eqs. 4, 5). VMC will train a network by comparing noises, and by this table that
# is the same as comparing clips. So far a clip was one large picture; [the next
# notebook](02_video_diffusion.ipynb) asks how a network makes its frames belong together.
