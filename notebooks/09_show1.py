# %% [markdown]
# # Show-1: the same method at full size
#
# <!-- links -->
# <!-- /links -->
#
# **What you'll do.** Plan, tune and run VMC on the model of the paper: Show-1, a cascade of five
# networks that knows the real world. The calls are those of the other notebooks, with another name.
#
# **What you'll learn.** Where a large model's memory goes and which of it can be saved, what the
# published code does otherwise than the paper where it matters at this size, and how to choose a
# model for the card you have.
#
# **What you'll need.** Notebooks 04 and 05, or the quickstart. For real results a GPU with 8 GB or
# more, 28 GB of disk, and an account on the Hugging Face hub. Without them this page still runs
# from top to bottom, as a **dry run**: on random networks in the published layout, with small
# pictures and few steps. A dry run shows that all works, and nothing of what it looks like. Three
# exercises, about 10 minutes.
#
# | machine | minutes, dry run | peak memory |
# |---|---|---|
# | 2 CPU cores | 1.6 | 0.74 GB |
#
# The paper states, for one RTX 6000: tuning in less than 5 minutes within 15 GB, and one video in
# about 12 minutes within 18 GB. On a GPU this page has not been executed by its authors yet.

# %% [markdown]
# On Colab, choose a GPU (Runtime → Change runtime type), fill in the address, run this cell once,
# and restart the session afterwards. Elsewhere it does nothing.

# %%
import subprocess
import sys

repository = ""  # the address of this page's repository on GitHub
if "google.colab" in sys.modules:
    assert repository, "Fill in the address that this page came from."
    package = f"vmc[gpu,notebooks] @ git+{repository}"
    lock = f"{repository}/raw/main/requirements.lock"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package, "-c", lock], check=True)

# %% [markdown]
# Other versions of these libraries may give other results without a word, so this stops if yours
# are not the tested ones.

# %%
from vmc.doctor import libraries

wrong = [f"{x.name} {x.installed}, not {x.tested}" for x in libraries() if x.differs]
wrong = [line for line in wrong if line.startswith(("torch", "diffusers", "transformers"))]
assert not wrong, f"Install the versions of requirements.lock and restart: {'; '.join(wrong)}"

# %% [markdown]
# ## 1. Two ways to run this page
#
# For the published weights, say so here: `"show-1"` downloads them (one of the five repositories,
# DeepFloyd's IF-II-L, is gated: accept its licence on the hub and run `hf auth login` first). The
# path of a folder takes them from there, from its sub-folders `show-1-base`,
# `show-1-interpolation`, `show-1-sr1`, `show-1-sr2` and `IF-II-L-v1.0`.

# %%
import os
import time
from pathlib import Path

import torch

import vmc
from vmc.widgets import progress, show, table, watch

started = time.perf_counter()
out = Path("../outputs/show1")
weights = os.environ.get("VMC_SHOW1")  # or "show-1", or a folder

# %%
from vmc.backbones import miniature

recipe = {"size": (40, 64), "tuning": 400, "inversion": 75, "keyframes": 75}
dry_run = weights is None
if dry_run:
    weights = miniature.show1(out / "miniature")
    recipe = {"size": (12, 16), "tuning": 12, "inversion": 4, "keyframes": 3}
    print("DRY RUN: random weights, small pictures, few steps. The videos will be noise.")

# %% [markdown]
# ## 2. What it takes, before anything is loaded
#
# A network can be built on PyTorch's *meta* device, where tensors have shapes and no content. Run a
# step there, count every tensor that comes to life, and you know what the step will need, on a
# machine that could never hold it. `vmc plan` does that for every part of a run.
#
# **Predict.** Five networks draw, and before that another reads the prompt. One of the parts needs
# half as much memory again as the next. Which?

# %%
from IPython.display import Image, Markdown

from vmc.planning import plan
from vmc.planning.cards import card_found

card, memory, dtype = card_found()
needs = plan("show-1", memory, card, dtype)
Markdown(needs.table())

# %% [markdown]
# In GB. A PFLOP is 10¹⁵ multiplications and additions; where a GPU is found, its time is estimated
# in their place. As a picture, with lines where cards of 8, 16 and 24 GB are full:

# %%
from vmc.planning.chart import memory_chart

parts = {need.part.name: need for need in needs.needs}
parts["tuning, keeping activations"] = needs.without_checkpointing
Image(memory_chart(parts), alt="Memory of each part of a run of Show-1, as in the table")

# %% [markdown]
# It is the reader. T5-XXL holds 4.8 billion numbers, nearly three times those of the network that
# is tuned. But a prompt's encoding does not change, so it is needed for a few seconds: `vmc` loads
# it, encodes what is new, and lets it go. The parts follow one another in the same way, so a run
# needs the largest of them and not the sum.

# %%
biggest = max(needs.needs, key=lambda need: need.peak)
again = {"inversion", "keyframes"}  # the network of "tuning"
together = sum(need.weights for need in needs.needs if need.part.name not in again)
print(f"largest part: {biggest.part.name}, {biggest.peak / 1e9:.1f} GB")
print(f"weights of all networks together: {together / 1e9:.1f} GB")

# %% [markdown]
# ### Exercise 9.1: the peak of a run
#
# *Difficulty ●○○, 2 minutes.* `stays` GB are in memory all the time, such as what CUDA itself
# takes. The parts of the run need `parts` GB, a list, and are loaded one after another. How much is
# in use at the fullest moment?

# %%
from vmc.exercises import check


def peak_of_a_run(stays, parts):
    """GB."""
    ...


check("peak_of_a_run", peak_of_a_run)

# %% [markdown]
# <details><summary>Hint</summary>
#
# What is in memory while part k is at work, and what is not there any more?
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def peak_of_a_run(stays, parts):
#     return stays + max(parts)
# ```
#
# </details>

# %% [markdown]
# ## 3. Where the memory goes
#
# Only the queries, keys and values of the temporal attentions are tuned. How many are that?

# %%
# NBVAL_CHECK_OUTPUT
from vmc.backbones.show1.keyframes import temporal_qkv
from vmc.backbones.unet import PixelUNet3D

with torch.device("meta"):
    unet = PixelUNet3D()
everything = sum(p.numel() for p in unet.parameters())
tuned = sum(p.numel() for p in temporal_qkv(unet).values())
print(f"{tuned:,} of {everything:,} numbers, {tuned / everything:.1%}")

# %% [markdown]
# What does one number cost? Frozen, it is only read, and 16 bits are enough: 2 bytes. Tuned, it
# takes steps that 16 bits would round to nothing, so there is a copy in 32 bits (4 bytes), a
# gradient (4), and AdamW's two running means (8): 16 bytes, and the 2 of the frozen copy.
#
# **Predict.** In which of these three ways does the network fit a card of 16 GB?

# %%
ways = {
    "all numbers tuned, in 32 bits": 16 * everything,
    "frozen ones in 32 bits": 4 * everything + 12 * tuned,
    "frozen ones in 16 bits": 2 * everything + 16 * tuned,
}
table(["weights, gradients, optimizer", "GB"], [[way, size / 1e9] for way, size in ways.items()])

# %% [markdown]
# On top come the *activations*: what each layer computed, kept until the backward pass comes by.
# They can be forgotten, and computed again when they are needed. That costs time, and saves memory:

# %%
step = parts["tuning"]
kept = needs.without_checkpointing.activations / 1e9
print(f"activations of a tuning step: {kept:.2f} GB kept, {step.activations / 1e9:.2f} recomputed")
print(f"work: {step.flops / needs.without_checkpointing.flops:.2f} times as much")
print(f"the whole step: {step.peak / 1e9:.2f} GB; the paper states 15 GB")

# %% [markdown]
# The published code asks for recomputation too, but its switch reaches none of these blocks, so all
# activations are kept. It also holds the frozen weights in 32 bits.
#
# Which options does your card need? The planner chooses the fastest ones that fit.

# %%
from dataclasses import replace

from vmc.errors import BadInput

for size in (6e9, 8e9, 12e9, 16e9):
    try:
        print(f"{size / 1e9:3.0f} GB: {replace(needs, memory=size).options()}")
    except BadInput as error:
        print(f"{size / 1e9:3.0f} GB: {error}")

# %% [markdown]
# `text_bits` is how many bits a number of T5 gets; below 16 it needs `pip install bitsandbytes`.
# Without that, `text_device="cpu"` reads the prompts on the CPU.

# %% [markdown]
# ### Exercise 9.2: what attention costs
#
# *Difficulty ●●○, 4 minutes.* A layer of `heads` heads lets pixels attend to one another within
# each frame; another lets each pixel attend to itself across frames. How many scores, one for every
# query and key, does each of them compute for one clip? Then try 8 frames of 40 × 64, and twice the
# frames, and twice the height and width.


# %%
def attention_scores(frames, height, width, heads):
    """(within frames, across frames)"""
    ...


check("attention_scores", attention_scores)

# %% [markdown]
# <details><summary>Hint</summary>
#
# A sequence of n tokens has n² pairs. How long is a sequence, and how many sequences are there?
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def attention_scores(frames, height, width, heads):
#     pixels = height * width
#     return heads * frames * pixels**2, heads * pixels * frames**2
# ```
#
# Temporal attention is by far the smaller one: at 8 frames of 40 × 64, 320 times. Show-1 has no
# attention at the full resolution. Today's kernels never store the scores, but still compute them.
#
# </details>

# %% [markdown]
# ## 4. Loading
#
# From here on this page works with the weights that section 1 chose.

# %%
options = needs.options()
cascade = vmc.Cascade.from_pretrained(weights, size=recipe["size"], **options)
base = cascade.base
print(f"on {card or 'the CPU'} with {options}, computing in {base.dtype}")

# %% [markdown]
# A clip: a file or a folder of frames, or else the rendered ball of the other notebooks. The words
# to tune with say what moves and how; colour and place stay out of them.

# %%
from vmc.sprites import Scene

footage = None  # such as "~/videos/car.mp4"
words = "a ball is moving"  # what moves in the clip, and how
prompt = "a blue star is moving on the snow"  # Show-1 knows far more than this
clip = Scene("ball", "red", "on the road", motion="zigzag").render(base.frames, base.size)
if footage:
    clip = vmc.load_video(Path(footage).expanduser(), base.frames, base.size)

# %%
show(clip, labels=["the clip"], height=160)

# %% [markdown]
# The reader comes, reads and goes. Asked again, the answer is there:

# %%
seconds = []
for _ in range(2):
    began = time.perf_counter()
    text = base.encode_text([words, prompt])
    seconds.append(time.perf_counter() - began)
print(f"{tuple(text.shape)}: {seconds[0]:.2f} s, and again: {seconds[1]:.4f} s")

# %% [markdown]
# ## 5. Tuning
#
# The paper's recipe is the backbone's own: 400 steps, AdamW at 1e-4, one pair of timestep and noise
# a step (Algorithm 1).

# %%
from vmc.machine import peak_memory


def fullest():
    """GB: of the GPU if one was used, else of the process."""
    peak = peak_memory()
    return peak.get("gpu", peak["resident"]) / 1e9


if torch.cuda.is_available():
    torch.cuda.reset_peak_memory_stats()  # of the reader, who has left
run = vmc.finetune(cascade, clip, words, steps=recipe["tuning"])
watch(run, clip)
adapter = run.adapter
tuning = [sum(step.seconds for step in run.history) / 60, fullest()]

# %% [markdown]
# (In a dry run the loss stays near 1, the value of two vectors that know nothing of each other: the
# weights are random, and twelve steps at this rate do not change that.) The motion is a file, of a
# size that only the tuned numbers decide:

# %%
adapter.save(out / "adapter.safetensors")
print(f"{(out / 'adapter.safetensors').stat().st_size / 1e6:.1f} MB here,", end=" ")
print(f"{4 * tuned / 1e6:.0f} MB at full size")

# %% [markdown]
# ## 6. Paper and published code
#
# They part ways in several places. The loss is one: the published code takes absolute values and
# compares along frames (notebook 03). So a prediction in which everything moves backward is right,
# to that loss:

# %%
# NBVAL_CHECK_OUTPUT
from vmc.motion import alignment_loss

noise = torch.randn(1, 3, 8, 16, 24, generator=torch.Generator().manual_seed(0))
losses = {kind: alignment_loss(-noise, noise, kind).item() for kind in ("cosine", "released")}
print({kind: round(loss, 3) for kind, loss in losses.items()})

# %% [markdown]
# Others are silent, and show at full size. **Noise levels in inversion.** The published code
# inverts with Stable Diffusion's schedule, whatever the network was trained with; Show-1's is the
# cosine one. How much of the clip is left in its inverted noise is $\sqrt{\bar\alpha_t}$ at the
# last step:

# %%
# NBVAL_CHECK_OUTPUT
from diffusers import DDPMScheduler

ours = DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod.sqrt()
stable = DDPMScheduler(1000, 0.00085, 0.012, "scaled_linear").alphas_cumprod.sqrt()
rows = [[t, round(ours[t].item(), 4), round(stable[t].item(), 4)] for t in (13, 507, 963, 995)]
table(["t", "Show-1", "Stable Diffusion"], [[str(x) for x in row] for row in rows])
print(f"at t = 995 sampling expects {ours[995]:.4f}; inversion leaves {stable[963]:.4f}")

# %% [markdown]
# **Predict.** The sampler starts at $t = 995$. Does it take what inversion gives it for noisier
# than it is, or for cleaner? What will that do to the layout of the new video?
#
# For noisier: more than ten times as much of the clip is left as the sampler believes, and it goes
# into the result, looks included. In `vmc` inversion uses the network's own levels, and
# `vmc.invert(…, schedule="released")` the others.
#
# **A trap that is newer than the paper.** Training must add noise by the network's levels. The
# solver that Show-1 is published with has an `add_noise` of its own, which in today's diffusers
# gives others, and says nothing:

# %%
# NBVAL_CHECK_OUTPUT
from diffusers import DPMSolverMultistepScheduler

solver = DPMSolverMultistepScheduler(beta_schedule="squaredcos_cap_v2")
one, nothing = torch.ones(1), torch.zeros(1)
signal = solver.add_noise(one, nothing, torch.tensor([417])).item()
print(f"√ᾱ at t = 417: {ours[417]:.3f}; what the solver adds noise by: {signal:.3f}")

# %% [markdown]
# More of them, and what `vmc` does:
#
# | | paper | published code | `vmc` |
# |---|---|---|---|
# | loss | cosine of residuals | absolute values, along frames | the paper's; `loss="released"` |
# | noise levels of inversion | – | Stable Diffusion's | the network's; `schedule="released"` |
# | dropout of 0.1 in the temporal convolutions | – | on, in tuning | off |
# | frozen weights | – | 32 bits | 16 bits on a GPU |
# | activations | – | kept | recomputed, if need be |
# | gradient | – | clipped to norm 1 | the same |
# | frames of the clip | – | squeezed to 40 × 64 | cropped, then resized |
# | noise after every 100 steps | – | should repeat, by a global seed | drawn anew |
# | last step of the solver | – | as in 2023 | `final_sigmas_type="sigma_min"`, the same |
#
# A dash says that the paper does not mention it.

# %% [markdown]
# ## 7. Inversion
#
# With the tuned network, without words and without guidance, as in the published code.

# %%
began = time.perf_counter()
with adapter.applied(cascade), progress() as on_step:
    inverted = vmc.invert(cascade, clip, recipe["inversion"], on_step=on_step)

# %% [markdown]
# ## 8. Twenty-nine frames
#
# Every stage has the published settings, and each of them can be changed:

# %%
enlarging, last = cascade.super_resolution
settings = [
    ["interpolation", cascade.interpolation.steps, cascade.interpolation.guidance_scale],
    ["first frame", enlarging.first_frame.steps, enlarging.first_frame.guidance_scale],
    ["enlarging", enlarging.steps, enlarging.guidance_scale],
    ["enlarging again", last.steps, last.guidance_scale],
]
table(["stage", "steps", "guidance"], settings)

# %%
if dry_run:
    cascade.interpolation.steps = enlarging.steps = enlarging.first_frame.steps = 1
    last.steps = 2

# %%
with progress() as on_step:
    made = cascade.generate(prompt, adapter, inverted, steps=recipe["keyframes"], on_step=on_step)
drawing = [(time.perf_counter() - began) / 60, fullest()]

# %%
label = "DRY RUN, random weights" if dry_run else prompt
labels = ["the clip", f"keyframes: {label}", label]
show(clip, made.keyframes, made.video, labels=labels, height=160)

# %%
vmc.save_video(made.video, out / "video.mp4", fps=7.5)
print(tuple(made.video.shape))

# %% [markdown]
# What it took, beside what the paper states. The video's time includes inversion, and memory is the
# most up to then: the GPU's since tuning began if one was used, else the process's own, with all
# its libraries.

# %%
kind = "dry run on a CPU" if dry_run else card
header = ["", f"minutes, {kind}", "GB", "minutes, paper", "GB, paper"]
table(header, [["tuning", *tuning, "< 5", "15"], ["one video", *drawing, "12", "18"]])

# %% [markdown]
# ## 9. Which model for which card?
#
# VMC needs a network with temporal attention, and there are others than Show-1's: ModelScope,
# ZeroScope and AnimateDiff, which draw all frames at once in an autoencoder's latents. Their
# residuals are differences of latents; Eqs. 9–17 stay as they are. What would they take?

# %%
from vmc.backbones import animatediff, modelscope, show1
from vmc.planning.parts import measured

models = {"modelscope": modelscope, "zeroscope": modelscope, "animatediff": animatediff}
steps = {"show-1": parts["tuning"], "show-1, keeping activations": needs.without_checkpointing}
for name, module in models.items():
    tuning_part = next(part for part in module.parts(name) if part.tuned)
    steps[name] = measured(tuning_part, dtype)
    steps[f"{name}, keeping activations"] = measured(tuning_part, dtype, checkpointing=False)
Image(memory_chart(steps), alt="Memory of a tuning step of four models, as in the table")

# %%
models = {"show-1": show1, **models}
rows = [[name, module.disk(name) / 1e9, steps[name].peak / 1e9] for name, module in models.items()]
table(["model", "disk, GB", "a tuning step, GB"], rows)

# %% [markdown]
# **Predict.** ZeroScope's weights are as large as ModelScope's, yet tuning it takes more. Why?
#
# Its clips are 24 frames of 320 × 576, ModelScope's 16 of 256 × 256: four times the latents, and
# activations grow with these. Number and size of the frames are settings, so a small card may use a
# larger model on smaller clips: `from_pretrained("zeroscope", frames=16, size=(256, 448))`.
#
# As a rule, by these predictions: with **8 GB**, Show-1 with its reader in 8 bits or on the CPU, or
# ModelScope. With **12 GB**, any of them; AnimateDiff if the look of a Stable Diffusion model is
# wanted. With **no GPU**, the tiny cascade. Show-1 alone goes on to 29 frames; the others make
# keyframes only.

# %% [markdown]
# The calls stay the same. Here with ModelScope, as always on random weights in a dry run:

# %%
small = miniature.modelscope(out / "modelscope") if dry_run else "modelscope"
shape = {"frames": 8, "size": (32, 48)} if dry_run else {"frames": 16, "size": (256, 256)}
del cascade, base, run  # each of them holds the network
other = vmc.Cascade.from_pretrained(small, **shape)
source = Scene("ball", "red", "on the road", motion="zigzag").render(*shape.values())

# %%
run = vmc.finetune(other, source, words, steps=recipe["tuning"])
watch(run, source)
with run.adapter.applied(other):
    start = vmc.invert(other, source, recipe["inversion"])
result = other.generate(prompt, run.adapter, start, steps=recipe["keyframes"], until="keyframes")

# %%
tuple(start.shape), tuple(result.keyframes.shape)

# %% [markdown]
# The inverted noise has four channels, and an eighth of the height and width: it is one of latents.

# %% [markdown]
# ### Exercise 9.3: velocity as noise
#
# *Difficulty ●●○, 4 minutes.* Some checkpoints predict $\mathbf{v} = \sqrt{\bar\alpha_t}\,
# \boldsymbol\epsilon - \sqrt{1 - \bar\alpha_t}\, \mathbf{v}_0$ in place of the noise. Eq. 17 is
# about noise, so turn the prediction into it, for a batch with a timestep for each video.


# %%
def velocity_as_noise(noisy, velocity, timestep, alphas_cumprod):
    """(batch, channel, frame, height, width)"""
    ...


check("velocity_as_noise", velocity_as_noise)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Two equations, this one and Eq. 1; two unknowns, the noise and the clean video. Multiply each by
# one of the square roots, so that the clean video drops out of the sum.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def velocity_as_noise(noisy, velocity, timestep, alphas_cumprod):
#     level = alphas_cumprod[timestep].view(-1, 1, 1, 1, 1)
#     return level.sqrt() * velocity + (1 - level).sqrt() * noisy
# ```
#
# In the library this is `vmc.diffusion.noise_from_velocity`, and every backbone calls it within
# `predict_noise`.
#
# </details>

# %%
minutes = (time.perf_counter() - started) / 60
print(f"{minutes:.1f} minutes, at most {peak_memory()['resident'] / 1e9:.2f} GB of main memory")

# %% [markdown]
# ## Things to try
#
# - On the command line: `vmc plan --backbone show-1 --gpu-memory 8GB`.
# - Fewer steps where they cost most: `enlarging.steps = 50`. What does the planner say it saves?
# - The published code's ways: `loss="released"` in section 5, `schedule="released"` in section 7.
# - A model that is not here: the page `docs/backbones.md` adds one from nothing.
