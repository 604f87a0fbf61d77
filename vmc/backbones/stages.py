"""The resolutions of Show-1's U-Net: residual blocks and attentions, each with its temporal twin.

Hidden states are images, (batch·frame, channel, height, width), frames fastest. `frames` is their
number, or None to leave every temporal layer out.
"""

import torch
from diffusers.models.attention_processor import Attention, AttnAddedKVProcessor2_0
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from vmc.backbones.temporal import TemporalConvolution, TemporalTransformer


class Stage(nn.Module):
    """The layers of one resolution.

    Layer j is a residual block and a temporal convolution, then, for the first
    `num_attentions` layers, a spatial attention (to pixels and text) and a temporal transformer.
    """

    gradient_checkpointing = False

    def __init__(
        self,
        in_channels: list[int],
        channels: int,
        num_attentions: int,
        *,
        resnet: dict,
        head_dim: int,
        text_dim: int,
        cross_attention_norm: str | None,
        temporal_dropout: float,
        resample: str | None = None,
    ):
        super().__init__()
        groups = resnet["groups"]
        self.resnets = nn.ModuleList(
            ResnetBlock2D(in_channels=width, out_channels=channels, **resnet)
            for width in in_channels
        )
        self.temp_convs = nn.ModuleList(
            TemporalConvolution(channels, channels, dropout=temporal_dropout) for _ in in_channels
        )
        if num_attentions:
            self.attentions = nn.ModuleList(
                Attention(
                    query_dim=channels,
                    cross_attention_dim=channels,
                    heads=channels // head_dim,
                    dim_head=head_dim,
                    added_kv_proj_dim=text_dim,
                    norm_num_groups=groups,
                    bias=True,
                    upcast_softmax=True,
                    cross_attention_norm=cross_attention_norm,
                    processor=AttnAddedKVProcessor2_0(),
                )
                for _ in range(num_attentions)
            )
            # Published quirk: `attention_head_dim` is the number of heads here, not their width.
            self.temp_attentions = nn.ModuleList(
                TemporalTransformer(channels, heads=head_dim, norm_num_groups=groups)
                for _ in range(num_attentions)
            )
        self.num_attentions = num_attentions
        if resample:
            sampler = ResnetBlock2D(in_channels=channels, **{resample: True}, **resnet)
            setattr(self, f"{resample}samplers", nn.ModuleList([sampler]))

    def layer(
        self, j: int, hidden: Tensor, emb: Tensor, text: Tensor, frames: int | None
    ) -> Tensor:
        hidden = self.resnets[j](hidden, emb)
        if frames:
            hidden = self.temp_convs[j](hidden, frames)
        if j < self.num_attentions:
            hidden = self.attentions[j](hidden, encoder_hidden_states=text)
            if frames:
                hidden = self.temp_attentions[j](hidden, frames)
        return hidden

    def run_layer(self, *inputs) -> Tensor:
        """`layer`, whose activations are computed again in the backward pass if so asked."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(self.layer, *inputs)
        return self.layer(*inputs)


class DownStage(Stage):
    def forward(
        self, hidden: Tensor, emb: Tensor, text: Tensor, frames: int | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the output and the skips: the output of every layer and of the downsampling."""
        skips = []
        for j in range(len(self.resnets)):
            hidden = self.run_layer(j, hidden, emb, text, frames)
            skips.append(hidden)
        if hasattr(self, "downsamplers"):
            hidden = self.downsamplers[0](hidden, emb)
            skips.append(hidden)
        return hidden, skips


class MiddleStage(Stage):
    def forward(self, hidden: Tensor, emb: Tensor, text: Tensor, frames: int | None) -> Tensor:
        for j in range(len(self.resnets)):
            hidden = self.run_layer(j, hidden, emb, text, frames)
        return hidden


class UpStage(Stage):
    def forward(
        self, hidden: Tensor, skips: list[Tensor], emb: Tensor, text: Tensor, frames: int | None
    ) -> Tensor:
        """Takes what it needs from the end of `skips`."""
        for j in range(len(self.resnets)):
            hidden = torch.cat([hidden, skips.pop()], dim=1)
            hidden = self.run_layer(j, hidden, emb, text, frames)
        if hasattr(self, "upsamplers"):
            hidden = self.upsamplers[0](hidden, emb)
        return hidden
