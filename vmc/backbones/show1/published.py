"""The published sizes of Show-1's networks, to know them before anything is downloaded.

Read from the configurations on the hub. What is not public there is inferred: the interpolation
model is the keyframe model with seven input channels, as its file's size says; the last stage's
network is ModelScope's; IF-II-L's way up mirrors its way down.
"""

KEYFRAMES = {}  # PixelUNet3D's own defaults
INTERPOLATION = {"in_channels": 7}
WIDE = {
    "in_channels": 6,
    "out_channels": 6,
    "attention_head_dim": 64,
    "class_embed_type": "timestep",
    "encoder_hid_dim": 4096,
    "resnet_out_scale_factor": 1.4142271248762552,
    "mid_block_scale_factor": 1.4142271248762552,
    "resnet_skip_time_act": True,
    "time_embedding_act_fn": "gelu",
}
SR1 = WIDE | {
    "block_out_channels": (128, 256, 512, 768, 768),
    "layers_per_block": (2, 2, 3, 4, 2),
    "cross_attention_dim": 768,
    "down_block_types": ("ResnetDownsampleBlock3D",) * 3 + ("SimpleCrossAttnDownBlock3D",) * 2,
    "up_block_types": ("SimpleCrossAttnUpBlock3D",) * 2 + ("ResnetUpsampleBlock3D",) * 3,
}
IF_2 = WIDE | {
    "block_out_channels": (160, 320, 640, 960, 1280),
    "layers_per_block": (2, 2, 3, 5, 5),
    "cross_attention_dim": 1280,
    "down_block_types": ("ResnetDownsampleBlock2D",) * 3 + ("SimpleCrossAttnDownBlock2D",) * 2,
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "up_block_types": ("SimpleCrossAttnUpBlock2D",) * 2 + ("ResnetUpsampleBlock2D",) * 3,
    "cross_attention_norm": "group_norm",
    "encoder_hid_dim_type": "text_proj",
    "addition_embed_type": "text",
    "act_fn": "gelu",
    "resnet_time_scale_shift": "scale_shift",
}
SR2 = {}  # UNet3DConditionModel's own defaults
AUTOENCODER = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}
T5 = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
CLIP = {
    "vocab_size": 49408,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
}
