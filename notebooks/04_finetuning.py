# %% [markdown]
# # Fine-tuning: one clip's motion into the temporal attention
#
# <!-- links -->
# <!-- /links -->
#
# **What you'll do.** Carry out Algorithm 1 of the paper, first one step by hand, then all of it on
# a dashboard that you can start, pause and stop. Then measure what it did, change the words it was
# done with, and save, resume and scale what was learned. At the end you draw a motion yourself.
#
# **What you'll learn.** Which weights of a video model are tuned and why so few may do (Fig. 3 of
# [Jeong et al., CVPR 2024](https://arxiv.org/abs/2312.00845)), what appearance-invariant prompts
# are for (Fig. 4), what tuning adds to inversion (Fig. 9), and how to tell by measurement.
#
# **What you'll need.** The motion vectors and the cosine loss of notebook 03 (Eqs. 9–17). Four
# exercises are on the way, about half an hour in all.
#
# | machine | minutes | peak memory |
# |---|---|---|
# | 2 CPU cores | 3.0 | 1.24 GB |

# %%
from pathlib import Path

import torch

import vmc
from vmc.diffusion import add_noise
from vmc.exercises import check
from vmc.metrics import trajectory_error
from vmc.motion import alignment_loss, frame_residual
from vmc.sprites import Scene, read_out
from vmc.widgets import curves, edit_prompt, progress, show, sketchpad, table, tuning_dashboard

out = Path("../outputs/finetuning")

# %%
cascade = vmc.Cascade.from_pretrained("tiny")
base = cascade.base
scene = Scene("ball", "red", "on the road", motion="zigzag")
clip, truth = scene.render(), scene.centres()
alt = "a red ball on a road moves from left to right in a zigzag; its path is drawn in white"
show(clip, labels=[scene.caption()], paths=[[truth]], height=160, alt=alt)

# %% [markdown]
# The model was never shown a zigzag. It was shown that things move, though, and somewhere in its
# weights is how: this is what tuning has to find and bend.

# %% [markdown]
# ## 1. What trains (Fig. 3)
#
# Of the whole cascade only the keyframe network is tuned. Here are its weights, by what they are
# part of:


# %%
def part_of(name: str) -> str:
    if name in base.temporal_qkv():
        return "temporal attention: to_q, to_k, to_v"
    if "temp_attentions" in name:
        return "temporal attention: the rest"
    if "temp_convs" in name:
        return "temporal convolution"
    return "attention within a frame" if "attentions" in name else "everything else"


# %%
sizes = {}
for name, weight in base.unet.named_parameters():
    sizes[part_of(name)] = sizes.get(part_of(name), 0) + weight.numel()
whole = sum(sizes.values())
table(["part", "weights", "share"], [[p, f"{n:,}", f"{n / whole:.1%}"] for p, n in sizes.items()])

# %% [markdown]
# A temporal attention lets every pixel look at the same pixel in the other frames. Its queries and
# keys decide *which frame takes from which*, its values *what is taken*:
#
# $$\mathrm{softmax}\left(\tfrac{1}{\sqrt{d}} (X W^Q)(X W^K)^\top\right) X W^V$$
#
# with a row of $X$ for each frame. Only $W^Q, W^K, W^V$ train (Sec. D of the paper). How each frame
# is painted, and what the words of the prompt do to it, is up to other weights, those within a
# frame, which are left as they are. That is the bet of the method: change what passes *between*
# frames, and keep what each frame draws.
#
# The same choice in Show-1, which the paper tunes, is 134.6 million of 1.7 billion weights.

# %% [markdown]
# ### Exercise 4.1: what trains
#
# *Difficulty ●○○, 5 minutes.*
#
# Let only the motion's weights train: go through `unet.named_parameters()`, turn `requires_grad` on
# for $W^Q, W^K, W^V$ of the temporal attentions and **off** for everything else, and return the
# list of names that are on. Print a few names first to see how they are made.


# %%
def motion_weights(unet): ...


check("motion_weights", motion_weights)

# %% [markdown]
# <details><summary>Hint</summary>
#
# A name is a path of parts that are separated by dots, such as
# `mid_block.temp_attentions.0.transformer_blocks.0.attn1.to_q.weight`. Two of them matter:
# where the attention sits, and which of its matrices it is (the last but one).
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def motion_weights(unet):
#     names = []
#     for name, weight in unet.named_parameters():
#         on = "temp_attentions" in name and name.split(".")[-2] in ("to_q", "to_k", "to_v")
#         weight.requires_grad_(on)
#         if on:
#             names.append(name)
#     return names
# ```
#
# </details>

# %% [markdown]
# ## 2. One step by hand (Algorithm 1)
#
# Lines 5 and 6 of Algorithm 1 draw a timestep and noise, and read the prompt. Which prompt that
# should be is the subject of section 3. A timestep from the middle of the schedule will do here,
# where both clip and noise are to be seen.

# %%
generator = torch.Generator().manual_seed(1)
t = 400  # line 5; a run draws it anew for every step, see section 4
noise = torch.randn(1, *clip.shape, generator=generator)
text = base.encode_text(["a ball is moving"])  # line 6

# %% [markdown]
# Line 7 adds the noise in one leap, and the model predicts it:
#
# $$\mathbf{v}_t^n = \sqrt{\bar\alpha_t}\, \mathbf{v}_0^n + \sqrt{1 - \bar\alpha_t}\,
# \boldsymbol\epsilon_t^n$$

# %%
noisy = add_noise(clip[None], noise, t, base.alphas_cumprod)  # line 7
with torch.no_grad():
    predicted = base.predict_noise(noisy, t, text)

# %% [markdown]
# Lines 8 and 9 take the differences between neighbouring frames, of the prediction and of the true
# noise. Line 10 compares their directions, one vector for each pair of frames (Eq. 17):
#
# $$\frac{1}{N-1} \sum_n \ell_{\cos}\left(\delta\boldsymbol\epsilon_t^n,
# \delta\boldsymbol\epsilon_{\theta,t}^n\right), \qquad \ell_{\cos}(\mathbf{x}, \mathbf{y}) = 1 -
# \frac{\langle \mathbf{x}, \mathbf{y} \rangle}{\|\mathbf{x}\| \|\mathbf{y}\|}$$

# %%
predicted_residual = frame_residual(predicted)  # line 8
residual = frame_residual(noise)  # line 9
x, y = (r.transpose(1, 2).flatten(2) for r in (residual, predicted_residual))
by_hand = 1 - torch.cosine_similarity(x, y, dim=2).mean()  # line 10
by_hand, alignment_loss(predicted, noise)

# %% [markdown]
# Where the model is wrong about the noise, it is wrong about the clip. In the lowest row is the
# difference between both residuals, enlarged; grey means none.

# %%
wrong = predicted_residual - residual
pictures = [clip, noisy[0], residual[0] / 3, 2 * wrong[0]]
names = [
    "the clip",
    f"with noise, t = {t}",
    "how the noise changes",
    "how wrong the model is on that",
]
alt = "the clip, the noisy clip, the residual of the noise, and the error of the predicted residual"
show(*[p.clamp(-1, 1) for p in pictures], labels=names, height=80, alt=alt)

# %% [markdown]
# Where is it not grey? A wrong idea of what moves, and how, leaves an error where things move, and
# the gradient of line 10 pulls at it. Whatever is the same in all frames cancels in a residual: an
# error that is still, however large, costs nothing.

# %% [markdown]
# ### Exercise 4.2: the loss of a step
#
# *Difficulty ●●○, 8 minutes.*
#
# Write lines 7 to 10 as one function. `predict(noisy, t)` is the model, with its prompt filled in;
# the clip and the noise have shape (1, 3, frame, height, width). You may use what was imported at
# the top.


# %%
def step_loss(predict, clip, noise, t, alphas_cumprod): ...


check("step_loss", step_loss)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Three calls: `add_noise`, `predict`, `alignment_loss`. The question is only what goes into the
# last one: what the model was asked for, and what it should have said.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def step_loss(predict, clip, noise, t, alphas_cumprod):
#     noisy = add_noise(clip, noise, t, alphas_cumprod)
#     return alignment_loss(predict(noisy, t), noise)
# ```
#
# </details>

# %% [markdown]
# ## 3. The words to tune with (Fig. 4)
#
# Tuning needs a prompt, since the model reads one. The faithful one would be the clip's caption.
# The paper leaves out the *background*, and calls the result *appearance-invariant* (Sec. 3.2):
# what the words do not ask for, the loss cannot tie to them. The paper writes such prompts by hand.
# Here a short grammar suggests one, without background, colours and styles, and you can change it.

# %%
editor = edit_prompt(scene.caption())

# %%
# NBVAL_CHECK_OUTPUT
from vmc.prompts import appearance_invariant

for faithful in (
    "a cat is roaring on the grass under the tree",  # Fig. 4
    "a bird is flying above a lake in the forest",  # Fig. 1
    "two green fish are moving underwater, neon style",
):
    print(f"{faithful}  →  {appearance_invariant(faithful)}")

# %% [markdown]
# ## 4. All steps: the dashboard
#
# `vmc.finetune` repeats the step of section 2, each time with another $t$ and other noise, and lets
# AdamW follow the gradient. The paper takes 400 steps with a learning rate of 0.0001, and draws $t$
# from the whole schedule. The tiny model has its own numbers, and draws $t$ from a part:

# %%
low, high = base.tuning_timesteps
print(f"learning rate {base.learning_rate:g}, t from {low} to {high - 1}")

# %% [markdown]
# That is the upper part, where the noise hides the clip and a sampler decides on the path. Below
# it, the noisy frames themselves show where everything is. Would section 2's $t$ be drawn?
#
# **Before you press start, predict:**
#
# 1. Is a step's loss higher at the lower end of these timesteps, where there is less noise, or at
#    the upper?
# 2. The lowest row of the dashboard is the clip as the model sees it through the noise of one step
#    ($\hat{\mathbf{x}}_0$, Eq. 12). Will it look like the clip from the first step on?
#
# Press start, look, pause, go on. Then run the next cell, which waits for the end. (If nobody
# pressed start, it does so itself. While it waits, the buttons rest; the notebook's own stop button
# ■ pauses.)

# %%
steps = 50  # a third of the model's own number, to save time
dashboard = tuning_dashboard(
    cascade, clip, editor.value, steps=steps, save=out / "zigzag.safetensors"
)

# %%
adapter = dashboard.wait()

# %% [markdown]
# A dot is one step, and its colour is its $t$: read the answer to the first question off. For the
# second, compare the two lowest rows, and mind the $t$ beside them.
#
# Dots scatter because steps differ in difficulty, also where the model hardly changes from one to
# the next. So a falling mean can be hard to see even where tuning works, and a fair comparison asks
# both models the same questions: the same timesteps, the same noise. They are from all of the
# schedule, those that tuning did not draw included.


# %%
@torch.no_grad()
def loss_at(t: int) -> float:
    noisy = add_noise(clip[None], noise, t, base.alphas_cumprod)
    return alignment_loss(base.predict_noise(noisy, t, text), noise).item()


timesteps = list(range(50, 1000, 75))
untuned = [loss_at(t) for t in timesteps]
with adapter.applied(cascade):
    tuned = [loss_at(t) for t in timesteps]

# %%
factors = [after / before for before, after in zip(untuned, tuned, strict=True)]
lines = {"unchanged": (timesteps, [1] * len(timesteps)), "tuned": (timesteps, factors)}
alt = "the loss of the tuned model over that of the untuned one, at each timestep"
curves(lines, ("timestep t", "loss, untuned = 1"), alt)
print(f"On average over t, tuning multiplies the loss by {sum(factors) / len(factors):.2f}.")

# %% [markdown]
# A factor below 1 says that the tuned model knows better how this clip changes from frame to frame.
# Read off where along $t$ it gained, among the timesteps it was tuned on and outside of them. Large
# $t$ is where a sampler decides on the path: there next to nothing of the clip is to be seen in the
# noise, and only what the model expects can help it.
#
# The dashboard worked on a twin of the network that shares its weights, so that nothing here was
# changed. The backbone is still the model it was, to the last bit:

# %%
# NBVAL_CHECK_OUTPUT
from vmc.backbones import fingerprint

print(fingerprint(base.unet) == base.fingerprint)

# %% [markdown]
# ## 5. Did the motion come across? (Fig. 9)
#
# A lower loss is not a transferred motion. The test is to ask for other subjects in other places
# and to see whether they follow the clip's path. Because the world is drawn by code, that path is
# known, and a tracker finds the subject in what was generated.
#
# The paper's Fig. 9 asks what tuning adds to inversion: starting from the clip's inverted noise
# already brings something of its layout. So there are two controls: the untuned model from random
# noise, and the untuned model from the clip's noise. (Ten sampling steps each, to save time: with
# the model's own 25 the paths come out much alike.)

# %%
prompts = [
    "a blue star is moving on the snow",
    "a green fish is moving underwater",
    "a yellow rocket is moving in the sky",
]
with progress() as on_step:
    inverted = vmc.invert(cascade, clip, on_step=on_step)

# %%
ways = {
    "untuned, random noise": {},
    "inversion alone": {"inverted": inverted},
    "tuning and inversion": {"adapter": adapter, "inverted": inverted},
}
with progress() as on_step:
    made = {
        way: cascade.generate(prompts, until="keyframes", steps=10, on_step=on_step, **using)
        for way, using in ways.items()
    }


# %%
def show_paths(results, label):
    clips = [result.keyframes for result in results]
    tracks = [[truth, read_out(x).centres] for x in clips]
    alt = f"{label}: {'; '.join(prompts)}; the asked path in white, the tracked one in yellow"
    show(*clips, labels=[f"{label}: {r.prompt}" for r in results], paths=tracks, alt=alt)


for way, results in made.items():
    show_paths(results, way)

# %% [markdown]
# Compare the rows: does the yellow line follow the white one, and is it still the subject that the
# prompt asked for? The *trajectory error* is the distance between both lines, averaged over the
# frames, in fractions of the frame's diagonal. You write it next.

# %% [markdown]
# ### Exercise 4.3: the error of a path
#
# *Difficulty ●●○, 6 minutes.*
#
# `tracked` and `asked` are paths of shape (frame, 2): (y, x) in fractions of the frame's height and
# width. `size` is (height, width) in pixels. Return the mean distance between both, in fractions of
# the diagonal. A frame is wider than high, so a tenth of its width is not a tenth of its height.


# %%
def path_error(tracked, asked, size): ...


check("path_error", path_error)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `(tracked - asked) * torch.tensor(size)` is in pixels. Then the length of each row, their mean,
# and at last the diagonal.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def path_error(tracked, asked, size):
#     size = torch.tensor(size, dtype=torch.float32)
#     return ((tracked - asked) * size).norm(dim=1).mean() / size.norm()
# ```
#
# </details>


# %%
def row(way, results):
    seen = [(read_out(result.keyframes), result.prompt) for result in results]
    errors = [trajectory_error(s.centres, truth) for s, _ in seen]
    looks = sum(s.colour in prompt and s.place in prompt for s, prompt in seen)
    subjects = sum(s.subject in prompt for s, prompt in seen)
    return [way, sum(errors) / 3, max(errors), f"{looks} of 3", f"{subjects} of 3"]


rows = [row(way, results) for way, results in made.items()]
table(["", "mean error", "largest", "colour and place as asked", "subject as asked"], rows)

# %%
(_, free, *_), (_, inversion, *_), (_, both, *_) = rows
print(f"Inversion alone multiplies the error of the free model by {inversion / free:.2f},")
print(f"and tuning multiplies the error of inversion alone by {both / inversion:.2f}.")

# %% [markdown]
# The second factor is what Fig. 9 is about: below 1, tuning has added something that inversion does
# not bring. Above 1, it has done harm. Both ways start from the same noise, which the untuned
# network found. (In the published code the tuned one finds its own; section 6 of
# [notebook 05](05_inference.ipynb) compares the two.) The last two columns guard against a hollow
# victory: a model that simply repeats the red ball on its road follows the path to perfection, and
# has learned the clip instead of its motion. Three prompts and one clip are a picture, not a proof;
# `vmc evaluate` runs seven motions with three seeds each and gives intervals.
#
# It is not a matter of course that what one clip teaches serves other looks. Trained on captioned
# clips alone, the tiny model learned a path only together with the ball that it was tuned on. It
# was made fit for this by practice: in the last part of its training, each of 48 random paths had
# queries, keys and values of its own, shared by all scenes on that path, so that these weights
# became a place where a path can be kept, whatever is drawn. None of the 48 is a zigzag; the model
# card (`vmc/weights/MODEL_CARD.md`) tells how near they come. The paper's pictures suggest that a
# large model learns the same from its many videos; our table cannot say.

# %% [markdown]
# ## 6. The same clip with faithful words (Fig. 4)
#
# Tune once more, and change one thing only: the words. Same clip, same seed, same steps. This
# second dashboard does not disturb the first; you could let both run at once.
#
# **Predict:** the model is told "a red ball is moving on the road" while it learns. Afterwards both
# models are asked for "a ball is moving", with no word of a road. Which of them shows more of the
# clip's road?

# %%
faithful_dashboard = tuning_dashboard(cascade, clip, scene.caption(), steps=steps)

# %%
faithful = faithful_dashboard.wait()

# %% [markdown]
# In Fig. 4, each model is asked for its own tuning prompt. But only one of these prompts asks for a
# road, so a road may come from the words and not from the weights. Therefore all models, the
# untuned one too, are asked for both of them, and for a blue star on snow. All start from the same
# random noise: where two answers to one prompt differ, it is the weights.

# %%
kinds = {"untuned": None, "appearance-invariant": adapter, "faithful": faithful}
asked = [adapter.metadata["prompt"], faithful.metadata["prompt"], prompts[0]]
with progress() as on_step:
    answers = {
        kind: cascade.generate(asked, learned, until="keyframes", steps=10, on_step=on_step)
        for kind, learned in kinds.items()
    }

# %%
rows = []
for kind, results in answers.items():
    clips = [result.keyframes for result in results]
    show(*clips, labels=[f"{kind}: {prompt}" for prompt in asked], height=100)
    for prompt, seen in zip(asked, map(read_out, clips), strict=True):
        error = trajectory_error(seen.centres, truth)
        rows.append([kind, prompt, error, seen.colour, seen.subject, seen.place])
table(["model", "asked for", "error", "colour", "subject", "place"], rows)

# %% [markdown]
# Fig. 4 shows words about the background that invite the background in. Compare the models prompt
# by prompt, with the untuned one as the measure:
#
# - Asked for no place: does the faithful model bring the road, where the others do not?
# - Asked for the road: do they differ at all? That they show one is no news.
# - Asked for the star: does anything red, or any road, shine through in one of them?
#
# On the tiny model the difference may be small, since a loss on frame differences cannot see a
# still background in either case (notebook 03); the words decide only what the *moving* part is
# tied to. If all look alike here, that is an honest result as well. One clip and one noise do not
# settle it either way.

# %% [markdown]
# ## 7. Pause, resume, save, scale
#
# A run is an iterator. Leaving the loop pauses it; what it learned so far is in `run.adapter`. With
# a `checkpoint`, another process can go on from the file, and arrives at the *same bits*: each
# step's timestep and noise depend on the seed and the step's number alone.

# %%
whole = vmc.finetune(cascade, clip, editor.value, steps=6)
for step in whole:
    print(f"step {step.number}: loss {step.loss:.5f} at t = {step.timestep[0]}")

# %%
file = out / "half.checkpoint.safetensors"
first = vmc.finetune(cascade, clip, editor.value, steps=6, checkpoint=file, resume=False)
next(first), next(first), next(first)
first.close()  # as Ctrl-C would; the file is written

# %%
# NBVAL_CHECK_OUTPUT
second = vmc.finetune(cascade, clip, editor.value, steps=6, checkpoint=file)
print(f"goes on after step {second.number}")
for _ in second:
    pass
one, other = (run.adapter.motions[0].weights for run in (whole, second))
all(torch.equal(one[name], other[name]) for name in one)

# %% [markdown]
# The dashboard of section 4 has left its motion in a file. It holds the tuned weights and a record
# of how they came about, and refuses to be loaded onto another model:

# %%
motion_file = out / "zigzag.safetensors"
loaded = vmc.MotionAdapter.load(motion_file, cascade)
print(f"{motion_file.stat().st_size / 1e6:.2f} MB")
{name: loaded.metadata[name] for name in ("backbone", "prompt", "seed", "steps")}

# %% [markdown]
# A motion can be scaled. At strength $s$ the model computes with $W_0 + s\,(W - W_0)$, where $W_0$
# is a weight of the untuned model and $W$ the tuned one: 0 is the untuned model, 1 the tuned one.
#
# **Predict:** what does half a motion look like? A smaller zigzag, a slower one, or a whole one in
# half of the cases?

# %%
strengths = [0.5, 1.0, 1.5]
with progress() as on_step:
    scaled = [
        cascade.generate(prompts[0], loaded.scaled(s), until="keyframes", steps=10, on_step=on_step)
        for s in strengths
    ]

# %%
strengths, scaled = [0.0, *strengths], [made["untuned, random noise"][0], *scaled]
clips = [result.keyframes for result in scaled]
tracks = [read_out(x).centres for x in clips]
labels = [f"{s} of the motion" for s in strengths]
show(*clips, labels=labels, paths=[[truth, track] for track in tracks], height=100)
errors = [trajectory_error(track, truth) for track in tracks]
table(["strength", "trajectory error"], list(zip(strengths, errors, strict=True)))

# %% [markdown]
# All four start from the same random noise, so that whatever there is of the clip's motion comes
# from the weights. Read from the table whether the error falls towards strength 1, and whether more
# than the whole motion is too much. Notebook 05 comes back to this, also with negative strengths.

# %% [markdown]
# ## 8. Your own motion
#
# Draw a path with the mouse on the canvas. It becomes the motion of the ball, "tune on it" lets the
# model learn it, and "transfer it" asks for the prompt beside the button. Nobody trained on your
# path, so this is a fair test. (Without a mouse, the next cell takes the path that is there.)

# %%
pad = sketchpad(cascade, scene=scene, steps=40)

# %%
transferred = pad.transfer()

# %%
asked = pad.scene.centres()
tracked = read_out(transferred.keyframes).centres
labels = ["your path", transferred.prompt]
show(pad.clip, transferred.keyframes, labels=labels, paths=[[asked], [asked, tracked]], height=160)
print(f"trajectory error {trajectory_error(tracked, asked):.3f}")

# %% [markdown]
# Try to break it: a path with many turns (there are only eight keyframes), one that leaves the
# frame, one that hardly moves. A program draws with `pad.set_path([(y, x), …])`.

# %% [markdown]
# ### Exercise 4.4: what a step costs
#
# *Difficulty ●○○, 5 minutes.*
#
# Every weight of a network takes `bytes_each` bytes. For each one that is *trained*, tuning holds
# four more numbers in float32, of four bytes each: the tuned weight, its gradient, and the two that
# AdamW remembers. Return how much that is in all for a network of `total` weights, in GB ($10^9$
# bytes). Activations come on top.


# %%
def tuning_memory(total, trained, bytes_each): ...


check("tuning_memory", tuning_memory)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Two products and a division. A trained weight counts in both products: the untuned one stays, as
# the model is to be whole again afterwards.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def tuning_memory(total, trained, bytes_each):
#     return (total * bytes_each + trained * 16) / 1e9
# ```
#
# </details>

# %% [markdown]
# Show-1's keyframe network has 1.727 billion weights, of which 0.135 billion are tuned. In half
# precision, `tuning_memory(1.727e9, 0.135e9, 2)` is 5.6 GB; if all of them were trained, it would
# be 31 GB.

# %% [markdown]
# ## Where paper and published code part ways
#
# - **The loss.** The paper takes the signed cosine, with one vector for each frame pair (Eq. 17).
#   The published code takes absolute values, and the cosine along the frames; it is here as
#   `loss="released"`, and notebook 03 shows what it cannot see.
# - **Timesteps.** The paper draws them from the whole schedule (line 5), and so does Show-1's
#   backbone here. The tiny model draws them from `base.tuning_timesteps`, the upper part;
#   `timesteps=(0, 1000)` does as the paper.
# - **Dropout.** In the published code the dropout of the temporal convolutions is active while it
#   tunes. The paper does not mention it; here it is off.
# - **The gradient** is clipped to length 1 in the published code, which the paper does not mention.
#   Here it is, too.
# - **Prompts.** Both write them by hand. Here a grammar suggests one, and you have the last word.
# - **Files.** The published code can neither save a motion nor resume a run.
#
# ## Things to try
#
# - The losses of notebook 03: `tuning_dashboard(…, loss="l2")`, or `"released"`.
# - Other weights: `parameters="spatial"` tunes the attention within a frame (Fig. 6).
# - Far too many steps: what happens to the subject that the prompt asks for?
# - Two motions at once: `vmc.MotionAdapter.mix({adapter: 0.5, pad.dashboard.adapter: 0.5})`.
