"""Show-1's cascade in miniature. Every repository becomes a sub-folder of its own name."""

import json
from pathlib import Path

from diffusers import (
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    UNet2DConditionModel,
)
from safetensors.torch import save_file

from vmc.backbones.miniature.latent import save_latent_unet
from vmc.backbones.miniature.parts import (
    COSINE,
    SCALED_LINEAR,
    TEXT_WIDTH,
    made,
    save_autoencoder,
    save_clip,
    save_t5,
    write_index,
)
from vmc.backbones.unet import FIXED, PixelUNet3D

SHOW1_UNET = FIXED | {
    "_class_name": "UNet3DConditionModel",  # as the published code calls it
    "act_fn": "gelu",
    "addition_embed_type": "text",
    "addition_embed_type_num_heads": 4,
    "attention_head_dim": 8,
    "block_out_channels": [32, 64],
    "class_embed_type": None,
    "cross_attention_dim": 64,
    "cross_attention_norm": "group_norm",
    "down_block_types": ["ResnetDownsampleBlock3D", "SimpleCrossAttnDownBlock3D"],
    "encoder_hid_dim": TEXT_WIDTH,
    "encoder_hid_dim_type": "text_proj",
    "in_channels": 3,
    "layers_per_block": 1,
    "mid_block_scale_factor": 1,
    "norm_num_groups": 32,
    "out_channels": 6,
    "resnet_out_scale_factor": 1.0,
    "resnet_skip_time_act": False,
    "resnet_time_scale_shift": "scale_shift",
    "sample_size": 64,
    "time_embedding_act_fn": None,
    "up_block_types": ["SimpleCrossAttnUpBlock3D", "ResnetUpsampleBlock3D"],
}
SHOW1_SOLVER = COSINE | {
    "algorithm_type": "dpmsolver++",
    "prediction_type": "epsilon",
    "sample_max_value": 1.5,
    "solver_order": 2,
    "thresholding": True,
    "dynamic_thresholding_ratio": 0.95,
    "variance_type": "fixed_small",
}


def show1(folder: str | Path) -> Path:
    """Show-1's cascade: the keyframe, interpolation and two enlarging models, and IF-II-L.

    Returns the folder; about 30 MB.
    """
    folder = Path(folder)
    wide = {**SHOW1_UNET, "class_embed_type": "timestep", "resnet_skip_time_act": True}
    wide |= {"in_channels": 6, "time_embedding_act_fn": "gelu", "layers_per_block": [1, 2]}
    wide |= {"resnet_out_scale_factor": 1.4142271248762552}
    wide |= {"mid_block_scale_factor": 1.4142271248762552}
    stages = {
        "show-1-base": (SHOW1_UNET, -5.1),
        "show-1-interpolation": ({**SHOW1_UNET, "in_channels": 7}, -5.1),
        "show-1-sr1": (wide, -float("inf")),
    }
    for name, (config, lambda_min_clipped) in stages.items():
        solver = DPMSolverMultistepScheduler(**SHOW1_SOLVER, lambda_min_clipped=lambda_min_clipped)
        solver.save_pretrained(folder / name / "scheduler")
        _save_show1_unet(folder / name / "unet", config)
        save_t5(folder / name)
    DDPMScheduler(**COSINE).save_pretrained(folder / "show-1-sr1" / "image_noising_scheduler")
    _save_if_2(folder / "IF-II-L-v1.0")
    _save_show1_sr2(folder / "show-1-sr2")
    for name in (*stages, "IF-II-L-v1.0"):
        pipeline = "TextToVideoIFPipeline" if name in stages else "IFSuperResolutionPipeline"
        write_index(folder / name, pipeline)
    return folder


def _save_show1_unet(folder: Path, config: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    arguments = {name: value for name, value in config.items() if name != "_class_name"}
    unet = made(PixelUNet3D, **arguments)
    save_file(unet.state_dict(), folder / "diffusion_pytorch_model.safetensors")


def _save_if_2(folder: Path) -> None:
    """DeepFloyd's image super-resolution, which sharpens the first frame."""
    made(
        UNet2DConditionModel,
        sample_size=256,
        in_channels=6,
        out_channels=6,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        block_out_channels=(32, 64),
        layers_per_block=(1, 2),
        attention_head_dim=8,
        cross_attention_dim=64,
        cross_attention_norm="group_norm",
        encoder_hid_dim=TEXT_WIDTH,
        encoder_hid_dim_type="text_proj",
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        class_embed_type="timestep",
        act_fn="gelu",
        time_embedding_act_fn="gelu",
        resnet_time_scale_shift="scale_shift",
        resnet_skip_time_act=True,
        resnet_out_scale_factor=1.41421,
        mid_block_scale_factor=1.41421,
    ).save_pretrained(folder / "unet")
    learned = COSINE | {"variance_type": "learned_range", "thresholding": True}
    learned |= {"dynamic_thresholding_ratio": 0.95, "sample_max_value": 1.0}
    DDPMScheduler(**learned).save_pretrained(folder / "scheduler")
    DDPMScheduler(**COSINE).save_pretrained(folder / "image_noising_scheduler")
    save_t5(folder)


def _save_show1_sr2(folder: Path) -> None:
    """The last enlargement, in an autoencoder's latents."""
    save_latent_unet(folder)
    save_autoencoder(folder)
    save_clip(folder)
    solver = DPMSolverMultistepScheduler(
        **SCALED_LINEAR, algorithm_type="dpmsolver++", steps_offset=1
    )
    solver.save_pretrained(folder / "scheduler")
    write_index(folder, "VideoToVideoSDPipeline")
