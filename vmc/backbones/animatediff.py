"""AnimateDiff (arXiv:2307.04725): Stable Diffusion 1.5 with motion modules between its layers.

The image model knows how things look, and the motion adapter, which is published on its own, how
they move: what VMC tunes lies in the adapter alone.
"""

from pathlib import Path

import torch
from diffusers import DDIMScheduler, MotionAdapter, UNet2DConditionModel, UNetMotionModel

from vmc.backbones import fingerprint
from vmc.backbones.checkpoints import Repository
from vmc.backbones.latent import PARTS, LatentBackbone, load_companions
from vmc.backbones.latent_parts import arguments, bytes_of, latent_parts
from vmc.backbones.loading import half_precision, load_network, read_weights
from vmc.backbones.show1.published import AUTOENCODER
from vmc.errors import BadInput
from vmc.planning.parts import Part

IMAGE_MODEL = Repository("stable-diffusion-v1-5/stable-diffusion-v1-5", *PARTS, 2.1)
ADAPTER = Repository("guoyww/animatediff-motion-adapter-v1-5-2", (".",), (), 0.9)

FRAMES, SIZE = 16, (512, 512)

# Published configurations, as far as they are not diffusers' defaults.
IMAGE_UNET = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
CLIP = {"vocab_size": 49408, "hidden_size": 768, "intermediate_size": 3072}
CLIP |= {"num_hidden_layers": 12, "num_attention_heads": 12}

# What the adapter was trained with and its authors sample with: the image model's own schedule
# has other noise levels (scaled_linear).
SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "linear",
    "clip_sample": False,
    "steps_offset": 1,
    "timestep_spacing": "linspace",
}


class AnimateDiff(LatentBackbone):
    """Each motion module holds two self-attentions over frames, which know the frames' numbers."""

    temporal_places = (".motion_modules.",)
    sampling_steps = 25
    guidance_scale = 7.5

    @staticmethod
    def call(unet, noisy, timestep, text):
        # Here, unlike in other video U-Nets, every frame brings its own copy of the prompt.
        return unet(noisy, timestep, text.repeat_interleave(noisy.shape[2], dim=0)).sample

    def _check(self) -> None:
        super()._check()
        longest = self.unet.config.motion_max_seq_length
        if self.frames > longest:
            raise BadInput(
                f"The motion adapter counts frames up to {longest}, so {self.frames} are too many: "
                "load with fewer."
            )


def load_stages(
    place: str | Path,
    device: torch.device,
    dtype: torch.dtype | None,
    frames: int = FRAMES,
    size: tuple[int, int] = SIZE,
    checkpointing: bool = True,
) -> tuple[AnimateDiff, None, tuple]:
    """The one stage of "animatediff", or of a folder in its layout.

    Such a folder is Stable Diffusion 1.5's, with the adapter's files in `motion_adapter/`. Clips
    have 16 frames of 512×512; `frames` and `size` (height and width, multiples of 8) change that.
    `dtype` is float32 on a CPU and 16 bits on a GPU, if None. `checkpointing` computes activations
    again while tuning in place of keeping them.
    """
    if place == "animatediff":
        folder, adapter = IMAGE_MODEL.downloaded(), ADAPTER.downloaded()
    else:
        folder, adapter = Path(place), Path(place) / "motion_adapter"
    dtype = dtype or half_precision(device)
    unet, weights = _load_unet(folder / "unet", adapter, device, dtype)
    parts = load_companions(folder, device, dtype)
    prediction = parts["scheduler"].config.prediction_type
    parts["scheduler"] = DDIMScheduler(**SCHEDULE, prediction_type=prediction)
    backbone = AnimateDiff(
        unet,
        **parts,
        name="animatediff",
        fingerprint=fingerprint(weights),
        frames=frames,
        size=size,
        checkpointing=checkpointing,
    )
    return backbone, None, ()


def _load_unet(
    image_folder: Path, adapter_folder: Path, device: torch.device, dtype: torch.dtype
) -> tuple[UNetMotionModel, dict]:
    """The image model's U-Net with the motion modules put in, and the weights of both files."""
    adapter = arguments(adapter_folder)

    def kind(**image) -> UNetMotionModel:
        try:
            return motion_unet(image, adapter)
        except ValueError as error:
            raise BadInput(
                f"The motion adapter in {adapter_folder} does not fit the U-Net in {image_folder} "
                f"({error}): take one for this image model."
            ) from error

    # Both give their parts the names that these have in the whole.
    weights = read_weights(image_folder) | read_weights(adapter_folder)
    return load_network(kind, image_folder, device, dtype, weights=weights), weights


def motion_unet(image: dict, adapter: dict) -> UNetMotionModel:
    """The network of these two configurations, its weights not set."""
    parts = UNet2DConditionModel(**image), MotionAdapter(**adapter)
    return UNetMotionModel.from_unet2d(*parts, load_weights=False)


def parts(
    place: str | Path,
    until: str = "keyframes",
    frames: int = FRAMES,
    size: tuple[int, int] = SIZE,
) -> list[Part]:
    """What a run does, for `vmc.planning`; there are keyframes only, whatever `until` says.

    frames and size as in `load_stages`.
    """
    image, adapter, text, autoencoder = IMAGE_UNET, {}, CLIP, AUTOENCODER
    if place != "animatediff":
        networks = ("unet", "motion_adapter", "text_encoder", "vae")
        image, adapter, text, autoencoder = (arguments(Path(place) / part) for part in networks)
    return latent_parts(
        AnimateDiff, lambda: motion_unet(image, adapter), text, autoencoder, frames, size
    )


def disk(place: str | Path, until: str = "keyframes") -> float:
    """Bytes of weights to be downloaded, or that the folder holds."""
    if place == "animatediff":
        return 1e9 * (IMAGE_MODEL.gigabytes + ADAPTER.gigabytes)
    return bytes_of(Path(place))
