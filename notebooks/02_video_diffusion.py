# %% [markdown]
# # Video diffusion: from one picture to many that belong together
#
# <!-- links -->
# <!-- /links -->
#
# **What you'll do.** Take a network that draws pictures and find out what it lacks for a video.
# Build the two layers that supply it, look at what one of them attends to, switch both off, and
# then open the whole cascade, stage by stage.
#
# **What you'll learn.** Equation 8 and Figure 2 of the paper ([Jeong et al., CVPR
# 2024](https://arxiv.org/abs/2312.00845)): how an image model is *inflated*, what a temporal
# convolution and a temporal attention compute, why one of them knows the order of frames and the
# other does not, and which numbers VMC is going to tune.
#
# **What you'll need.** PyTorch, convolutions and attention as in any image network, and what
# [notebook 01](01_diffusion.ipynb) says about noise. Three exercises are on the way, about half an
# hour in all.
#
# | machine | minutes | peak memory |
# |---|---|---|
# | 2 CPU cores | 0.7 | 1.18 GB |

# %%
from functools import partial

import torch
from torch.nn import functional as F

import vmc
from vmc.diffusion import add_noise, noise_loss, tweedie
from vmc.sprites import Scene, path
from vmc.widgets import explore_attention, explore_cascade, progress, show, table

cascade = vmc.Cascade.from_pretrained("tiny")
base = cascade.base  # the keyframe model, the only one that VMC tunes

# %% [markdown]
# ## 1. One noise for all frames at once (Eq. 8)
#
# A video is $N$ frames $\mathbf{v}^{1:N}$. Noise is drawn for each of them, the timestep is the
# same for all, and one network predicts the noise of all frames together:
#
# $$\min_\theta\ \mathbb{E}\ \lVert \boldsymbol\epsilon_\theta(\mathbf{v}_t^{1:N}, t, c) -
# \boldsymbol\epsilon_t^{1:N} \rVert \tag{8}$$
#
# It looks like Eq. 7 with a longer vector. The news is in what is left unsaid: the prediction
# $\boldsymbol\epsilon_\theta^n$ for frame $n$ may depend on *all* noisy frames. (The norm is
# printed without a square. What is minimised in practice is the mean square.)

# %%
scene = Scene("ball", "red", "on the road", motion=path([(0.45, 0.15), (0.6, 0.85)]))
clip = scene.render()
generator = torch.Generator().manual_seed(0)
noise = torch.randn(1, *clip.shape, generator=generator)
t = 600
noisy = add_noise(clip[None], noise, t, base.alphas_cumprod)
words = base.encode_text([scene.caption()])

# %%
predict = partial(base.predict_noise, text=words)
loss = noise_loss(predict, clip[None], noise, torch.tensor([t]), base.alphas_cumprod)
print(f"Eq. 8 on one clip at t = {t}, as a mean square: {loss.item():.3f}")

# %% [markdown]
# The U-Net has a switch that skips every layer which sees more than one frame. So the same weights
# can be asked for the same noise twice: with the frames together, and with each frame alone.

# %%
together = predict(noisy, t)
base.unet.temporal = False
alone = predict(noisy, t)
base.unet.temporal = True

# %%
seen = [tweedie(noisy, e, t, base.alphas_cumprod)[0].clamp(-1, 1) for e in (together, alone)]
show(
    clip,
    noisy[0].clamp(-1, 1),
    *seen,
    labels=["the clip", f"noised, t = {t}", "denoised, frames together", "denoised, each alone"],
)

# %% [markdown]
# Compare the last two from frame to frame. Where they differ, one frame has told another something
# about the clip: eight noisy views of one road say more about the road than a single one.
#
# Who hears of whom can be tested. Give the fourth frame other noise, leave the rest as it is, and
# see which predictions change:

# %%
disturbed = noisy.clone()
disturbed[:, :, 3] += 0.1 * torch.randn(noisy[:, :, 3].shape, generator=generator)


def frames_that_change():
    change = predict(disturbed, t) - predict(noisy, t)
    return [n for n in range(1, 9) if change[:, :, n - 1].abs().max() > 1e-5]


# %%
# NBVAL_CHECK_OUTPUT
print("frames together:", frames_that_change())
base.unet.temporal = False
print("each frame alone:", frames_that_change())
base.unet.temporal = True

# %% [markdown]
# ## 2. Inflation: a layer for pictures meets a video
#
# The tiny keyframe model did not start from nothing. It began as a text-to-image model. With its
# temporal layers skipped it was trained further on single pictures, in turn with clips, so that
# this is still in it and can be loaded. What does it make of eight frames? The trick is called
# *inflation*, and
# for layers that work on single pictures there is nothing to it: the frames are put beside the
# batch, the layer sees a pile of pictures, and the pile is taken apart again.

# %% [markdown]
# ### Exercise 2.1: inflate a layer
#
# *Difficulty ●○○, 5 minutes.* `layer` takes pictures, `(batch, channel, height, width)`, and may
# change the number of channels. Make it work on a video, `(batch, channel, frame, height, width)`.

# %%
from vmc.exercises import check


def inflated(layer, video):
    """What `layer` makes of every frame; frames stay on axis 2."""
    ...


check("inflated", inflated)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `video.transpose(1, 2)` brings the frames beside the batch. Only then may `flatten(0, 1)` make one
# axis of both. On the way back, `unflatten` first and exchange the axes afterwards.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def inflated(layer, video):
#     pictures = video.transpose(1, 2).flatten(0, 1)
#     frames = layer(pictures).unflatten(0, (len(video), -1))
#     return frames.transpose(1, 2)
# ```
#
# A `reshape` alone would also give tensors of the right shape, with pictures that mix the channels
# of one frame with those of the next. Nothing warns of that.
#
# </details>

# %% [markdown]
# The paper describes it in other words: "2D convolution layers are inflated to 3D convolution
# layers by altering kernels". A kernel of 3 × 3 becomes one of 1 × 3 × 3, one frame deep. It is the
# same function:

# %%
# NBVAL_CHECK_OUTPUT
weight = torch.randn(5, 3, 3, 3, generator=generator)
altered = F.conv3d(noisy, weight[:, :, None], padding=(0, 1, 1))
folded = F.conv2d(noisy[0].transpose(0, 1), weight, padding=1).transpose(0, 1)[None]
print("one and the same:", torch.allclose(altered, folded, atol=1e-4))

# %% [markdown]
# Show-1's code, and ours, folds. So a picture's weights serve a video as they are, and an inflated
# image model is a video model of a sort. Of what sort? Think before you run the next cell: it draws
# eight frames of "a blue star is moving on the snow", each from its own noise.

# %%
from vmc.backbones.tiny import load_backbone

prompt = "a blue star is moving on the snow"
image_model = vmc.Cascade(load_backbone(stage="image"))
with progress() as on_step:
    pictures = image_model.generate(prompt, until="keyframes", on_step=on_step)

# %%
alt = f"eight frames by the inflated image model: {prompt}"
show(pictures.keyframes, labels=["inflated image model"], height=160, alt=alt)

# %% [markdown]
# Eight answers to one prompt. Even had each of them been perfect, nothing would make the star of
# the second frame the one of the first, in a place that it could have reached.

# %% [markdown]
# ## 3. Temporal convolution: the neighbours in time
#
# The first remedy is a kernel that is three frames deep and one pixel wide. It leaves pixels alone
# and mixes each frame with the one before and the one after:
#
# $$\mathbf{h}'^{\,n} = W_{-1} \mathbf{h}^{n-1} + W_0\, \mathbf{h}^n + W_{+1} \mathbf{h}^{n+1} +
# \mathbf{b}$$
#
# where each $W$ maps channels to channels at one pixel. The library's layer holds four of them in a
# row, each after a group norm and a SiLU, with a detour around all four. Let us look at one:

# %%
# NBVAL_CHECK_OUTPUT
from vmc.backbones.temporal import TemporalConvolution

layer = TemporalConvolution(32, 32)
convolution = layer.conv1[-1]
print(convolution)

# %% [markdown]
# By hand, for the third frame of a random hidden state of six frames:

# %%
# NBVAL_CHECK_OUTPUT
hidden = torch.randn(1, 32, 6, 4, 5, generator=generator)  # (batch, channel, frame, height, width)
before, now, after = hidden[0, :, 1:4].unbind(1)  # frames 2, 3 and 4
w = convolution.weight[..., 0, 0]  # (to channel, from channel, frame)
third = sum(torch.einsum("oc,chw->ohw", w[..., i], h) for i, h in enumerate((before, now, after)))
third = third + convolution.bias[:, None, None]
print("by hand as by the layer:", torch.allclose(third, convolution(hidden)[0, :, 2], atol=1e-5))

# %% [markdown]
# What of the first frame, which has none before it? There the kernel reaches into zeros. So the
# ends of a clip are marked, and this will matter in section 4.

# %% [markdown]
# ### Exercise 2.2: a temporal convolution
#
# *Difficulty ●●○, 7 minutes.* Write it for all frames. `weight` is (out channel, in channel, 3),
# where `weight[:, :, 0]` belongs to the frame before, and beyond both ends are zeros.


# %%
def temporal_convolution(video, weight, bias):
    """(batch, in, frame, height, width) → (batch, out, frame, height, width)."""
    ...


check("temporal_convolution", temporal_convolution)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `F.conv3d` does it, with a kernel of 3 × 1 × 1 and a padding that differs between time and space.
# Or move the pixels into the batch and use `F.conv1d`.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def temporal_convolution(video, weight, bias):
#     return F.conv3d(video, weight[..., None, None], bias, padding=(1, 0, 0))
# ```
#
# </details>

# %% [markdown]
# ### Added, and yet nothing has changed
#
# New layers in a trained network would ruin it, if they did not start as the identity. The last of
# the four convolutions is zero at first, so that only the detour is left:

# %%
# NBVAL_CHECK_OUTPUT
frames = hidden[0].transpose(0, 1)  # frames beside the batch, as inside of the U-Net
print("a new temporal convolution changes nothing:", torch.equal(layer(frames, 6), frames))

# %% [markdown]
# Our tiny keyframe model was made in this way: an image model, temporal layers that at first were
# the identity, and then training on clips, with single pictures in turn.

# %% [markdown]
# ## 4. Temporal attention: any frame, whatever its distance
#
# Three frames are a short view. In *temporal attention* each frame can take from every other. It
# runs at each pixel by itself, and its tokens are the $N$ frames of that pixel: with their features
# $H$ as rows, one for each frame,
#
# $$A = \operatorname{softmax}\!\left(\frac{(H W^Q)(H W^K)^\top}{\sqrt{d}}\right),\qquad H' = A\,
# (H W^V)\, W^O .$$
#
# $A$ is an $N \times N$ table: row $n$ says how much frame $n$ takes from each frame. **The
# matrices $W^Q$, $W^K$ and $W^V$ are all that VMC tunes.** First by hand at a single pixel, with a
# single head:

# %%
from vmc.backbones.temporal import TemporalTransformer

with torch.random.fork_rng():
    torch.manual_seed(0)
    transformer = TemporalTransformer(32, heads=1, norm_num_groups=8).requires_grad_(False)
attention = transformer.transformer_blocks[0].attn1
tokens = hidden.flatten(3).permute(0, 2, 3, 1)  # (batch, frame, pixel, channel)

# %%
# NBVAL_CHECK_OUTPUT
H = tokens[0, :, 7]  # the six frames of pixel 7
Q, K, V = attention.to_q(H), attention.to_k(H), attention.to_v(H)
A = (Q @ K.T / 32**0.5).softmax(-1)
by_hand = attention.to_out[0](A @ V)
print("A is", tuple(A.shape), "and its rows sum to 1:", torch.allclose(A.sum(-1), torch.ones(6)))
print("as by the layer:", torch.allclose(by_hand, attention(tokens)[0, :, 7], atol=1e-5))

# %% [markdown]
# ### Exercise 2.3: temporal attention
#
# *Difficulty ●●●, 12 minutes.* Write it for all pixels and with heads: each head compares and mixes
# its own `channel / heads` channels, which lie together. Queries, keys and values are given,
# already multiplied by their matrices; the output projection is left out.


# %%
def temporal_attention(query, key, value, heads):
    """All of shape (batch, frame, pixel, channel); so is the result."""
    ...


check("temporal_attention", temporal_attention)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `x.unflatten(-1, (heads, -1))` splits the channels. Then bring frames and channels of a head to
# the end, with `permute(0, 2, 3, 1, 4)`, so that `@` works on them for all pixels and heads at
# once.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def temporal_attention(query, key, value, heads):
#     q, k, v = (
#         x.unflatten(-1, (heads, -1)).permute(0, 2, 3, 1, 4) for x in (query, key, value)
#     )  # (batch, pixel, head, frame, width)
#     weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
#     return (weights @ v).permute(0, 3, 1, 2, 4).flatten(-2)
# ```
#
# </details>

# %% [markdown]
# ### It does not know what comes first
#
# Nothing in these formulas says where in time a frame stands, and Show-1 adds no position to the
# tokens. **Predict:** if the frames are shuffled, what does each of the two layers return?

# %%
# NBVAL_CHECK_OUTPUT
shuffle = torch.tensor([3, 0, 5, 1, 4, 2])


def follows(temporal_layer):
    before, after = temporal_layer(frames[shuffle], 6), temporal_layer(frames, 6)[shuffle]
    return torch.allclose(before, after, atol=1e-4)


torch.nn.init.constant_(layer.conv4[-1].weight, 0.02)  # no longer the identity
with torch.no_grad():
    print("attention: shuffled in, shuffled out in the same way:", follows(transformer))
    print("convolution:", follows(layer))

# %% [markdown]
# Attention treats frames as a set: for it, a clip and its reverse hold the same pairs. In Show-1,
# before and after come from the temporal convolutions, whose kernels tell the two neighbours apart
# and whose zeros mark the ends; attention sees the trace that they left in the hidden state.
#
# There is a shorter way: to tell a network each frame's number, by input channels beside those of
# the picture. Does ours have any?

# %%
beside = base.unet.conv_in.in_channels - 3 * base.denoiser.patch**2  # a patch holds 3 · patch²
print(f"input channels of the tiny U-Net beside the picture's: {beside}")

# %% [markdown]
# With none, it knows the order of frames as Show-1 does. Any more say where in time and in the
# frame each patch stands, and attention finds that, too, in the hidden state. The attention itself
# is the same in both cases, and has no order.
#
# The other extreme: if all frames are the same, they cannot be told apart, and each takes from all
# alike.

# %%
# NBVAL_CHECK_OUTPUT
from vmc.attention_maps import temporal_attention_maps

with temporal_attention_maps(transformer) as maps, torch.no_grad():
    transformer(frames[:1].expand(6, -1, -1, -1), 6)
first = maps["transformer_blocks.0.attn1"]
print(tuple(first.shape), "of which each is 1/6:", torch.allclose(first, torch.tensor(1 / 6)))

# %% [markdown]
# ## 5. What one map looks like
#
# The tool of the last cell works on the trained model, too: it leaves the results as they are and
# keeps the table $A$ of every temporal attention, for each head and pixel. We give it two clips,
# with the same noise: the ball that rolls, and one that stays where it is.

# %%
resting = scene.with_(motion=path([(0.5, 0.5), (0.5, 0.5)])).render()
t = 100
recorded = {}
for name, source in {"moving": clip, "still": resting}.items():
    with temporal_attention_maps(cascade) as recorded[name]:
        predict(add_noise(source[None], noise, t, base.alphas_cumprod), t)

# %%
layers = list(recorded["moving"])
heads, height, width = recorded["moving"][layers[-1]].shape[1:4]
print(f"{len(layers)} temporal attentions; the last: {heads} heads at {height} × {width} pixels")

# %% [markdown]
# **Predict** the map at a pixel that the ball crosses in the middle of the clip. Which frames will
# take from which? And what will the map be at the same pixel when the ball rests there the whole
# time?

# %%
explore_attention(recorded["moving"], clip, layer=layers[-1], pixel=(21, 32))

# %%
explore_attention(recorded["still"], resting, layer=layers[-1], pixel=(21, 32))

# %% [markdown]
# Mind the colour bars: an even map has 1/8 = 0.125 everywhere. What you see is the mean of all
# heads, each of which may look elsewhere; with a running kernel you can pick one. At a pixel that
# shows road, ball and road again, look for two groups of frames, and for who takes from whom. Where
# a pixel never changes, its frames differ by their noise, and by what tells their place in the
# clip: look for columns that stand out, at the ends for instance.
#
# One number tells how far a row is from even: the share of its attention that would have to move.
# Here it is for each frame and pixel, again the mean of all heads, white where attention is least
# even:

# %%
from vmc.attention_maps import unevenness

share = {name: unevenness(maps[layers[-1]])[0] for name, maps in recorded.items()}
brightest = max(x.max() for x in share.values())
traces = [(2 * x / brightest - 1).expand(3, -1, -1, -1) for x in share.values()]
show(
    clip,
    traces[0],
    resting,
    traces[1],
    labels=["moving", "how uneven its attention is", "still", "how uneven its attention is"],
    height=100,
)

# %%
rows = [
    [name, *(unevenness(maps[name]).mean().item() for maps in recorded.values())] for name in layers
]
table(["temporal attention", "moving", "still"], rows)

# %% [markdown]
# Compare the two columns, layer by layer: a higher number under *moving* says that this layer has
# more to say where something moves. These layers relate each frame of a clip to all others. That
# makes them a place to put a motion in, and the paper tunes them and no others.

# %% [markdown]
# ## 6. With the temporal layers switched off
#
# Section 1 did it for a single prediction. Now for a whole generation, from the same noise. What
# will be left of the video? Will the frames still show a star on snow?

# %%
with progress() as on_step:
    joint = cascade.generate(prompt, until="keyframes", on_step=on_step).keyframes
base.unet.temporal = False
with progress() as on_step:
    apart = cascade.generate(prompt, until="keyframes", on_step=on_step).keyframes
base.unet.temporal = True

# %%
show(joint, apart, labels=["temporal layers on", "temporal layers off"], height=160)

# %%
from vmc.motion import frame_residual

rows = [
    [name, frame_residual(x).abs().mean().item()]
    for name, x in {"on": joint, "off": apart, "the rendered clip": clip}.items()
]
table(["temporal layers", "mean change of a pixel from frame to frame"], rows)

# %% [markdown]
# If the second number is the larger one, the frames have fallen apart. The pictures tell more: what
# is drawn in each frame, and whether it is the same thing in the next. What a single frame looks
# like comes from the layers that stayed on. Are these the pictures of section 2, which started from
# the same noise?

# %%
moved = (apart - pictures.keyframes).abs().mean().item()
print(f"mean difference from the pictures of section 2: {moved:.3f}")

# %% [markdown]
# Zero says that it is one network: our image model *is* the keyframe model without its temporal
# layers, because it was trained both ways (section 2). Who trains the temporal layers alone, and
# leaves the image model as it was, gets zero too. Who trains all layers on clips only does not:
# then they come to rely on one another. All of this is done in practice.

# %% [markdown]
# ## 7. The cascade, opened up (Fig. 2)
#
# Drawing 29 large frames at once would be too dear. A *cascade* divides the work, and each stage is
# a U-Net of the same kind with temporal layers of its own:

# %%
networks = {"keyframes": base.denoiser, "interpolation": cascade.interpolation.denoiser}
networks |= {f"to {s.size[0]} × {s.size[1]}": s.denoiser for s in cascade.super_resolution}
rows = [
    [name, n.unet.conv_in.in_channels, n.patch, f"{sum(p.numel() for p in n.parameters()):,}"]
    for name, n in networks.items()
]
table(["stage", "channels that it sees", "pixels a patch", "parameters"], rows)

# %% [markdown]
# - **Keyframes**: from words and noise, 8 frames of 40 × 64.
# - **Interpolation**: between two neighbouring keyframes come three more. Seven windows of five
#   frames, each of which is shown its two ends beside the noise.
# - **Super-resolution**, twice: to 160 × 256, then to 320 × 576, in windows of eight frames. Each
#   is shown the small frames, and the last large frame of the window before.
#
# What a stage is shown comes in as further channels. (Each tiny network cuts its frames into
# patches of a few pixels and sees the pixels of a patch as channels, which is cheap and loses
# nothing. The keyframe network has those of section 4 besides, if any. Show-1 has no patches, and
# its last stage works in an autoencoder's latent space.)
#
# Only the first stage decides what moves and how. So it is the only one that VMC touches: the paper
# *freezes* the rest.

# %%
with progress() as on_step:
    full = cascade.generate(prompt, on_step=on_step)

# %%
# NBVAL_CHECK_OUTPUT
for name in ("keyframes", "interpolated", "enlarged", "video"):
    print(f"{name:12}", tuple(getattr(full, name).shape))

# %%
explore_cascade(full)

# %% [markdown]
# From row to row, watch what a stage adds and what it leaves alone. The later stages
# are not asked to put the first one right: where the keyframes jump, interpolation is to fill the
# jump in. A still of eight frames out of 29, evenly spread, shows just those that stand where the
# keyframes do. Here is what lies between, for the two keyframes that differ most:

# %%
n = frame_residual(full.keyframes).abs().mean((0, 2, 3)).argmax().item()
labels = [f"keyframes {n + 1} and {n + 2}", "with interpolation"]
show(full.keyframes[:, n : n + 2], full.interpolated[:, 4 * n : 4 * n + 5], labels=labels)

# %% [markdown]
# Is each frame between them one picture on its way, or a blend of both ends?

# %% [markdown]
# ### Inside the keyframe U-Net
#
# Down to coarse pictures, up to fine ones again, with detours for what would get lost on the way.
# Frames stand beside the batch in all of it. Every block tells its shape as one clip goes through:

# %%
unet, rows = base.unet, []
blocks = {f"down {i + 1}": block for i, block in enumerate(unet.down_blocks)}
blocks |= {"middle": unet.mid_block}
blocks |= {f"up {i + 1}": block for i, block in enumerate(unet.up_blocks)}


def note(name):
    def hook(block, inputs, output):
        hidden = output[0] if isinstance(output, tuple) else output
        rows.append([name, *hidden.shape, len(block.temp_convs), block.num_attentions])

    return hook


# %%
hooks = [block.register_forward_hook(note(name)) for name, block in blocks.items()]
predict(noisy, t)
for hook in hooks:
    hook.remove()
columns = ["after", "batch · frame", "channels", "height", "width"]
table([*columns, "temporal convolutions", "temporal transformers"], rows)

# %% [markdown]
# In Show-1 the finest level has temporal convolutions and no attention, which would be dearest
# there. Ours is small and attends at every level, so there is no zero in the last column. Each
# temporal transformer holds two attentions in a row, both of them temporal. Which parts of the
# network they are, in numbers:


# %%
def share_of(unet, part):
    named = unet.named_parameters()
    return sum(p.numel() for name, p in named if part in name) / 1e6


def parts(unet):
    names = {"all": "", "temporal attention": "temp_attentions", "temporal conv.": "temp_convs"}
    return {name: share_of(unet, part) for name, part in names.items()}


# %%
tuned = sum(p.numel() for p in base.temporal_qkv().values())
rows = [[name, millions] for name, millions in parts(unet).items()]
table(["keyframe U-Net", "million parameters"], [*rows, ["tuned: q, k, v", tuned / 1e6]])

# %% [markdown]
# ## 8. The same class at Show-1's size
#
# The paper tunes Show-1. Its keyframe model is this very U-Net class with larger numbers in the
# constructor, which are the defaults. On PyTorch's *meta* device tensors have a shape and no
# memory, so we can build it here, count it, and do nothing else with it.
#
# **Guess first:** how many times as large is it as the tiny one?

# %%
# NBVAL_CHECK_OUTPUT
from vmc.backbones.unet import PixelUNet3D

with torch.device("meta"):
    show1 = PixelUNet3D()
print(
    f"{len(show1.state_dict()):,} tensors, {sum(p.numel() for p in show1.parameters()):,} numbers"
)

# %%
# NBVAL_CHECK_OUTPUT
qkv = [
    p
    for name, p in show1.named_parameters()
    if "temp_attentions" in name and name.endswith(("to_q.weight", "to_k.weight", "to_v.weight"))
]
print(f"VMC tunes {len(qkv)} matrices with {sum(p.numel() for p in qkv):,} numbers")

# %%
# NBVAL_CHECK_OUTPUT
for name, millions in parts(show1).items():
    print(f"{name:20}{millions:8.1f} million")

# %% [markdown]
# In single precision these are 6.9 GB of weights, and a plain training run needs that three times
# more, for gradients and two moments. Of the queries, keys and values of the temporal attention,
# there are 8 % of that to train. It is a good part of how the paper gets by with 15 GB, and it is
# all that a file with a learned motion has to hold.
#
# The tiny model has the same state-dict names, the same kinds of layers in the same order, and the
# same stages. What you learn on it carries over; how it draws does not.

# %% [markdown]
# ## What to keep
#
# - A video model predicts the noise of all frames together (Eq. 8).
# - Inflation costs nothing and gives nothing: frames beside the batch, each by itself.
# - Temporal convolution mixes neighbours and knows the order of frames. Temporal attention mixes
#   all frames of a pixel, by likeness, and by itself does not.
# - Both start as the identity, on top of an image model.
# - The keyframe stage decides on the motion, and within it VMC tunes $W^Q, W^K, W^V$ of the
#   temporal attentions.
#
# What the network is to learn from a clip is a matter of the loss: [the next
# notebook](03_motion_vectors.ipynb).
#
# ## Things to try
#
# - The maps at high noise: set `t = 800` in section 5. Do frames still fall into groups?
# - Another pixel, one of the road that the ball never reaches.
# - Switch off only the attentions: `vmc.backbones.temporal.zero_output` makes a temporal layer the
#   identity. Load a fresh cascade for it, since it overwrites weights.
# - Other clips in section 5: `Scene("bird", "green", "in the forest", "spiral").render()`.
