"""The parts of a run of Show-1, for `vmc.planning`: which network works on what, how often."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, T5Config, T5EncoderModel

from vmc.backbones.loading import read_config
from vmc.backbones.projections import temporal_qkv
from vmc.backbones.show1 import published
from vmc.backbones.show1.latent_unet import latent_unet
from vmc.backbones.show1.text import TOKENS
from vmc.backbones.unet import PixelUNet3D
from vmc.planning.parts import Part


def parts(
    place: str | Path,
    until: str = "video",
    tuning_steps: int = 400,
    frames: int = 8,
    size: tuple[int, int] = (40, 64),
) -> list[Part]:
    """What a run does after each other: one clip learned, one video made.

    Sizes of networks are read from the folder, or known for the published ones; frames and size
    are those of the keyframes.
    """
    height, width = size

    def config(part: str, known: dict) -> dict:
        if str(place) == "show-1":
            return known
        read = read_config(Path(place) / part)
        return {name: value for name, value in read.items() if not name.startswith("_")}

    base = config("show-1-base/unet", published.KEYFRAMES)
    t5 = T5Config(**config("show-1-base/text_encoder", published.T5))

    def pixel(config, channels, batch, frames, height, width, level=None):
        """A pass of a pixel network over `batch` clips."""

        def network():
            return PixelUNet3D(**config)

        def run(unet, dtype):
            clip = torch.randn(batch, channels, frames, height, width, dtype=dtype)
            text = torch.randn(batch, TOKENS, t5.d_model, dtype=dtype)
            return unet(clip, _times(batch), text, class_labels=level and _times(batch))[:, :3]

        return network, run

    reading = Part(
        "text encoder",
        lambda: T5EncoderModel(t5),
        lambda encoder, dtype: encoder(torch.zeros(1, TOKENS, dtype=torch.long))[0],
        passes=3,
        is_text_encoder=True,
    )
    once, both = (pixel(base, 3, batch, frames, height, width) for batch in (1, 2))
    found = [
        reading,
        Part("tuning", *once, passes=tuning_steps, tuned=temporal_qkv),
        Part("inversion", *once, passes=75),
        Part("keyframes", *both, passes=75),
    ]
    if until == "keyframes":
        return found
    between = config("show-1-interpolation/unet", published.INTERPOLATION)
    windows = frames - 1
    found.append(
        Part(
            "interpolation",
            *pixel(between, 7, 1, 5, height, width),
            passes=2 * 75 * windows,
        )
    )
    if until == "interpolated":
        return found
    image = config("IF-II-L-v1.0/unet", published.IF_2)
    large = config("show-1-sr1/unet", published.SR1)
    latent = config("show-1-sr2/unet", published.SR2)
    autoencoder = config("show-1-sr2/vae", published.AUTOENCODER)
    clip_text = CLIPTextConfig(**config("show-1-sr2/text_encoder", published.CLIP))
    final = 4 * windows + 1

    def sharpen(unet, dtype):
        frame = torch.randn(1, 6, 4 * height, 4 * width, dtype=dtype)
        text = torch.randn(1, TOKENS, t5.d_model, dtype=dtype)
        return unet(frame, 500, text, class_labels=_times(1)).sample

    def repaint(unet, dtype):
        latents = torch.randn(1, 4, final, height, 9 * width // 8, dtype=dtype)
        text = torch.randn(1, TOKENS, clip_text.hidden_size, dtype=dtype)
        return unet(latents, 500, text).sample

    def decode(network: nn.Module, dtype):
        latents = torch.randn(1, 4, height, 9 * width // 8, dtype=dtype)
        return network.decode(latents).sample

    return [
        *found,
        Part("first frame", lambda: UNet2DConditionModel(**image), sharpen, passes=2 * 70),
        Part(
            f"enlarging to {4 * height}×{4 * width}",
            *pixel(large, 6, 1, min(8, final), 4 * height, 4 * width, level=True),
            passes=2 * 125 * -(-(final - 1) // 7),
        ),
        Part(
            f"enlarging to {8 * height}×{9 * width}",
            lambda: latent_unet(**latent),
            repaint,
            passes=2 * 40,
        ),
        # Encoding takes about as much, so it is counted as another pass.
        Part("autoencoder", lambda: AutoencoderKL(**autoencoder), decode, passes=2 * final),
    ]


def _times(batch: int) -> torch.Tensor:
    return torch.zeros(batch, dtype=torch.long)
