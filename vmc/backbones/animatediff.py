"""AnimateDiff (arXiv:2307.04725): Stable Diffusion 1.5 with motion modules between its layers.

The image model knows how things look, and the motion adapter, which is published on its own, how
they move: what VMC tunes lies in the adapter alone.
"""

from pathlib import Path

import torch
from diffusers import DDIMScheduler, MotionAdapter, UNet2DConditionModel, UNetMotionModel

from vmc.backbones import fingerprint
from vmc.backbones.checkpoints import Repository
from vmc.backbones.latent import PARTS, LatentBackbone, load_latent_parts
from vmc.backbones.loading import half_precision, load_network, read_config, read_weights
from vmc.errors import BadInput

IMAGE_MODEL = Repository("stable-diffusion-v1-5/stable-diffusion-v1-5", *PARTS, 2.1)
ADAPTER = Repository("guoyww/animatediff-motion-adapter-v1-5-2", (".",), (), 0.9)

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

    def answer(self, noisy, timestep, text):
        # Here, unlike in other video U-Nets, every frame brings its own copy of the prompt.
        return super().answer(noisy, timestep, text.repeat_interleave(noisy.shape[2], dim=0))

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
    frames: int = 16,
    size: tuple[int, int] = (512, 512),
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
    parts = load_latent_parts(folder, device, dtype)
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
    adapter_config = read_config(adapter_folder)

    def motion_unet(**config) -> UNetMotionModel:
        public = {n: value for n, value in adapter_config.items() if not n.startswith("_")}
        image, adapter = UNet2DConditionModel(**config), MotionAdapter(**public)
        try:
            return UNetMotionModel.from_unet2d(image, adapter, load_weights=False)
        except ValueError as error:
            raise BadInput(
                f"The motion adapter in {adapter_folder} does not fit the U-Net in {image_folder} "
                f"({error}): take one for this image model."
            ) from error

    # Both give their parts the names that these have in the whole.
    weights = read_weights(image_folder) | read_weights(adapter_folder)
    return load_network(motion_unet, image_folder, device, dtype, weights=weights), weights
