# %% [markdown]
# # Motion vectors: the loss that sees what moves, and not what stands still
#
# <!-- links -->
# <!-- /links -->
#
# **What you'll do.** Take the difference of two frames, follow it through the noise and back, and
# build from it the loss that VMC tunes with. Then find out what that loss cannot see, and what the
# loss of the published code cannot see.
#
# **What you'll learn.** Equations 9–17 of the paper, each with a proof or a number: the law of
# noisy motion vectors, their denoised estimate, why comparing motions is comparing noises, and why
# the paper compares directions and not lengths.
#
# **What you'll need.** [Notebook 01](01_diffusion.ipynb), or some familiarity with Eqs. 1 and 6
# (noise, and the estimate of what is under it). Four exercises, about 20 minutes.
#
# | machine | minutes | peak memory |
# |---|---|---|
# | 2 CPU cores | 0.4 | 0.90 GB |

# %%
import torch

import vmc
from vmc.sprites import Scene
from vmc.widgets import curves, explore_motion, show, table

base = vmc.Cascade.from_pretrained("tiny").base
levels = base.alphas_cumprod  # ᾱ_t

# %% [markdown]
# ## 1. What moves (Eq. 9)
#
# The paper calls the difference of two frames, $c$ apart, a *motion vector*:
#
# $$\delta\mathbf{v}^n = \mathbf{v}^{n+c} - \mathbf{v}^n \tag{9}$$
#
# One vector holds all pixels and channels of a frame pair; for a keyframe these are
# $3 \cdot 40 \cdot 64 = 7680$ numbers. **Predict**: what will be left of the road and the grass of
# this clip?

# %%
from vmc.motion import frame_residual

scene = Scene("ball", "red", "on the road", motion="zigzag")
clip = scene.render()
motion = frame_residual(clip)
labels = [scene.caption(), "differences of neighbouring frames"]
show(clip, motion / 2, labels=labels, height=160, alt="a zigzagging ball; its differences on grey")

# %% [markdown]
# Grey is zero. What stands still has cancelled, and each difference holds the ball twice: where it
# arrives, and where it left. Eight frames have seven differences.

# %%
# NBVAL_CHECK_OUTPUT
tuple(clip.shape), tuple(motion.shape)

# %% [markdown]
# The paper always takes $c = 1$. A larger stride sees longer ways, in fewer pairs:

# %%
strides = {f"c = {c}": frame_residual(clip, c) / 2 for c in (1, 2, 4)}
show(*strides.values(), labels=list(strides), alt="differences of frames 1, 2 and 4 apart")

# %% [markdown]
# ### Exercise 3.1: the motion vector
#
# *Difficulty ●○○, 3 minutes.* Write Eq. 9 for a batch `(batch, channel, frame, height, width)`.

# %%
from vmc.exercises import check


def residual(video, stride):
    """(batch, channel, frame - stride, height, width)"""
    ...


check("frame_residual", residual)

# %% [markdown]
# <details><summary>Hint</summary>
#
# All frames but the first `stride`, minus all but the last `stride`. Which axis is that?
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def residual(video, stride):
#     return video[:, :, stride:] - video[:, :, :-stride]
# ```
#
# In the library this is `vmc.motion.frame_residual`.
#
# </details>

# %% [markdown]
# ## 2. The same in noise (Eqs. 10, 11)
#
# A network sees noisy frames, $\mathbf{v}_t^n = \sqrt{\bar\alpha_t}\, \mathbf{v}_0^n + \sqrt{1 -
# \bar\alpha_t}\, \boldsymbol\epsilon_t^n$, each frame with noise of its own. Subtract two of them:
#
# $$\delta\mathbf{v}_t^n = \sqrt{\bar\alpha_t}\, \delta\mathbf{v}_0^n + \sqrt{1 - \bar\alpha_t}\,
# \delta\boldsymbol\epsilon_t^n \tag{10}$$
#
# The difference of two independent standard normal numbers has variance 2, so
#
# $$p(\delta\mathbf{v}_t^n \mid \delta\mathbf{v}_0^n) = \mathcal{N}\left(\delta\mathbf{v}_t^n \mid
# \sqrt{\bar\alpha_t}\, \delta\mathbf{v}_0^n,\ 2 (1 - \bar\alpha_t) I\right). \tag{11}$$
#
# Is it true? Noise the clip 200 times, and look at mean and variance of the differences:

# %%
from vmc.diffusion import add_noise

generator = torch.Generator().manual_seed(0)
rows = []
for t in (100, 400, 700, 950):
    noise = torch.randn((200, *clip.shape), generator=generator)
    noisy = frame_residual(add_noise(clip.expand_as(noise), noise, t, levels))
    away = noisy.mean(0) - levels[t].sqrt() * motion
    rows.append([t, away.square().mean().sqrt().item(), noisy.var(0).mean().item()])
    rows[-1].append(2 * (1 - levels[t]).item())
table(["t", "mean, off by", "variance", "Eq. 11 says"], rows)

# %% [markdown]
# The mean of 200 draws is off by what chance allows, $\sqrt{2 (1 - \bar\alpha_t) / 200}$, at most
# 0.1. The variance is as predicted.
#
# One thing Eq. 11 does not say: it holds for each $n$ alone. Neighbouring differences share a
# frame, which enters one with a plus and the next with a minus. **Predict** their correlation
# before you run this:

# %%
# NBVAL_CHECK_OUTPUT
difference = frame_residual(torch.randn((200, *clip.shape), generator=generator))
one, next_one = difference[:, :, :-1].flatten(), difference[:, :, 1:].flatten()
print(f"{torch.corrcoef(torch.stack([one, next_one]))[0, 1]:.2f}")

# %% [markdown]
# And one thing it needs: the noise of each frame must be its own. If all frames shared one noise,
# $\delta\boldsymbol\epsilon$ would be zero, and there would be nothing to learn from.

# %% [markdown]
# ## 3. The estimate (Eqs. 12–14)
#
# Tweedie's formula (Eq. 6), for the frames of a video:
#
# $$\hat{\mathbf{v}}_0^{1:N}(t) = \frac{1}{\sqrt{\bar\alpha_t}}\left(\mathbf{v}_t^{1:N} - \sqrt{1 -
# \bar\alpha_t}\, \epsilon_\theta(\mathbf{v}_t^{1:N}, t)\right) \tag{12}$$
#
# It is linear in the noisy video and in the predicted noise. So the difference of two estimated
# frames needs only differences:
#
# $$\widehat{\delta\mathbf{v}}_0^n(t) = \frac{1}{\sqrt{\bar\alpha_t}}\left(\delta\mathbf{v}_t^n -
# \sqrt{1 - \bar\alpha_t}\, \delta\boldsymbol\epsilon_{\theta,t}^n\right) \tag{13}$$
#
# and with the true noise in the place of the predicted it is no estimate but Eq. 10, solved for the
# true motion vector:
#
# $$\delta\mathbf{v}_0^n = \frac{1}{\sqrt{\bar\alpha_t}}\left(\delta\mathbf{v}_t^n - \sqrt{1 -
# \bar\alpha_t}\, \delta\boldsymbol\epsilon_t^n\right) \tag{14}$$

# %%
from vmc.prompts import appearance_invariant

text = base.encode_text([appearance_invariant(scene.caption())])


@torch.no_grad()
def predict(noisy, timestep):
    """ε_θ(v_t, t), told no more than "a ball is moving"."""
    return base.predict_noise(noisy, timestep, text.expand(len(noisy), -1, -1))


# %%
# NBVAL_CHECK_OUTPUT
from vmc.diffusion import tweedie
from vmc.motion import motion_estimate

noise = torch.randn((1, *clip.shape), generator=generator)
noisy = add_noise(clip[None], noise, 500, levels)
predicted = predict(noisy, 500)
estimate = motion_estimate(noisy, predicted, 500, levels)
of_estimates = frame_residual(tweedie(noisy, predicted, 500, levels))
print("Eq. 13 is the difference of Eq. 12:", torch.allclose(estimate, of_estimates, atol=1e-5))
exact = motion_estimate(noisy, noise, 500, levels)
print("Eq. 14 is the true motion vector:", torch.allclose(exact[0], motion, atol=1e-5))

# %% [markdown]
# **Predict.** With growing $t$ the difference drowns in noise (upper of the lower rows below). Up
# to which $t$ will the untuned model, told only "a ball is moving", still find the ball twice?

# %%
explore_motion(clip, levels, predict=predict, timestep=500)

# %% [markdown]
# Where the estimate is blurred or wrong the model does not know how *this* clip moves. Some blur is
# unavoidable (notebook 01, section 4); tuning aims at the rest.

# %% [markdown]
# ### Exercise 3.2: the estimated motion vector
#
# *Difficulty ●●○, 5 minutes.* Write Eq. 13 for a batch, with a timestep for each video and $c = 1$.


# %%
def estimated_motion(noisy, prediction, timestep, alphas_cumprod):
    """(batch, channel, frame - 1, height, width)"""
    ...


check("motion_estimate", estimated_motion)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Take the differences first, of both. What remains is exercise 1.3.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def estimated_motion(noisy, prediction, timestep, alphas_cumprod):
#     level = alphas_cumprod[timestep].view(-1, 1, 1, 1, 1)
#     residual, predicted = frame_residual(noisy), frame_residual(prediction)
#     return (residual - (1 - level).sqrt() * predicted) / level.sqrt()
# ```
#
# In the library this is `vmc.motion.motion_estimate`.
#
# </details>

# %% [markdown]
# ## 4. Comparing motions is comparing noises (Eqs. 15, 16)
#
# The network is to be tuned until its estimates agree with the true motion vectors:
#
# $$\min_\theta \mathbb{E}\left[\ell_\text{align}\left(\delta\mathbf{v}_0^n,\,
# \widehat{\delta\mathbf{v}}_0^n(t)\right)\right] \tag{15}$$
#
# Subtract Eq. 13 from Eq. 14. The noisy differences are the same in both and cancel:
#
# $$\delta\mathbf{v}_0^n - \widehat{\delta\mathbf{v}}_0^n(t) = -\sqrt{\frac{1 -
# \bar\alpha_t}{\bar\alpha_t}} \left(\delta\boldsymbol\epsilon_t^n -
# \delta\boldsymbol\epsilon_{\theta,t}^n\right)$$
#
# and square:
#
# $$\left\|\delta\mathbf{v}_0^n - \widehat{\delta\mathbf{v}}_0^n(t)\right\|^2 = \frac{1 -
# \bar\alpha_t}{\bar\alpha_t} \left\|\delta\boldsymbol\epsilon_t^n -
# \delta\boldsymbol\epsilon_{\theta,t}^n\right\|^2 \tag{16}$$
#
# That was the proof. To float precision, at four timesteps, for any prediction, such as a random
# one:

# %%
# NBVAL_CHECK_OUTPUT
video = clip[None].double()
true, guess = torch.randn((2, 1, *clip.shape), generator=generator, dtype=torch.float64)
for t in (10, 400, 700, 990):
    level = levels[t].double()
    noisy = add_noise(video, true, t, levels.double())
    in_pixels = frame_residual(video) - motion_estimate(noisy, guess, t, levels.double())
    in_noise = frame_residual(true) - frame_residual(guess)
    ratio = in_pixels.square().sum() / in_noise.square().sum() / ((1 - level) / level)
    print(f"t = {t}: left side / right side = {ratio:.12f}")

# %% [markdown]
# So nobody needs to denoise: compare the noises' differences. What distinguishes the two sides is a
# factor that depends on $t$ alone. **Predict** its range before you look.

# %%
t = torch.arange(1, 999)
factor = (1 - levels[t]) / levels[t]
alt = "the factor rises from less than a thousandth to more than a hundred thousand"
curves({"(1 − ᾱ) / ᾱ": (t, factor)}, ("timestep t", "factor of Eq. 16"), alt, scale="log")

# %% [markdown]
# With the factor, a few steps at the highest $t$, where the clip can only be guessed, would
# outweigh all others. The paper's losses leave it away and compare noises: Eq. 16 without its
# factor is the loss `"l2"`.

# %% [markdown]
# ## 5. Directions, not lengths (Eq. 17)
#
# The paper's choice is the cosine, one for each frame pair:
#
# $$\min_\theta \mathbb{E}\left[\ell_{\cos}(\delta\boldsymbol\epsilon_t^n,\,
# \delta\boldsymbol\epsilon_{\theta,t}^n)\right], \qquad \ell_{\cos}(\mathbf{x}, \mathbf{y}) = 1 -
# \frac{\langle \mathbf{x}, \mathbf{y} \rangle}{\|\mathbf{x}\| \|\mathbf{y}\|} \tag{17}$$
#
# What is the difference to $\ell_2$? Take a perfect prediction and make it too short or too long:

# %%
from vmc.motion import alignment_loss

scales = torch.linspace(0.05, 2, 40)
lines = {
    name: (scales, [alignment_loss(scale * noise, noise, kind).item() for scale in scales])
    for name, kind in (("ℓ2, Eq. 16 without its factor", "l2"), ("cosine, Eq. 17", "cosine"))
}
alt = "the cosine loss is zero at every scale; the square falls to zero at 1 and rises again"
curves(lines, ("length of the prediction / true length", "loss"), alt)

# %% [markdown]
# The cosine forgives every length. That matters because the best prediction under a square is too
# short wherever it is unsure: it hedges towards the mean. Ours may err to the other side as well,
# since its $\epsilon_\theta$ is computed from an estimate of the clip, whose errors are multiplied
# at small $t$ (notebook 01, section 2). How long are our model's?

# %%
timesteps = [5, 15, 30, 60, 100, 200, 300, 450, 600, 750, 900, 980]
measured = {"length": [], "l2": [], "cosine": []}
for t in timesteps:
    noise = torch.randn((4, *clip.shape), generator=generator)
    predicted = predict(add_noise(clip.expand_as(noise), noise, t, levels), t)
    lengths = [frame_residual(x).norm().item() for x in (predicted, noise)]
    measured["length"].append(lengths[0] / lengths[1])
    for kind in ("l2", "cosine"):
        measured[kind].append(alignment_loss(predicted, noise, kind).item())

# %%
lines = {
    "untuned model": (timesteps, measured["length"]),
    "the true length": (timesteps, [1] * len(timesteps)),
}
alt = "over t: the length of the predicted noise differences as a share of the true one"
curves(lines, ("timestep t", "length, predicted / true"), alt)

# %%
names = {"l2": "ℓ2", "cosine": "cosine"}
lines = {name: (timesteps, measured[kind]) for kind, name in names.items()}
alt = "over t, on a logarithmic axis: both losses of the untuned model"
curves(lines, ("timestep t", "untuned model's loss"), alt, scale="log")

# %% [markdown]
# Where the length is below 1 the squared loss asks for longer predictions, above 1 for shorter
# ones, and the cosine does not care. Read off also where both losses are large, and compare with
# the table in section 2 of notebook 01. (At large $t$ the noise is nearly given, and what can be
# missing is the little that the clip contributes.)

# %% [markdown]
# ### Exercise 3.3: the loss of VMC
#
# *Difficulty ●●●, 8 minutes.* Write Eq. 17 for a batch: one cosine for each frame pair of each
# video, and the mean of them all. ($c = 1$.)


# %%
def cosine_loss(prediction, target):
    """One number, from ε_θ and ε of shape (batch, channel, frame, height, width)."""
    ...


check("cosine_loss", cosine_loss)

# %% [markdown]
# <details><summary>Hint</summary>
#
# In Eq. 17 a vector is $\delta\boldsymbol\epsilon^n \in \mathbb{R}^d$: channel, height and width of
# one pair, laid out as one axis. The frame axis stands between channel and height, so move it
# first.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def cosine_loss(prediction, target):
#     x, y = (
#         frame_residual(noise).transpose(1, 2).flatten(2)  # (batch, pair, channel·height·width)
#         for noise in (prediction, target)
#     )
#     return (1 - torch.cosine_similarity(x, y, dim=2)).mean()
# ```
#
# In the library this is `vmc.motion.alignment_loss(prediction, target)`.
#
# </details>

# %% [markdown]
# ## 6. What no loss of differences can see
#
# Add the same picture to every frame of the predicted noise. In all differences it cancels, so that
# every loss above stays where it is. Any picture will do; ours is what distinguishes two places:

# %%
from vmc.sprites.places import keyframe_backdrop

road, sea = (2 * keyframe_backdrop(place, 0, 40, 64) - 1 for place in (scene.place, "underwater"))
picture = (road - sea)[None, :, None]  # (1, 3, 1, 40, 64): one for all frames

# %%
# NBVAL_CHECK_OUTPUT
noise = torch.randn((1, *clip.shape), generator=generator)
for kind in ("cosine", "l2", "released"):
    print(f"{kind}: {alignment_loss(noise + picture, noise, kind).abs():.4f}")

# %% [markdown]
# What would such a prediction make of the clip? Denoise once with the true noise and once with the
# picture added to it. **Predict** what you will see. (At $t = 493$ there is as much noise as clip,
# so that the picture is subtracted once.)

# %%
noisy = add_noise(clip[None], noise, 493, levels)
seen = tweedie(noisy, noise, 493, levels)[0]
shifted = tweedie(noisy, noise + picture, 493, levels)[0]
labels = ["from the true noise", "with the picture added to the noise"]
alt = "the ball zigzags over a road, and in the same way under water, in another colour"
show(seen.clamp(-1, 1), shifted.clamp(-1, 1), labels=labels, alt=alt)

# %% [markdown]
# Another place, the same motion. **What stands still is invisible**: a loss that does not see what
# all frames share cannot punish the network for painting it otherwise, and the prompt can go on
# deciding it. It is also a warning: such a loss alone would never *teach* a place. The pretrained
# model must bring it along.
#
# **The mover's colour and outline are not invisible.** They remain in every difference, where it
# arrives and where it left (section 1). So nothing in this loss keeps them from coming along with
# the motion. VMC leaves that to the words it tunes with, and to how few weights it tunes; notebook
# 04 looks at what comes of it.

# %% [markdown]
# ### Exercise 3.4: invisible changes
#
# *Difficulty ●●○, 4 minutes.* Change a noise so that neither the cosine nor $\ell_2$ nor the
# published loss (next section) notices.


# %%
def change(noise):
    """Another tensor of the same shape, (batch, channel, frame, height, width)."""
    ...


check("unseen_change", change)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Whatever is added must be the same for all frames. It may differ from pixel to pixel, from channel
# to channel and from video to video.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def change(noise):
#     return noise + 3 * noise[:, :, :1]
# ```
#
# Anything will do that has size 1 along the frame axis, a number included.
#
# </details>

# %% [markdown]
# ## 7. The published code's loss
#
# The paper's code does not compute Eq. 17. It takes the *absolute values* of both differences, and
# the cosine *along the frames*: for each pixel and channel a vector of seven numbers. Here it is
# called `"released"`. What do the losses say of four predictions?

# %%
# NBVAL_CHECK_OUTPUT
noise, other = torch.randn((2, 16, *clip.shape), generator=generator)
predictions = {
    "perfect": noise,
    "independent noise": other,
    "perfect, sign flipped": -noise,
    "perfect + a picture": noise + picture,
}
rows = [
    [name, *(f"{alignment_loss(x, noise, kind).abs():.2f}" for kind in ("cosine", "released"))]
    for name, x in predictions.items()
]
table(["prediction", "paper, Eq. 17", "published code"], rows)

# %% [markdown]
# Two things stand out.
#
# **It is blind to direction.** A prediction with every sign wrong, the worst that there is for Eq.
# 17, is as good as a perfect one.
#
# **It has less room.** A prediction that knows nothing gets 1.00 by Eq. 17 and only 0.30 by the
# published code, because vectors without negative numbers all point into the same corner. A loss
# value of one form must not be compared with one of the other.

# %% [markdown]
# Why 0.30? For very many frames the cosine of two independent vectors of absolute values tends to
# $\mathbb{E}[|a|]^2 / \mathbb{E}[a^2] = 2/\pi$, a loss of $1 - 2/\pi \approx 0.36$. With few frames
# chance makes them more alike:

# %%
frames, chance = [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64], []
for count in frames:
    one, two = torch.randn((2, 4, 3, count, 20, 32), generator=generator)
    chance.append(alignment_loss(one, two, "released").item())
limit = [1 - 2 / torch.pi] * len(frames)
alt = "the chance level rises from 0 at two frames to 0.36; at eight frames it is 0.30"
lines = {"published code, independent noise": (frames, chance), "1 − 2/π": (frames, limit)}
curves(lines, ("frames in the clip", "loss"), alt)

# %% [markdown]
# Does the blindness matter? Turn a prediction slowly from the true noise (0°) through an
# independent one (90°) to its opposite (180°):

# %%
angles = torch.linspace(0, torch.pi, 37)
turned = [angle.cos() * noise[:2] + angle.sin() * other[:2] for angle in angles]
lines = {
    name: (angles.rad2deg(), [alignment_loss(x, noise[:2], kind).item() for x in turned])
    for name, kind in (("paper, Eq. 17", "cosine"), ("published code", "released"))
}
alt = "Eq. 17 rises all the way from 0 to 2; the published loss rises to 0.3 and falls back to 0"
curves(lines, ("angle between prediction and noise, degrees", "loss"), alt)

# %% [markdown]
# **Predict**, from the slopes: where does training with either loss lead a prediction that starts
# at 30°? And one that starts at 120°?
#
# Left of 90° both lead down to the true noise; right of it the published loss leads to its
# opposite. A pretrained model starts left: section 5 measured a cosine loss below 1 at every $t$,
# if yours says the same. There the published form trains too, only with smaller slopes. It is a
# hazard where the model is wrong about a direction, and a reason to prefer the form that the paper
# writes down.

# %% [markdown]
# ## What to keep
#
# - A motion vector is the difference of two frames; in noise it has mean $\sqrt{\bar\alpha_t}\,
#   \delta\mathbf{v}_0$ and variance $2 (1 - \bar\alpha_t)$ (Eqs. 9–11).
# - Comparing estimated with true motion vectors is comparing differences of noises, up to a factor
#   of $t$ (Eqs. 12–16).
# - The paper compares their directions, pair by pair (Eq. 17).
# - What stands still is invisible to that. The mover's colour and outline are not.
# - The published code computes something else, which cannot tell a difference from its opposite.
#
# [The next notebook](04_finetuning.ipynb) lets this loss change a network.
