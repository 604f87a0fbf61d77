"""The network of Show-1's last stage, which works on latents: ModelScope's, with two differences.

Show-1's own class reads `attention_head_dim` as the number of heads, where diffusers' class of the
same name takes it for their width; and the temporal transformer at the entrance is optional.
Names and shapes of the weights cannot tell them apart, so the configuration has to.
"""

from diffusers import UNet3DConditionModel
from diffusers.models.attention_processor import Attention
from torch import nn

from vmc.errors import BadInput

# What Show-1's configurations carry along and this network has only one answer to.
FIXED = {
    "addition_embed_type": None,
    "center_input_sample": False,
    "class_embed_type": None,
    "class_embeddings_concat": False,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "cross_attention_norm": None,
    "dual_cross_attention": False,
    "encoder_hid_dim": None,
    "encoder_hid_dim_type": None,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "mid_block_type": "UNetMidBlock3DCrossAttn",
    "num_class_embeds": None,
    "only_cross_attention": False,
    "resnet_skip_time_act": False,
    "resnet_time_scale_shift": "default",
    "time_embedding_act_fn": None,
    "time_embedding_dim": None,
    "time_embedding_type": "positional",
    "timestep_post_act": None,
    "transformer_layers_per_block": 1,
    "upcast_attention": False,
    "use_linear_projection": True,
}
# Arguments without a part in the computation of such a network.
IDLE = {
    "addition_embed_type_num_heads",
    "addition_time_embed_dim",
    "mid_block_only_cross_attention",
    "projection_class_embeddings_input_dim",
    "resnet_out_scale_factor",
}


class _Nothing(nn.Module):
    def forward(self, hidden, **_):
        return (hidden,)


def latent_unet(**config) -> UNet3DConditionModel:
    """A network of this configuration, in either class's terms; BadInput where there is none.

    A configuration with `transfromer_in_opt` (sic) is one of Show-1's class.
    """
    if "transfromer_in_opt" not in config:
        return UNet3DConditionModel(**config)
    entrance, heads = config.pop("transfromer_in_opt"), config["attention_head_dim"]
    for name, expected in FIXED.items():
        if (value := config.pop(name, expected)) != expected:
            raise BadInput(
                f"The last stage was asked for {name}={value!r}; only {expected!r} exists here."
            )
    if not isinstance(heads, int):
        raise BadInput(f"The last stage needs one attention_head_dim for all blocks, not {heads}.")
    network = UNet3DConditionModel(**{n: v for n, v in config.items() if n not in IDLE})
    if not entrance:
        network.transformer_in = _Nothing()
    for name, module in network.named_modules():
        if isinstance(module, Attention) and not name.startswith("transformer_in."):
            module.heads = heads
            module.scale = (module.inner_dim // heads) ** -0.5
    return network
