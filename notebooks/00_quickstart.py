# %% [markdown]
# # Quickstart: one clip in, its motion in new videos out
#
# <!-- links -->
# <!-- /links -->
#
# **What you'll do.** Show a small text-to-video model one clip of a motion that it has never seen,
# tune a little of it on that clip, and then ask for other subjects in other places that move in the
# same way.
#
# **What you'll learn.** What *Video Motion Customization* (VMC, [Jeong et al., CVPR
# 2024](https://arxiv.org/abs/2312.00845)) does, which weights it changes, what its two ingredients,
# tuning and inversion, contribute, and how to measure whether a motion came across.
#
# **What you'll need.** Some Python, and a rough idea that a diffusion model turns noise into
# pictures step by step. No GPU, no download.
#
# | machine | minutes, all cells | of which tuning | peak memory |
# |---|---|---|---|
# | 2 CPU cores | 2.6 | 0.8 | 1.32 GB |

# %%
import time
from pathlib import Path

import vmc
from vmc.widgets import progress, show, table, watch

started = time.perf_counter()
out = Path("../outputs/quickstart")

# %% [markdown]
# Other versions of these libraries may give other results without a word, so this stops if yours
# are not the tested ones. (`vmc doctor` on the command line checks more, the numbers themselves
# included.)

# %%
from vmc.doctor import libraries

wrong = [f"{x.name} {x.installed}, not {x.tested}" for x in libraries() if x.differs]
wrong = [line for line in wrong if line.startswith(("torch", "diffusers", "transformers"))]
assert not wrong, f"Install the versions of requirements.lock and restart: {'; '.join(wrong)}"

# %% [markdown]
# ## 1. The model and the clip
#
# The model is a *cascade*: one network draws eight small keyframes, a second fills in the frames
# between them, two more enlarge the result. It was trained from nothing on a world drawn by code,
# in which cars, fish, stars and the like move through eight places. Only the first network, which
# decides how things move, is ever tuned.

# %%
cascade = vmc.Cascade.from_pretrained("tiny")

# %% [markdown]
# Our clip comes from the same world, but its motion does not: zigzags were kept out of the
# training. Because the clip is rendered, the true centre of the ball is known in every frame.

# %%
from vmc.sprites import Scene

scene = Scene("ball", "red", "on the road", motion="zigzag")
clip, truth = scene.render(), scene.centres()
alt = "a red ball on a road moves from left to right in a zigzag; its path is drawn in white"
show(clip, labels=[scene.caption()], paths=[[truth]], height=160, alt=alt)

# %% [markdown]
# White is the true path, drawn from frame to frame. A clip is a tensor of channels, frames, height
# and width, with values from −1 to 1:

# %%
# NBVAL_CHECK_OUTPUT
tuple(clip.shape)

# %% [markdown]
# ## 2. What the untuned model makes of a prompt
#
# A few motions the model knows by name. Ask for something else that "is moving left", and for one
# that just "is moving":

# %%
prompt = "a blue star is moving on the snow"
left = "a blue star is moving left on the snow"
with progress() as on_step:
    asked_left, before = cascade.generate([left, prompt], until="keyframes", on_step=on_step)

# %%
from vmc.sprites import read_out

untuned = [asked_left.keyframes, before.keyframes]
show(
    *untuned,
    labels=[f"untuned: {words}" for words in (left, prompt)],
    paths=[[read_out(keyframes).centres] for keyframes in untuned],
)

# %% [markdown]
# White is where a tracker sees the star. What has a name can be asked for. "Is moving" names no
# path, so the model chose one of its own; and the words that would describe a zigzag are not in its
# vocabulary. The clip has to say it.

# %% [markdown]
# ## 3. A prediction
#
# In a moment the model is tuned on a single clip, of a **red ball** on a **road**, with the words
# "a ball is moving". Afterwards it is asked for a **blue star** on **snow** again. What will it
# draw?
#
# 1. A red ball on a road: with one clip to look at, it can only learn that clip by heart.
# 2. A blue star on snow, moving as before: what was learned about balls does not concern stars.
# 3. A blue star on snow that zigzags.
#
# Decide before you read on, and say why. Section 6 shows what happened.

# %% [markdown]
# ## 4. Tuning
#
# The words to tune with leave out colour and place, so that these do not become part of what is
# learned (the paper's *appearance-invariant prompt*):

# %%
# NBVAL_CHECK_OUTPUT
from vmc.prompts import appearance_invariant

words = appearance_invariant(scene.caption())
words

# %% [markdown]
# Each step adds noise to the clip and lets the model predict that noise. The loss (Eq. 17 of the
# paper) compares *differences between neighbouring frames*: it is one minus the cosine between the
# difference of the noises that were added and the difference of those that were predicted. As the
# noisy frames are given, whoever knows these differences knows how the clean frames differ, that
# is, what moves; what all frames share, such as the road, drops out.
#
# Only the weights with which frames look at one another are tuned: the queries, keys and values of
# the *temporal attention*.

# %%
# NBVAL_CHECK_OUTPUT
tuned = sum(p.numel() for p in cascade.base.temporal_qkv().values())
everything = sum(p.numel() for p in cascade.base.unet.parameters())
print(f"{tuned:,} of {everything:,} weights are tuned")

# %%
run = vmc.finetune(cascade, clip, words, steps=100, preview_every=20)
watch(run, clip)
adapter = run.adapter

# %% [markdown]
# A dot is one step. How hard a step is depends on how much noise it drew, so look at the mean. The
# lowest row is the clip as the model saw it through the noise of one step; the larger $t$, the more
# of it had to be guessed.

# %% [markdown]
# ## 5. Inversion
#
# Generation starts from random noise, which also has a say in where things are. *Inversion* runs
# the sampling backwards, from the clip to the noise that would have become the clip; started from
# there, new videos begin with a trace of the clip's layout. The paper does not say whether the
# tuned network does it, as in its code, or the untuned one. The noise that this small model finds
# keeps more of the path when it is untuned, so here it is.

# %%
with progress() as on_step:
    inverted = vmc.invert(cascade, clip, on_step=on_step)

# %%
show(clip, (inverted[0] / 3).clamp(-1, 1), labels=["the clip", "the noise that it came from"])

# %% [markdown]
# ## 6. The motion in new videos
#
# Tuned weights and inverted noise together are VMC. Three new subjects, colours and places:

# %%
prompts = [prompt, "a green fish is moving underwater", "a yellow rocket is moving in the sky"]
with progress() as on_step:
    after = cascade.generate(prompts, adapter, inverted, until="keyframes", on_step=on_step)

# %%
results = [result.keyframes for result in after]
show(clip, *results, labels=[scene.caption(), *prompts])

# %% [markdown]
# Which of the three predictions was right? If it was the third: the prompt still decides *what* is
# drawn, because the weights that read it and draw its parts were not touched. Wherever some red or
# some road shines through, looks have leaked, into the tuned weights or along with the noise.

# %% [markdown]
# ## 7. Which ingredient does what
#
# Two of the four combinations of tuning and inversion are there already. The other two:

# %%
alone = cascade.generate(prompts, inverted=inverted, until="keyframes")
ways = {
    "untuned, noise": before,
    "untuned, inversion": alone[0],
    "tuned, noise": cascade.generate(prompt, adapter, until="keyframes"),
    "tuned, inversion": after[0],
}

# %%
seen = {way: read_out(result.keyframes) for way, result in ways.items()}
show(
    *[result.keyframes for result in ways.values()],
    labels=list(ways),
    paths=[[truth, s.centres] for s in seen.values()],
)

# %% [markdown]
# The *trajectory error* is the distance between the white and the yellow path, averaged over the
# frames, as a fraction of the frame's diagonal; 0.02 is one and a half pixels of a keyframe. The
# tracker also reads what it sees, which tells whether the prompt was followed:

# %%
from vmc.metrics import trajectory_error

errors = {way: trajectory_error(s.centres, truth) for way, s in seen.items()}
rows = [[way, errors[way], s.colour, s.subject, s.place] for way, s in seen.items()]
table(["", "trajectory error", "colour", "subject", "place"], rows)

# %%
closest = min(errors, key=errors.get)
print(f"Closest to the clip's path: {closest}, {errors[closest]:.3f} of the diagonal off.")
for start in ("noise", "inversion"):
    factor = errors[f"tuned, {start}"] / errors[f"untuned, {start}"]
    print(f"From {start}, tuning multiplies the error by {factor:.2f}.")

# %% [markdown]
# A factor below 1 says that tuning brought the star nearer to the path. Each pair starts from the
# very same noise, so only the weights differ. One motion, one prompt and one seed prove little;
# `vmc evaluate` repeats this over all seven held-out motions, and the README has its table, with
# intervals.

# %% [markdown]
# What inversion brings by itself depends on the prompt, and not by chance. The inverted noise is a
# dim picture of the clip: where the ball was, it leans towards the ball's colour. A new subject
# that stands out from its place in that direction of colour finds its path marked; one that stands
# out in the opposite direction is drawn elsewhere more easily. Here is how well the two contrasts
# agree, the cosine between *subject minus place* in the clip and in the prompt, from −1 to 1,
# beside the errors:

# %%
from vmc.evaluation.contrast import agreement

looks = [("star", "blue", "on the snow"), ("fish", "green", "underwater")]
looks += [("rocket", "yellow", "in the sky")]
rows = []
for (subject, colour, place), *pair in zip(looks, alone, after, strict=True):
    asked = scene.with_(subject=subject, colour=colour, place=place)
    off = [trajectory_error(read_out(result.keyframes).centres, truth) for result in pair]
    rows.append([asked.caption(), agreement(scene, asked), *off])
table(["", "agreement", "inversion alone", "tuning and inversion"], rows)

# %% [markdown]
# Three prompts are few; the README has the same comparison over many clips. What the noise cannot
# carry across, tuning has to: does the last column depend on the agreement, too?

# %% [markdown]
# ## 8. A whole video
#
# The blue star's keyframes through the other stages: the frames between them, then enlarged twice.
# (`cascade.generate(prompt, adapter, inverted)` does all of this at once.)

# %%
with progress() as on_step:
    full = cascade.finish(after[0], on_step=on_step)

# %%
# NBVAL_CHECK_OUTPUT
tuple(full.video.shape)

# %%
show(clip, full.video, labels=["the clip", prompt], height=160, fps=7.5)

# %% [markdown]
# ## 9. What to keep
#
# The motion is a small file of its own, to be loaded later onto the same model with
# `vmc.MotionAdapter.load`:

# %%
adapter.save(out / "adapter.safetensors")
print(f"{(out / 'adapter.safetensors').stat().st_size / 1e6:.2f} MB")

# %%
vmc.save_video(full.video, out / "blue_star.mp4", fps=7.5)
for name, result in zip(("blue_star", "green_fish", "yellow_rocket"), after, strict=True):
    vmc.save_video(result.keyframes, out / f"{name}_keyframes.gif", fps=4)

# %% [markdown]
# And one picture with a row for the clip and one for each result:

# %%
from vmc.evaluation.pictures import comparison_sheet, save_picture

sheet = comparison_sheet(clip, [full, *after[1:]], truth, scene.caption())
save_picture(sheet, out / "contact_sheet.png")

# %%
from vmc.machine import cores, peak_memory

minutes = (time.perf_counter() - started) / 60
memory = peak_memory()["resident"] / 1e9
print(f"{minutes:.1f} minutes on {cores()} cores, at most {memory:.2f} GB of memory")

# %% [markdown]
# ## 10. Your own clip
#
# Put the path of a short clip here: a video file, a GIF or a folder of frames. Eight frames are
# taken from it, evenly from first to last, so cut it to the motion that you mean.
#
# Do not expect much of real footage. The tiny model knows nothing but its drawn world and sees 64
# by 40 pixels: at best it follows how one clear subject travels across a still background. Limbs,
# faces and moving cameras are beyond it. A word that it does not know is named, together with the
# nearest ones that it does.

# %%
my_clip = None  # for example "~/videos/cat.mp4"
my_words = "a ball is moving"  # what moves, and how
my_prompt = "a yellow boat is moving at sunset"

# %%
if my_clip:
    source = vmc.load_video(Path(my_clip).expanduser())
    my_run = vmc.finetune(cascade, source, appearance_invariant(my_words), preview_every=10)
    watch(my_run, source)
    start_noise = vmc.invert(cascade, source)
    mine = cascade.generate(my_prompt, my_run.adapter, start_noise)
    show(source, mine.video, labels=["your clip", my_prompt], height=160, fps=7.5)
    vmc.save_video(mine.video, out / "mine.mp4", fps=7.5)

# %% [markdown]
# ## Things to try
#
# - Another motion for the clip in section 1: "bounce", "loop", "figure eight", "spiral",
#   "stop-and-go" or "swing"; or one of your own, `vmc.sprites.path([(0.2, 0.1), (0.8, 0.5), …])`.
# - Half the motion, or one and a half of it: `adapter.scaled(0.5)`, `adapter.scaled(1.5)`.
# - The clip backward: `clip.flip(1)`.
