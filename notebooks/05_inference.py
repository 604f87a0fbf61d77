# %% [markdown]
# # Inference: from a tuned motion to a finished video
#
# <!-- links -->
# <!-- /links -->
#
# **What you'll do.** Walk a clip into the noise that it could have come from, and back. Start new
# videos from that noise, follow one of them through all stages, turn the motion up and down, and
# then break everything on purpose.
#
# **What you'll learn.** Section 3.3 of the paper ([Jeong et al., CVPR
# 2024](https://arxiv.org/abs/2312.00845)): what DDIM inversion computes, how good it is and why,
# which schedule the published code inverts with, what each stage of the cascade is shown, and how
# to tell from a bad result what went wrong.
#
# **What you'll need.** [Notebook 01](01_diffusion.ipynb) (Eqs. 5 and 6, guidance), and an idea of
# what is tuned, from the [quickstart](00_quickstart.ipynb) or [notebook 04](04_finetuning.ipynb).
# Four exercises, about half an hour in all.
#
# | machine | minutes | peak memory |
# |---|---|---|
# | 2 CPU cores | 2.8 | 1.19 GB |

# %%
from itertools import pairwise

import torch

import vmc
from vmc.diffusion import add_noise, tweedie
from vmc.metrics import trajectory_error
from vmc.motion import frame_residual
from vmc.sprites import Scene, read_out
from vmc.widgets import curves, explore_cascade, explore_inversion, progress, show, table, watch

cascade = vmc.Cascade.from_pretrained("tiny")
base, levels = cascade.base, cascade.base.alphas_cumprod

# %% [markdown]
# ## 1. A motion to work with
#
# A zigzag, which the model was never trained on, and a tuning on it, a third as long as is usual
# for this model:

# %%
scene = Scene("ball", "red", "on the road", motion="zigzag")
clip, truth = scene.render(), scene.centres()
run = vmc.finetune(cascade, clip, "a ball is moving", steps=50, preview_every=25)
watch(run, clip)
adapter = run.adapter

# %% [markdown]
# ## 2. Inversion, step by step (Sec. 3.3)
#
# A DDIM step without chance (Eq. 5 with $\eta = 0$) takes the predicted noise out at one level and
# puts the same noise back in at a lower one. Nothing in that is tied to going down. *Inversion*
# goes up: from a timestep $s$ to the next, noisier one, $t$,
#
# $$\mathbf{x}_t = \sqrt{\bar\alpha_t}\,\hat{\mathbf{x}}_0(s) + \sqrt{1 -
# \bar\alpha_t}\,\boldsymbol\epsilon_\theta, \qquad \hat{\mathbf{x}}_0(s) =
# \frac{\mathbf{x}_s - \sqrt{1 - \bar\alpha_s}\,\boldsymbol\epsilon_\theta}{\sqrt{\bar\alpha_s}} .$$
#
# It starts from the clip and ends in noise that DDIM would turn into the clip again. Would, if
# $\boldsymbol\epsilon_\theta$ were the same on both ways. On the way down it is
# $\boldsymbol\epsilon_\theta(\mathbf{x}_t, t)$. On the way up $\mathbf{x}_t$ is what we are looking
# for, so the present latent has to do: $\boldsymbol\epsilon_\theta(\mathbf{x}_s, t)$. The shorter
# the step, the smaller the mistake.

# %% [markdown]
# ### Exercise 5.1: a step up
#
# *Difficulty ●●○, 6 minutes.* The prediction is given; make the step.

# %%
from vmc.exercises import check


def inversion_step(latent, prediction, timestep, following, alphas_cumprod):
    """From `timestep` to the noisier `following`, with the same predicted noise."""
    ...


check("inversion_step", inversion_step)

# %% [markdown]
# <details><summary>Hint</summary>
#
# First Eq. 6 at the present timestep, then Eq. 1b at the following one, with the predicted noise in
# place of fresh noise. Two functions of `vmc.diffusion` are all it takes.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def inversion_step(latent, prediction, timestep, following, alphas_cumprod):
#     clean = tweedie(latent, prediction, timestep, alphas_cumprod)
#     return add_noise(clean, prediction, following, alphas_cumprod)
# ```
#
# </details>

# %% [markdown]
# The whole way, in 25 steps, with no words and no guidance, as in the published code. The paper
# itself says no more than "DDIM inversion for 75 steps".

# %%
timesteps = range(0, 1000, 1000 // 25)
nothing = base.encode_text([""])
latents = [clip[None]]
for s, t in pairwise(timesteps):
    e = base.predict_noise(latents[-1], t, nothing)
    latents.append(add_noise(tweedie(latents[-1], e, s, levels), e, t, levels))

# %% [markdown]
# **Predict:** what will still be visible of the clip after the last step? And what would be, had we
# added random noise up to the same timestep?

# %%
explore_inversion(latents, list(timesteps))

# %%
fresh = torch.randn(clip.shape, generator=torch.Generator().manual_seed(1))[None]
by_chance = add_noise(clip[None], fresh, timesteps[-1], levels)
alt = "the last latent of the inversion, and the clip noised at random to the same timestep"
both = [(x[0] / 3).clamp(-1, 1) for x in (latents[-1], by_chance)]
show(*both, labels=["inverted", "noised at random"], height=160, alt=alt)

# %% [markdown]
# `vmc.invert` is this loop (what `start=0` says comes in section 3):

# %%
noises = {25: vmc.invert(cascade, clip, steps=25, start=0)}
print(f"largest difference: {(noises[25] - latents[-1]).abs().max().item():.1e}")

# %% [markdown]
# ## 3. The way back, and how far it misses
#
# The test of an inversion is to sample from it with the same steps and look at what returns. Its
# error is the root of the mean square over all pixels, whose values run from −1 to 1. How should it
# depend on the number of steps?

# %%
from vmc.reconstruction import reconstruct, reconstruction_error

noises |= {n: vmc.invert(cascade, clip, n, start=0) for n in (5, 10)}
numbers = sorted(noises)
returned = {n: reconstruct(cascade, noises[n], n) for n in numbers}
errors = {n: reconstruction_error(returned[n], clip) for n in numbers}

# %%
halving = [errors[5] * 5 / n for n in numbers]
alt = "the error of the way back over the number of steps, and a line for halving at every doubling"
series = {"the way back": (numbers, list(errors.values())), "∝ 1 / steps": (numbers, halving)}
curves(series, ("inversion steps", "reconstruction error"), alt)

# %% [markdown]
# Each single step errs by the square of its length, and there are as many as they are short: in sum
# the error is in proportion to the length, at least where steps are short enough. That is the thin
# curve. It holds for short steps and a network that changes smoothly. The thick one is ours: read
# off how far it stays above, and whether it falls at all.
#
# Numbers are stricter than the eye, to which all of these may look alike:

# %%
show(clip, *(returned[n].clamp(-1, 1) for n in (5, 25)), labels=["the clip", "5 steps", "25 steps"])

# %% [markdown]
# That it leads back is one thing. The other is whether it is *noise*. A sampler expects numbers of
# standard deviation 1 that know nothing of the clip. Both can be measured, the second as the cosine
# between the noise and the clip, which is near 0 for random noise:


# %%
def as_noise(latent):
    alike = torch.cosine_similarity(latent.flatten(), (clip - clip.mean()).flatten(), dim=0)
    return [latent.std().item(), alike.item()]


rows = [[f"{n} steps", errors[n], *as_noise(noises[n])] for n in numbers]
rows.append(["random noise", "", *as_noise(fresh)])
table(["", "reconstruction error", "standard deviation", "cosine with the clip"], rows)

# %% [markdown]
# The higher the cosine, the more a latent carries over from the clip. That is its use, since the
# layout of the motion comes along; and its danger, since looks may come along with it.
# Note also where the last step ends: at $T - T/n$. With few steps that is far below the timestep
# from which sampling sets out.
#
# ### A little noise first
#
# Where it falls short of noise even with many steps, this is a known reason: at the smallest
# timesteps a network is shown a clip without any noise in it, finds next to none where the picture
# is smooth, and puts back what it found. What is missing then stays missing on the whole way up
# ([Staniszewski et al. 2024](https://arxiv.org/abs/2410.23530)). A cure is to begin with a little
# noise by chance, up to `start` (Eq. 1), and to invert from there on. The paper and its code begin
# at 0.

# %%
started = {t: vmc.invert(cascade, clip, 10, start=t) for t in (100, 300)}
rows = [["from t = 0", errors[10], *as_noise(noises[10])]]
for start, noise in started.items():
    error = reconstruction_error(reconstruct(cascade, noise, 10), clip)
    rows.append([f"from t = {start}", error, *as_noise(noise)])
table(["10 steps", "reconstruction error", "standard deviation", "cosine with the clip"], rows)

# %% [markdown]
# Read down each column. Is the deviation nearer to 1, and the cosine to 0, the later we start? The
# error of the way back tells what that costs. From here on we begin at 0, as the paper does.

# %% [markdown]
# ## 4. The published code inverts on another schedule
#
# Show-1's U-Net was trained with a squared-cosine schedule. The published VMC code builds its
# inversion from a file that describes Stable Diffusion's: $\beta$ scaled-linear from 0.00085 to
# 0.012. Two curves of $\sqrt{\bar\alpha_t}$, the share of the clip in $\mathbf{x}_t$:

# %%
betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
theirs = (1 - betas).cumprod(0)
t = range(1000)
alt = "the share of the clip over t falls on both schedules, at different timesteps"
series = {"the network's own": (t, levels.sqrt()), "the published inversion's": (t, theirs.sqrt())}
curves(series, ("timestep t", "share of the clip"), alt)

# %% [markdown]
# So at a given $t$ the latent holds noise of one level, and the network is told, by $t$, that it is
# of another.

# %% [markdown]
# ### Exercise 5.2: the same level on another schedule
#
# *Difficulty ●○○, 5 minutes.* A latent has arrived at `timestep` on *their* schedule. At which
# timestep of *ours* is there as much noise? Take the one whose $\bar\alpha$ is nearest.


# %%
def same_level(timestep, theirs, ours):
    """The timestep, a whole number, at which ours is nearest to theirs at `timestep`."""
    ...


check("same_level", same_level)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `argmin` of an absolute difference, and `.item()` to make it a number.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def same_level(timestep, theirs, ours):
#     return (ours - theirs[timestep]).abs().argmin().item()
# ```
#
# </details>

# %%
# NBVAL_CHECK_OUTPUT
last = 963  # of 75 steps, 13 apart and beginning at 1
nearest = (levels - theirs[last]).abs().argmin().item()
print(f"ᾱ at t = {last}: {theirs[last]:.5f} on theirs, {levels[last]:.5f} on the network's own,")
print(f"where {theirs[last]:.5f} belongs to t = {nearest}")
print(f"sampling begins at t = 995, and expects √ᾱ = {levels[995].sqrt():.4f}")
print(f"the latent was left with √ᾱ = {theirs[last].sqrt():.4f}", end=", ")
print(f"and would have been with {levels[last].sqrt():.4f} on the network's own")

# %% [markdown]
# By the book, a latent that was inverted so holds fourteen times more of the clip than the sampler
# assumes. But a factor of nine is there on the network's own schedule too, from ending at $t = 963$
# instead of 995. The other schedule contributes no more than a factor of 1.5 to that. What it does
# on the way up may be worse: there the network was asked at the wrong level throughout, so that
# nothing says that the latent holds what the book says. `schedule="released"` does the same, for
# study:

# %%
mismatched = vmc.invert(cascade, clip, 25, schedule="released", start=0)
spoilt = reconstruct(cascade, mismatched, 25)
rows = [["its own", errors[25], *as_noise(noises[25])]]
rows.append(["released", reconstruction_error(spoilt, clip), *as_noise(mismatched)])
table(["schedule", "reconstruction error", "standard deviation", "cosine with the clip"], rows)

# %%
labels = ["the clip", "back, own schedule", "back, released schedule"]
show(clip, returned[25].clamp(-1, 1), spoilt.clamp(-1, 1), labels=labels)

# %% [markdown]
# Look at the deviation first. A sampler expects 1, and a latent far from that is none that the
# network was ever trained on, whatever its cosine with the clip, which knows nothing of size. Then
# compare the errors and the pictures: where does the way back lose the clip? More steps are no
# cure, because it is not the length of the steps that is wrong. We invert on the network's own
# schedule.

# %% [markdown]
# ## 5. A video, stage by stage (Fig. 2)
#
# The tuned network draws keyframes for other words, from the noise that the clip came from. Which
# network is to find that noise, the paper does not say: in the published code the tuned one does,
# here the untuned one, for a reason that section 6 measures. (The sampler is not the one that was
# turned round: it is DPM-Solver++ with guidance and thresholding, again as in the published code.
# So the noise would lead back to the clip only roughly. With other words it is meant to lead
# elsewhere anyway.)

# %%
with progress() as on_step:
    inverted = vmc.invert(cascade, clip, on_step=on_step)

# %%
prompt = "a blue star is moving on the snow"
with progress() as on_step:
    full = cascade.generate(prompt, adapter, inverted, on_step=on_step)

# %%
seen = read_out(full.keyframes)
show(clip, full.keyframes, labels=["the clip", prompt], paths=[[truth], [truth, seen.centres]])
print(f"{trajectory_error(seen.centres, truth):.3f} of the diagonal off; {seen.colour}", end=" ")
print(f"{seen.subject} {seen.place}")

# %% [markdown]
# White is the clip's path, yellow the one that a tracker sees. Now the frames in between. The
# interpolation network is shown two neighbouring keyframes, blended linearly into each other over
# five frames, and a mask that says which of these are given. Here is what went in and what came
# out, between the two keyframes that differ most:

# %%
from vmc.stages import between_keyframes

n = frame_residual(full.keyframes).abs().mean((0, 2, 3)).argmax().item()
given = between_keyframes(full.keyframes[None, :, n : n + 2])[0, :3]
labels = [f"keyframes {n + 1} to {n + 2}, as shown to interpolation", "what it makes of it"]
show(given, full.interpolated[:, 4 * n : 4 * n + 5], labels=labels, height=160)

# %% [markdown]
# A blend shows things twice, half transparent, where a video would show them once, on their way.
# Look for that in both rows.

# %% [markdown]
# ### Exercise 5.3: 29 frames
#
# *Difficulty ●●○, 5 minutes.* Seven windows of five frames, where each ends with the keyframe that
# the next begins with. Put them together.


# %%
def joined(windows):
    """(window, 3, 5, height, width) → (3, frame, height, width), no frame twice."""
    ...


check("joined", joined)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Four frames of each window, and the last frame of the last one: 7 · 4 + 1 = 29.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def joined(windows):
#     parts = [window[:, :-1] for window in windows]
#     return torch.cat([*parts, windows[-1][:, -1:]], dim=1)
# ```
#
# </details>

# %% [markdown]
# Last, two times larger. A super-resolution network is shown the small frames, enlarged and
# slightly noised so that it does not copy their blemishes, and one sharp frame: the last one of the
# window before, from which looks are taken on. All four stages below one another:

# %%
explore_cascade(full)

# %%
show(full.interpolated, full.video, labels=["interpolated", "video"], height=160, fps=7.5)

# %% [markdown]
# The motion was settled in the first row. The stages below it were never tuned, and do not know
# that there was a clip.

# %% [markdown]
# ## 6. Motion strength
#
# An adapter holds the tuned weights $W_1$. Between them and the model's own, $W_0$, and beyond, is
# a whole line:
#
# $$W = W_0 + s\,(W_1 - W_0)$$
#
# `adapter.scaled(s)` goes along it. At $s = 0$ it is the untuned model, at $s = 1$ as tuned.

# %% [markdown]
# ### Exercise 5.4: a motion at half strength
#
# *Difficulty ●○○, 4 minutes.* `own` and `tuned` hold tensors by name. `own` has all of the model's,
# `tuned` only those that were tuned.


# %%
def strengthened(own, tuned, strength):
    """The weights at this strength, by the names in `tuned`."""
    ...


check("strengthened", strengthened)

# %% [markdown]
# <details><summary>Hint</summary>
#
# A dictionary over `tuned`: the model's own weight, and `strength` times the change.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def strengthened(own, tuned, strength):
#     return {name: own[name] + strength * (tuned[name] - own[name]) for name in tuned}
# ```
#
# </details>

# %% [markdown]
# **Predict:** which strength follows the path best? What will 3 look like, and −1? The noise is the
# same for all, so whatever differs comes from the weights. Only the last row starts elsewhere, from
# the *tuned* network's inversion. (Ten sampling steps from here on, to save time.)


# %%
def draw(adapter=adapter, noise=inverted, **settings):
    made = cascade.generate(prompt, adapter, noise, until="keyframes", steps=10, **settings)
    return made.keyframes


def compare(clips):
    """Clips by their labels: the clip's path over each, and what is read from it."""
    read = [read_out(x) for x in clips.values()]
    show(*clips.values(), labels=list(clips), paths=[[truth, r.centres] for r in read], height=100)
    rows = [
        [name, trajectory_error(r.centres, truth), r.colour, r.subject, r.place]
        for name, r in zip(clips, read, strict=True)
    ]
    table(["", "trajectory error", "colour", "subject", "place"], rows)


# %%
with adapter.applied(cascade):
    own_noise = vmc.invert(cascade, clip)
strengths = {f"strength {s:g}": draw(adapter.scaled(s)) for s in (-1, 0, 0.5, 1, 3)}
compare({**strengths, "strength 1, its own inversion": draw(noise=own_noise)})

# %% [markdown]
# What of the path is there at strength 0 came with the noise: that is inversion alone, the paper's
# Fig. 9. From there to strength 1 the error tells what the weights add to it, or spoil. The last
# row is VMC as the published code has it. A network that was tuned to the clip finds less to
# explain by noise: what it expects anyway, it need not be told. So its noise may keep less of the
# path, and with a new subject the weights then have to do more on their own.
#
# To see the weights by themselves, start from random noise:

# %%
from_random = {f"strength {s}, random noise": draw(adapter.scaled(s), fresh) for s in (0, 1)}
compare(from_random)

# %% [markdown]
# Here strength 0 knows nothing of the clip, and comes as near to the path as chance has it. Only
# what beats it has been learned, and one noise is little to tell it by.

# %% [markdown]
# ## 7. A gallery of failures
#
# Every picture here is made on the spot, wrong on purpose, with what causes it and what cures it.
# What it *may* look like is what such faults are known by. These are from one model, one motion,
# one prompt and one seed, and need not show all of it: compare the pictures before the columns, and
# believe them more than the text.
#
# ### 7.1 Appearance leakage
#
# **What it may look like.** The video has the colour, the outline or the place of the *clip* in it.
# **Cause.** Inverted noise remembers the clip (section 3), and the words are too weak against it.
# Here, at first, without guidance, so that nothing adds to the pull of the prompt. **Cure.**
# Guidance; a little noise before the inversion; noise that is half fresh; or none of the clip's
# noise at all, and the tuned weights alone.

# %%
half = (inverted / inverted.std() + fresh) / 2**0.5
good = strengths["strength 1"]
plain = {"no guidance": draw(guidance_scale=1), "guidance": good}
other = {"half fresh noise": draw(noise=half)}
other["fresh noise"] = from_random["strength 1, random noise"]
compare({**plain, "inverted from t = 100": draw(noise=started[100]), **other})

# %% [markdown]
# Compare the pictures: does anything of the red ball or of its road shine through? Then the
# columns, which name the nearest that they know and tell no shades. What is bought with fresh noise
# may have to be paid for in motion, and how much, depends on how well the weights have learned it.
#
# ### 7.2 Over-tuning
#
# **What it may look like.** Frames fall apart, colours burn, or the prompt no longer matters.
# **Cause.** Too many steps or too large ones. Here ten times the model's learning rate.
# **Cure.** Fewer steps, a smaller rate, or, if the tuning is done already, a strength below 1.

# %%
rate = 10 * base.learning_rate
hasty = vmc.finetune(cascade, clip, "a ball is moving", steps=20, learning_rate=rate)
with progress() as on_step:
    for step in hasty:
        on_step("tuning", step.number, step.total, None)
over = hasty.adapter

# %%
compare({"over-tuned": draw(over), "the same at 0.2": draw(over.scaled(0.2)), "as tuned": good})

# %% [markdown]
# The loss need not give it away: it can be small for weights that suit this one clip, and says
# nothing about other words. Draw a few prompts while you tune.

# %%
late = {name: r.history[-10:] for name, r in {"hasty": hasty, "as tuned": run}.items()}
means = {name: sum(step.loss for step in steps) / len(steps) for name, steps in late.items()}
table(["tuning", "mean loss of the last 10 steps"], [[n, f"{x:.5f}"] for n, x in means.items()])

# %% [markdown]
# ### 7.3 The wrong schedule
#
# **What it may look like.** Layout of the clip in some frames, debris in others. **Cause.** Noise
# inverted on another schedule than the network's (section 4). **Cure.** `schedule="model"`, which
# is what you get if you say nothing. With another library: hand the inversion the sampler's own
# `alphas_cumprod`.

# %%
compare({"released schedule": draw(noise=mismatched), "own schedule": good})

# %% [markdown]
# ### 7.4 Reversed sign
#
# **What it may look like.** Whatever should change one way from frame to frame changes the other
# way, in every pixel; in the extreme, noise that never clears. **Cause.** A loss that cannot tell a
# residual from its opposite. The published code takes absolute values before it compares:

# %%
# NBVAL_CHECK_OUTPUT
from vmc.motion import alignment_loss

for kind in ("cosine", "released"):
    right, wrong = (alignment_loss(sign * fresh, fresh, kind).abs().item() for sign in (1, -1))
    print(f"{kind:9} perfect prediction {right:.2f}, reversed prediction {wrong:.2f}")

# %% [markdown]
# Eq. 17 gives the reversed prediction the worst mark there is, and the published loss gives it the
# best. Here is a model that the published loss finds exactly as good as ours: it predicts the same
# mean over the frames, and every difference between frames turned round.


# %%
class Reversed:
    """The keyframe model with the sign of all its frame residuals changed."""

    def __getattr__(self, name):
        return getattr(base, name)

    def predict_noise(self, *inputs):
        prediction = base.predict_noise(*inputs)
        return 2 * prediction.mean(2, keepdim=True) - prediction


# %%
# NBVAL_CHECK_OUTPUT
noisy = add_noise(clip[None], fresh, 500, levels)
losses = [
    alignment_loss(model.predict_noise(noisy, 500, nothing), fresh, "released")
    for model in (base, Reversed())
]
print("the published loss sees no difference:", torch.allclose(*losses, atol=1e-4))

# %%
turned = vmc.Cascade(Reversed()).generate(prompt, until="keyframes", steps=10).keyframes
compare({"reversed residuals": turned, "right way round": draw(None, None)})

# %% [markdown]
# The tracker always answers; on noise its row means nothing.
#
# **Cure.** A signed loss, `loss="cosine"`. In fairness: a tuning that starts from a good model
# starts on the right side, and may never cross over. The blind spot is a risk, and not a fate.
# (`adapter.scaled(-1)` in section 6 is a weaker cousin: it reverses what tuning *changed*.)
#
# ### 7.5 Too few inversion steps
#
# **What it may look like.** Washed-out pictures that cling to the outline of the clip. **Cause.**
# With three steps the way up ends far below the level at which sampling begins, and errs on the
# way: the latent is still half a picture. **Cure.** The model's own number; look at the standard
# deviation, which should not be far below that of noise.

# %%
short = vmc.invert(cascade, clip, steps=3)
print(
    f"standard deviation: {short.std():.2f}, with {base.inversion_steps} steps {inverted.std():.2f}"
)
compare({"3 steps": draw(noise=short), f"{base.inversion_steps} steps": good})

# %% [markdown]
# The path may well be followed closely, more closely than with many steps: tracing is easy, and it
# is not what we want. Look whether it is still the clip that is drawn, in other colours.
#
# ### 7.6 Too much guidance
#
# **What it may look like.** Glaring colours, hard edges, speckles, or little of the motion.
# **Cause.** Guidance goes along the difference of two predictions ([notebook
# 01](01_diffusion.ipynb)), and too far along it nothing is likely any more. **Cure.** The model's
# own scale, or lower, where the prompt still wins.

# %%
usual = base.guidance_scale
compare({"guidance 40": draw(guidance_scale=40.0), f"guidance {usual:g}": good})

# %% [markdown]
# ### 7.7 Unknown words
#
# **What it may look like.** In most models: nothing at all. A word that was never learned is cut
# into pieces and means something or nothing, and you wonder about the result. **Cause.** A prompt
# from outside of the model's world. **Cure.** Words that it knows. The tiny model refuses the
# others and names the nearest:

# %%
for words in ("a blue starr is moving on the snow", "a blue dinosaur is moving on the snow"):
    try:
        cascade.generate(words)
    except vmc.BadInput as refusal:
        print(refusal)

# %% [markdown]
# ## What to keep
#
# | what you may see | look at | likely cause |
# |---|---|---|
# | the clip's colour, outline or place | cosine of the noise with the clip | leakage (7.1) |
# | burnt colours, frames that fall apart | learning rate, steps, strength | over-tuning (7.2) |
# | debris in some frames | $\bar\alpha$ of inversion and sampler | wrong schedule (7.3) |
# | noise that never clears | sign of the residuals in the loss | reversed sign (7.4) |
# | washed-out copies of the clip | standard deviation of the noise | too few steps (7.5) |
# | glare and speckles | guidance scale | too much guidance (7.6) |
# | something else altogether | the tokens of the prompt | unknown words (7.7) |
# | the motion is not there at all | strength 0 beside strength 1 | tuned too little |
#
# ## Things to try
#
# - Section 2 with another clip: does the noise of a bounce look like a bounce?
# - The inversion with words, `vmc.invert(cascade, clip, prompt=scene.caption())`: does it miss
#   less?
# - Inversion and tuning of the clip backward, `clip.flip(1)`.
# - The seed: it plays no part in keyframes from inverted noise. In which stages does it?
