"""Latent video models in miniature: ModelScope, ZeroScope, AnimateDiff."""

from pathlib import Path

from diffusers import (
    DDIMScheduler,
    MotionAdapter,
    PNDMScheduler,
    UNet2DConditionModel,
    UNet3DConditionModel,
)

from vmc.backbones.miniature.parts import (
    SCALED_LINEAR,
    TEXT_WIDTH,
    made,
    save_autoencoder,
    save_clip,
    write_index,
)


def modelscope(folder: str | Path, prediction_type: str = "epsilon") -> Path:
    """ModelScope's and ZeroScope's folder; about 6 MB. Returns it.

    `prediction_type` is what the scheduler says that the network predicts, "epsilon" as published
    or "v_prediction".
    """
    folder = Path(folder)
    save_latent_unet(folder)
    _save_the_rest(folder, "TextToVideoSDPipeline", DDIMScheduler, prediction_type)
    return folder


def animatediff(folder: str | Path, prediction_type: str = "epsilon") -> Path:
    """Stable Diffusion 1.5's folder with the motion adapter in `motion_adapter/`; about 6 MB."""
    folder = Path(folder)
    widths = (32, 64)
    made(
        UNet2DConditionModel,
        sample_size=64,
        block_out_channels=widths,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=8,
        cross_attention_dim=TEXT_WIDTH,
    ).save_pretrained(folder / "unet")
    made(
        MotionAdapter,
        block_out_channels=widths,
        motion_layers_per_block=1,
        motion_num_attention_heads=8,
        use_motion_mid_block=True,
    ).save_pretrained(folder / "motion_adapter")
    _save_the_rest(folder, "AnimateDiffPipeline", PNDMScheduler, prediction_type)
    return folder


def save_latent_unet(folder: Path) -> None:
    made(
        UNet3DConditionModel,
        sample_size=32,
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        layers_per_block=1,
        attention_head_dim=8,
        cross_attention_dim=TEXT_WIDTH,
    ).save_pretrained(folder / "unet")


def _save_the_rest(folder: Path, pipeline: str, scheduler: type, prediction_type: str) -> None:
    save_autoencoder(folder)
    save_clip(folder)
    published = {"set_alpha_to_one": False, "steps_offset": 1}
    published |= {"clip_sample": False} if scheduler is DDIMScheduler else {"skip_prk_steps": True}
    scheduler(**SCALED_LINEAR, **published, prediction_type=prediction_type).save_pretrained(
        folder / "scheduler"
    )
    write_index(folder, pipeline)
