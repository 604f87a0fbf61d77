"""What tuning trains of a `PixelUNet3D`: the projections of its attentions, by name."""

from torch import nn

from vmc.backbones.unet import PixelUNet3D


def temporal_qkv(unet: PixelUNet3D) -> dict[str, nn.Parameter]:
    """to_q, to_k and to_v of both self-attentions in every temporal transformer."""
    return _weights_of(unet, "temp_attentions", ("to_q", "to_k", "to_v"))


def spatial_qkv(unet: PixelUNet3D) -> dict[str, nn.Parameter]:
    """The same of every attention to pixels, and what brings the text to it."""
    names = ("to_q", "to_k", "to_v", "add_k_proj", "add_v_proj")
    return _weights_of(unet, "attentions", names)


def _weights_of(unet: PixelUNet3D, place: str, projections: tuple) -> dict[str, nn.Parameter]:
    def wanted(steps: list[str]) -> bool:
        return place in steps and steps[-2] in projections and steps[-1] == "weight"

    return {name: p for name, p in unet.named_parameters() if wanted(name.split("."))}
