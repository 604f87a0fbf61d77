"""ModelScope's text-to-video model (arXiv:2308.06571), and ZeroScope v2, which was tuned from it.

diffusers' `UNet3DConditionModel` in the latents of Stable Diffusion 2's autoencoder, with its CLIP
text encoder.
"""

from pathlib import Path

import torch
from diffusers import UNet3DConditionModel

from vmc.backbones import fingerprint
from vmc.backbones.checkpoints import Repository
from vmc.backbones.latent import PARTS, LatentBackbone, load_companions
from vmc.backbones.latent_parts import arguments, bytes_of, latent_parts
from vmc.backbones.loading import half_precision, load_network, read_weights
from vmc.backbones.show1.published import AUTOENCODER, CLIP
from vmc.planning.parts import Part

PUBLISHED = {
    "modelscope": (Repository("ali-vilab/text-to-video-ms-1.7b", *PARTS, 3.8), 16, (256, 256)),
    "zeroscope": (Repository("cerspense/zeroscope_v2_576w", *PARTS, 3.8), 24, (320, 576)),
}


class ModelScope(LatentBackbone):
    """Sixteen temporal transformers in its stages, and a seventeenth before them, at full size.

    Each has two self-attentions over frames. That of the entrance, `transformer_in`, is tuned like
    the others; Show-1, on which the method was tried, has none.
    """

    temporal_places = (".temp_attentions.", ".transformer_in.")


def load_stages(
    place: str | Path,
    device: torch.device,
    dtype: torch.dtype | None,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    checkpointing: bool = True,
) -> tuple[ModelScope, None, tuple]:
    """The one stage of "modelscope" or "zeroscope", or of a folder in their layout.

    Clips have 16 frames of 256×256, and 24 of 320×576 for "zeroscope"; `frames` and `size` (height
    and width, multiples of 8) change that. `dtype` is float32 on a CPU and 16 bits on a GPU, if
    None. `checkpointing` computes activations again while tuning in place of keeping them.
    """
    name = place if place in PUBLISHED else "modelscope"
    repository, usual_frames, usual_size = PUBLISHED[name]
    folder = repository.downloaded() if place == name else Path(place)
    dtype = dtype or half_precision(device)
    weights = read_weights(folder / "unet")
    backbone = ModelScope(
        load_network(UNet3DConditionModel, folder / "unet", device, dtype, weights=weights),
        **load_companions(folder, device, dtype),
        name=name,
        fingerprint=fingerprint(weights),
        frames=frames or usual_frames,
        size=size or usual_size,
        checkpointing=checkpointing,
    )
    return backbone, None, ()


def parts(
    place: str | Path,
    until: str = "keyframes",
    frames: int | None = None,
    size: tuple[int, int] | None = None,
) -> list[Part]:
    """What a run does, for `vmc.planning`; there are keyframes only, whatever `until` says.

    frames and size as in `load_stages`.
    """
    usual_frames, usual_size = PUBLISHED.get(str(place), PUBLISHED["modelscope"])[1:]
    unet, text, autoencoder = {}, CLIP, AUTOENCODER  # the published size is diffusers' default
    if str(place) not in PUBLISHED:
        networks = ("unet", "text_encoder", "vae")
        unet, text, autoencoder = (arguments(Path(place) / part) for part in networks)
    return latent_parts(
        ModelScope,
        lambda: UNet3DConditionModel(**unet),
        text,
        autoencoder,
        frames or usual_frames,
        size or usual_size,
    )


def disk(place: str | Path, until: str = "keyframes") -> float:
    """Bytes of weights to be downloaded, or that the folder holds."""
    if str(place) in PUBLISHED:
        return 1e9 * PUBLISHED[str(place)][0].gigabytes
    return bytes_of(Path(place))
