"""The parts of a run of a latent backbone, for `vmc.planning`.

Its networks are in memory together, so each part is the same three networks at another work.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from vmc.backbones.latent import LatentBackbone, qkv, recompute_activations
from vmc.backbones.loading import read_config
from vmc.planning.parts import Part


class Networks(nn.Module):
    """What a latent backbone holds."""

    def __init__(self, unet: nn.Module, text: CLIPTextConfig, autoencoder: dict):
        super().__init__()
        self.unet = unet
        self.text_encoder = CLIPTextModel(text)
        self.autoencoder = AutoencoderKL(**autoencoder)

    def enable_gradient_checkpointing(self) -> None:
        recompute_activations(self.unet)


def latent_parts(
    backbone: type[LatentBackbone],
    unet: Callable[[], nn.Module],
    text: dict,
    autoencoder: dict,
    frames: int,
    size: tuple[int, int],
) -> list[Part]:
    """What a run does: one clip learned, its noise found, one clip made.

    Arguments:
        backbone: the class, for its settings.
        unet, text, autoencoder: what makes the networks, and their configurations.
        frames, size: of a clip.
    """
    text = CLIPTextConfig(**text)
    factor = 2 ** (len(autoencoder["block_out_channels"]) - 1)
    latent = (4, frames, size[0] // factor, size[1] // factor)
    tokens = 77

    def networks() -> Networks:
        return Networks(unet(), text, autoencoder)

    def predict(batch: int):
        def run(held: Networks, dtype: torch.dtype):
            noisy = torch.randn(batch, *latent, dtype=dtype)
            words = torch.randn(batch, tokens, text.hidden_size, dtype=dtype)
            return backbone.call(held.unet, noisy, torch.zeros(batch, dtype=torch.long), words)

        return run

    def read(held: Networks, dtype: torch.dtype):
        return held.text_encoder(torch.zeros(2, tokens, dtype=torch.long))[0]

    def decode(held: Networks, dtype: torch.dtype):
        return held.autoencoder.decode(torch.randn(1, 4, *latent[2:], dtype=dtype)).sample

    def tuned(held: Networks) -> dict[str, nn.Parameter]:
        found = qkv(held.unet, backbone.temporal_places)
        return {f"unet.{name}": parameter for name, parameter in found.items()}

    return [
        Part("text encoder", networks, read, passes=2),
        Part("tuning", networks, predict(1), backbone.tuning_steps, tuned),
        Part("inversion", networks, predict(1), backbone.inversion_steps),
        Part("keyframes", networks, predict(2), backbone.sampling_steps),
        # Encoding takes about as much, so it is counted as another pass.
        Part("autoencoder", networks, decode, passes=2 * frames),
    ]


def arguments(folder: Path) -> dict:
    """Of a network's constructor, from the configuration in its folder."""
    return {n: value for n, value in read_config(folder).items() if not n.startswith("_")}


def bytes_of(folder: Path) -> float:
    """Bytes of all files in a folder."""
    return float(sum(file.stat().st_size for file in folder.rglob("*.*")))
