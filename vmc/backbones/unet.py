"""Show-1's pixel U-Net (arXiv:2309.15818) at any size.

An image U-Net of the DeepFloyd IF family, with a temporal convolution after every residual block
and a temporal transformer after every spatial attention. Frames are folded into the batch; only
the two temporal layers of `vmc.backbones.temporal` see more than one of them. Constructor
arguments and state-dict names are the published ones, so published weights load unchanged.
"""

from collections.abc import Sequence

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.activations import get_activation
from diffusers.models.embeddings import TextTimeEmbedding, TimestepEmbedding, Timesteps
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float, Int
from torch import Tensor, nn

from vmc.backbones.stages import DownStage, MiddleStage, UpStage
from vmc.backbones.temporal import TemporalConvolution, TemporalTransformer, zero_output
from vmc.errors import BadInput

# Arguments which published configurations carry along and this U-Net has only one answer to.
FIXED = {
    "addition_time_embed_dim": None,
    "center_input_sample": False,
    "class_embeddings_concat": False,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "downsample_padding": 1,
    "dual_cross_attention": False,
    "mid_block_only_cross_attention": None,
    "mid_block_type": "UNetMidBlock3DSimpleCrossAttn",
    "num_attention_heads": None,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "projection_class_embeddings_input_dim": None,
    "time_cond_proj_dim": None,
    "time_embedding_dim": None,
    "time_embedding_type": "positional",
    "timestep_post_act": None,
    "transformer_layers_per_block": 1,
    "transfromer_in_opt": False,
    "upcast_attention": False,
    "use_linear_projection": False,
}
ALIASES = {"out_scale": "resnet_out_scale_factor", "skip_time_act": "resnet_skip_time_act"}


def _per_stage(value, stages: int, name: str) -> list:
    values = [value] * stages if isinstance(value, int) else list(value)
    if len(values) != stages:
        raise BadInput(
            f"{name} has {len(values)} entries for {stages} resolutions; "
            "give one number, or one for each of block_out_channels."
        )
    return values


def _attends(block_types, way: str, stages: int) -> list[bool]:
    """Which stages on the way Down or Up attend to pixels and text."""
    known = [f"Resnet{way}sampleBlock3D", f"SimpleCrossAttn{way}Block3D"]
    if len(block_types) != stages or not set(block_types) <= set(known):
        raise BadInput(
            f"{way.lower()}_block_types is {list(block_types)}; give one of {' and '.join(known)} "
            f"for each of the {stages} block_out_channels."
        )
    return [kind == known[1] for kind in block_types]


class PixelUNet3D(ModelMixin, ConfigMixin):
    """Noise prediction in pixels for clips, conditioned on text and, optionally, on a noise level.

    Arguments are those of the published configurations (diffusers' UNet2DConditionModel naming);
    `temporal_dropout` is the dropout in temporal convolutions. Set `unet.temporal = False` to
    skip every temporal layer, so that the frames are independent images.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules = ["ResnetBlock2D", "TemporalConvolution", "TemporalTransformer"]
    ignore_for_config = ["kwargs"]

    @register_to_config
    def __init__(
        self,
        sample_size: int | None = None,
        in_channels: int = 3,
        out_channels: int = 6,
        down_block_types: Sequence[str] = ("ResnetDownsampleBlock3D",)
        + ("SimpleCrossAttnDownBlock3D",) * 3,
        up_block_types: Sequence[str] = ("SimpleCrossAttnUpBlock3D",) * 3
        + ("ResnetUpsampleBlock3D",),
        block_out_channels: Sequence[int] = (320, 640, 960, 1280),
        layers_per_block: int | Sequence[int] = 3,
        attention_head_dim: int | Sequence[int] = 64,
        cross_attention_dim: int = 1280,
        cross_attention_norm: str | None = "group_norm",
        encoder_hid_dim: int = 4096,
        encoder_hid_dim_type: str | None = "text_proj",
        addition_embed_type: str | None = "text",
        addition_embed_type_num_heads: int = 64,
        class_embed_type: str | None = None,
        act_fn: str = "gelu",
        norm_num_groups: int = 32,
        norm_eps: float = 1e-5,
        dropout: int | float = 0.0,
        flip_sin_to_cos: bool = True,
        freq_shift: int = 0,
        time_embedding_act_fn: str | None = None,
        resnet_time_scale_shift: str = "scale_shift",
        resnet_skip_time_act: bool = False,
        resnet_out_scale_factor: int | float = 1.0,
        mid_block_scale_factor: int | float = 1.0,
        temporal_dropout: int | float = 0.1,
        **kwargs,
    ):
        super().__init__()
        for name, value in kwargs.items():
            if name in ALIASES:
                self.register_to_config(**{ALIASES[name]: value})
            elif name not in FIXED:
                raise BadInput(f"PixelUNet3D does not know the argument {name!r}; remove it.")
            elif value != FIXED[name]:
                raise BadInput(
                    f"PixelUNet3D was asked for {name}={value!r}; only {FIXED[name]!r} exists here."
                )
        resnet_out_scale_factor = self.config.resnet_out_scale_factor
        resnet_skip_time_act = self.config.resnet_skip_time_act
        self.temporal = True

        widths = list(block_out_channels)
        depth = len(widths)
        layers = _per_stage(layers_per_block, depth, "layers_per_block")
        head_dims = _per_stage(attention_head_dim, depth, "attention_head_dim")
        attends_down = _attends(down_block_types, "Down", depth)
        attends_up = _attends(up_block_types, "Up", depth)

        emb_dim = 4 * widths[0]
        self.conv_in = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.time_proj = Timesteps(widths[0], flip_sin_to_cos, freq_shift)
        self.time_embedding = TimestepEmbedding(widths[0], emb_dim, act_fn=act_fn)
        if encoder_hid_dim_type == "text_proj":
            self.encoder_hid_proj = nn.Linear(encoder_hid_dim, cross_attention_dim)
        if class_embed_type == "timestep":
            self.class_embedding = TimestepEmbedding(widths[0], emb_dim, act_fn=act_fn)
        if addition_embed_type == "text":
            self.add_embedding = TextTimeEmbedding(
                encoder_hid_dim, emb_dim, num_heads=addition_embed_type_num_heads
            )
        if time_embedding_act_fn:
            self.time_embed_act = get_activation(time_embedding_act_fn)

        resnet = dict(
            temb_channels=emb_dim,
            eps=norm_eps,
            groups=norm_num_groups,
            dropout=dropout,
            time_embedding_norm=resnet_time_scale_shift,
            non_linearity=act_fn,
            skip_time_act=resnet_skip_time_act,
        )
        outer = dict(resnet, output_scale_factor=resnet_out_scale_factor)
        shared = dict(
            text_dim=cross_attention_dim,
            cross_attention_norm=cross_attention_norm,
            temporal_dropout=temporal_dropout,
        )

        skips = [widths[0]]
        self.down_blocks = nn.ModuleList()
        for i, (width, count) in enumerate(zip(widths, layers, strict=True)):
            last = i == depth - 1
            self.down_blocks.append(
                DownStage(
                    [skips[-1]] + [width] * (count - 1),
                    width,
                    count if attends_down[i] else 0,
                    resnet=outer,
                    head_dim=head_dims[i],
                    resample=None if last else "down",
                    **shared,
                )
            )
            skips += [width] * (count if last else count + 1)

        self.mid_block = MiddleStage(
            [widths[-1]] * 2,
            widths[-1],
            1,
            resnet=dict(resnet, output_scale_factor=mid_block_scale_factor),
            head_dim=head_dims[-1],
            **shared,
        )

        self.up_blocks = nn.ModuleList()
        hidden = widths[-1]
        for i, (width, count) in enumerate(zip(widths[::-1], layers[::-1], strict=True)):
            inputs = [hidden] + [width] * count
            self.up_blocks.append(
                UpStage(
                    [into + skips.pop() for into in inputs],
                    width,
                    count + 1 if attends_up[i] else 0,
                    resnet=outer,
                    # Published quirk: this list is not reversed for the way up.
                    head_dim=head_dims[i],
                    resample=None if i == depth - 1 else "up",
                    **shared,
                )
            )
            hidden = width

        self.conv_norm_out = nn.GroupNorm(norm_num_groups, widths[0], eps=norm_eps)
        self.conv_act = get_activation(act_fn)
        self.conv_out = nn.Conv2d(widths[0], out_channels, 3, padding=1)

    def zero_temporal_outputs(self) -> None:
        """Make every temporal layer the identity: freshly added, they change nothing."""
        for module in self.modules():
            if isinstance(module, TemporalConvolution | TemporalTransformer):
                zero_output(module)

    def forward(
        self,
        sample: Float[Tensor, "batch channel frame height width"],
        timestep: int | float | Int[Tensor, ""] | Int[Tensor, "batch"],
        encoder_hidden_states: Float[Tensor, "batch token text"],
        class_labels: int | Int[Tensor, ""] | Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch out_channel frame height width"]:
        """Predict the noise (first half of the channels) and, if trained, its variance (second).

        `timestep` is in [0, 1000). Models with a class embedding need `class_labels`, the noise
        level of the conditioning image; others ignore it. Height and width are multiples of
        2^(resolutions − 1). Raises `BadInput` otherwise.
        """
        batch, _, frames, *size = sample.shape
        coarsest = 2 ** (len(self.down_blocks) - 1)
        if any(side % coarsest for side in size):
            raise BadInput(
                f"Frames of {size[0]}×{size[1]} cannot be halved {len(self.down_blocks) - 1} "
                f"times; height and width must be multiples of {coarsest}."
            )
        emb = self.time_embedding(self._sinusoids(timestep, sample))
        if hasattr(self, "class_embedding"):
            if class_labels is None:
                raise BadInput("This U-Net is conditioned on a noise level; pass class_labels.")
            emb = emb + self.class_embedding(self._sinusoids(class_labels, sample))
        text = encoder_hidden_states
        if hasattr(self, "add_embedding"):
            emb = emb + self.add_embedding(text)
        if hasattr(self, "time_embed_act"):
            emb = self.time_embed_act(emb)
        if hasattr(self, "encoder_hid_proj"):
            text = self.encoder_hid_proj(text)
        emb = emb.repeat_interleave(frames, dim=0)
        text = text.repeat_interleave(frames, dim=0)

        folded = sample.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        num_frames = frames if self.temporal else None
        hidden = self.conv_in(folded)
        skips = [hidden]
        for block in self.down_blocks:
            hidden, new = block(hidden, emb, text, num_frames)
            skips += new
        hidden = self.mid_block(hidden, emb, text, num_frames)
        for block in self.up_blocks:
            hidden = block(hidden, skips, emb, text, num_frames)
        hidden = self.conv_out(self.conv_act(self.conv_norm_out(hidden)))
        return hidden.unflatten(0, (batch, frames)).transpose(1, 2)

    def _sinusoids(self, timestep, sample: Tensor) -> Tensor:
        timestep = torch.as_tensor(timestep, device=sample.device).expand(sample.shape[0])
        return self.time_proj(timestep).to(self.conv_in.weight.dtype)
