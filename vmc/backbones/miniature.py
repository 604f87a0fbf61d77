"""Published models in miniature: their folders and configurations, with tiny random networks.

What a published checkpoint would be loaded from, at a thousandth of its size, so that the code for
it can be run where neither the weights nor a GPU are at hand. Every repository becomes a
sub-folder of its own name, with the files it has on the hub. What such a model draws means nothing.

The weights follow from their names alone: the same folder on every machine, and no global
randomness is drawn.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    UNet2DConditionModel,
    UNet3DConditionModel,
)
from safetensors.torch import save_file, save_model
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from vmc.backbones.unet import FIXED, PixelUNet3D

TEXT_WIDTH = 32
COSINE = {"beta_schedule": "squaredcos_cap_v2"}
SCALED_LINEAR = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


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
        _save_t5(folder / name)
    DDPMScheduler(**COSINE).save_pretrained(folder / "show-1-sr1" / "image_noising_scheduler")
    _save_if_2(folder / "IF-II-L-v1.0")
    _save_show1_sr2(folder / "show-1-sr2")
    for name in (*stages, "IF-II-L-v1.0"):
        pipeline = "TextToVideoIFPipeline" if name in stages else "IFSuperResolutionPipeline"
        _write_index(folder / name, pipeline)
    return folder


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
    _save_t5(folder)


def _save_show1_sr2(folder: Path) -> None:
    """The last enlargement, in an autoencoder's latents."""
    _save_latent_unet(folder)
    _save_autoencoder(folder)
    _save_clip(folder)
    solver = DPMSolverMultistepScheduler(
        **SCALED_LINEAR, algorithm_type="dpmsolver++", steps_offset=1
    )
    solver.save_pretrained(folder / "scheduler")
    _write_index(folder, "VideoToVideoSDPipeline")


def _save_latent_unet(folder: Path) -> None:
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


def _save_autoencoder(folder: Path) -> None:
    """Eight times smaller in height and width, like the published one."""
    levels = 4
    made(
        AutoencoderKL,
        block_out_channels=(8,) * levels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
        norm_num_groups=4,
        scaling_factor=0.18215,
    ).save_pretrained(folder / "vae")


def _save_clip(folder: Path) -> None:
    """A text encoder whose tokenizer knows every byte, and no merges."""
    letters = list(_bytes_as_letters())
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer({word: i for i, word in enumerate(words)}, [], model_max_length=77)
    tokenizer.save_pretrained(folder / "tokenizer")
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
        pad_token_id=len(words) - 1,
    )
    _save_text_encoder(folder, made(CLIPTextModel, config))


def _save_t5(folder: Path) -> None:
    """A text encoder whose tokenizer spells: it knows the letters of plain English."""
    letters = [(letter, -3.0) for letter in "▁abcdefghijklmnopqrstuvwxyz0123456789.,'-"]
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    tokenizer = T5Tokenizer([*special, *letters], extra_ids=0, model_max_length=512)
    tokenizer.save_pretrained(folder / "tokenizer")
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=TEXT_WIDTH,
        d_kv=8,
        d_ff=2 * TEXT_WIDTH,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
    )
    _save_text_encoder(folder, made(T5EncoderModel, config))


def _save_text_encoder(folder: Path, encoder: nn.Module) -> None:
    encoder.config.architectures = [type(encoder).__name__]
    encoder.config.save_pretrained(folder / "text_encoder")
    save_model(encoder, str(folder / "text_encoder" / "model.safetensors"), {"format": "pt"})


def made(kind: type[nn.Module], *arguments, **settings) -> nn.Module:
    """A network in eval mode with the weights that its parameters' names stand for."""
    with torch.random.fork_rng(devices=[]):
        network = kind(*arguments, **settings).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        random = np.random.RandomState(zlib.crc32(name.encode()))
        drawn = torch.from_numpy(random.standard_normal(tuple(parameter.shape)))
        if parameter.ndim > 1:
            drawn *= 0.7 / parameter[0].numel() ** 0.5
        else:
            drawn = 1 + 0.1 * drawn if name.endswith("weight") else 0.05 * drawn
        parameter.copy_(drawn)
    return network


def _bytes_as_letters() -> list[str]:
    """The printable letters that byte-level vocabularies write for bytes."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def _write_index(folder: Path, pipeline: str) -> None:
    """The `model_index.json` that names a published pipeline's parts and their classes."""
    parts = {}
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        file = next(part.glob("*config.json"))
        config = json.loads(file.read_text())
        kind = config.get("_class_name") or config.get("tokenizer_class")
        kind = kind or config["architectures"][0]
        library = "transformers" if part.name in ("text_encoder", "tokenizer") else "diffusers"
        parts[part.name] = [library, kind]
    index = {"_class_name": pipeline, **parts}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
