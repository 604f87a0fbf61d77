"""What the miniatures share: random weights, text encoders, the autoencoder, the index."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_model
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

TEXT_WIDTH = 32
COSINE = {"beta_schedule": "squaredcos_cap_v2"}
SCALED_LINEAR = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def save_autoencoder(folder: Path) -> None:
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


def save_clip(folder: Path) -> None:
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


def save_t5(folder: Path) -> None:
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


def write_index(folder: Path, pipeline: str) -> None:
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
