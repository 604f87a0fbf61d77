"""Show-1 (arXiv:2309.15818), the cascade that the paper tunes: published weights and settings.

    cascade = Cascade.from_pretrained("show-1")           # from the hub, or its cache
    cascade = Cascade.from_pretrained("weights/show-1")   # a folder with the same repositories

Keyframes (8×40×64), interpolation (29×40×64) and super-resolution to 160×256 denoise pixels and
read the prompt with one T5; the last enlargement to 320×576 works on latents and reads it with
CLIP. The keyframe model stays in memory; each other network is there only while it works. Every
setting is an attribute of its stage, and may be changed:

    cascade.super_resolution[0].steps = 50

The stages' settings are those of the published inference script. What differs: a clip is kept
within [-1, 1] between two stages, and all random numbers come from the one generator of
`Cascade.generate`, where the script seeds every stage anew.
"""

from functools import partial
from pathlib import Path

import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, UNet2DConditionModel

from vmc.backbones import fingerprint
from vmc.backbones.checkpoints import Repository
from vmc.backbones.loading import half_precision, load_network, read_config, read_weights
from vmc.backbones.show1.first_frame import FirstFrame
from vmc.backbones.show1.keyframes import Show1Backbone, Show1Denoiser
from vmc.backbones.show1.latent_enlarging import LatentEnlarging
from vmc.backbones.show1.parts import parts
from vmc.backbones.show1.text import PromptEncoder
from vmc.backbones.unet import PixelUNet3D
from vmc.errors import BadInput
from vmc.residency import OnDemand
from vmc.stages import Interpolation, SuperResolution

BASE = Repository(
    "showlab/show-1-base", ("unet", "text_encoder"), ("scheduler", "tokenizer"), gigabytes=13.0
)
INTERPOLATION = Repository("showlab/show-1-interpolation", ("unet",), ("scheduler",), 3.5)
IF_2 = Repository(
    "DeepFloyd/IF-II-L-v1.0", ("unet",), ("scheduler", "image_noising_scheduler"), 2.4
)
SR1 = Repository("showlab/show-1-sr1", ("unet",), ("scheduler", "image_noising_scheduler"), 1.6)
SR2 = Repository(
    "showlab/show-1-sr2", ("unet", "vae", "text_encoder"), ("scheduler", "tokenizer"), 3.6
)
__all__ = ["disk", "load_stages", "parts"]

NEEDED = {
    "keyframes": (BASE,),
    "interpolated": (BASE, INTERPOLATION),
    "video": (BASE, INTERPOLATION, IF_2, SR1, SR2),
}
"""What is loaded for a cascade that goes until this stage."""


def load_stages(
    place: str | Path,
    device: torch.device,
    dtype: torch.dtype | None = None,
    *,
    until: str = "video",
    frames: int = 8,
    size: tuple[int, int] = (40, 64),
    checkpointing: bool = True,
    text_bits: int = 16,
    text_device: torch.device | str | None = None,
    keep_text_encoder: bool = False,
) -> tuple[Show1Backbone, Interpolation | None, tuple]:
    """The stages of Show-1, from the hub ("show-1") or a folder.

    Arguments:
        dtype: of the networks; float32 on a CPU, bfloat16 or, on older cards, float16 on a GPU.
        until: "keyframes", "interpolated" or "video"; weights of later stages are not asked for.
        frames, size: of the keyframes. The later sizes are 4 times that, then 8 times its height
            and 9 times its width.
        checkpointing: compute activations again while tuning in place of keeping them.
        text_bits: 16, or 8 or 4 to load the text encoder with bitsandbytes.
        text_device: where the text encoder runs; `device` if None.
        keep_text_encoder: hold it in memory between prompts.
    Raises:
        BadInput: weights that are gated, missing or damaged, or an `until` that is no stage.
    """
    if until not in NEEDED:
        raise BadInput(f"There is no stage {until!r}: choose one of {', '.join(NEEDED)}.")
    dtype = half_precision(device) if dtype is None else dtype
    folders = {}
    for repository in NEEDED[until]:
        hub = str(place) == "show-1"
        folders[repository] = repository.downloaded() if hub else repository.within(Path(place))

    def network(kind, repository, part="unet"):
        return load_network(kind, folders[repository] / part, device, dtype)

    def sampler(repository):
        return partial(DPMSolverMultistepScheduler.from_config, solver(folders[repository]))

    def pixel_denoiser(repository):
        return Show1Denoiser(network(PixelUNet3D, repository), levels(folders[repository]))

    weights = read_weights(folders[BASE] / "unet")
    unet = load_network(PixelUNet3D, folders[BASE] / "unet", device, dtype, weights=weights)
    if checkpointing:
        unet.enable_gradient_checkpointing()
    text = PromptEncoder(
        folders[BASE], torch.device(text_device or device), dtype, text_bits, keep_text_encoder
    )
    base = Show1Backbone(
        Show1Denoiser(unet, levels(folders[BASE])),
        text,
        sampler(BASE),
        fingerprint(weights),
        frames,
        size,
    )
    if until == "keyframes":
        return base, None, ()
    interpolation = Interpolation(
        OnDemand(partial(pixel_denoiser, INTERPOLATION)),
        sampler(INTERPOLATION),
        steps=75,
        guidance_scale=4.0,
        windows_at_once=1,
    )
    if until == "interpolated":
        return base, interpolation, ()
    height, width = size
    first_frame = FirstFrame(
        OnDemand(partial(network, UNet2DConditionModel, IF_2)),
        partial(DDPMScheduler.from_config, scheduler_config(folders[IF_2], "scheduler")),
        levels(folders[IF_2]),
        (4 * height, 4 * width),
    )
    enlarging = SuperResolution(
        OnDemand(partial(pixel_denoiser, SR1)),
        sampler(SR1),
        (4 * height, 4 * width),
        steps=125,
        guidance_scale=7.0,
        noise_level=250,
        window=8,
        align_corners=True,
        first_frame=first_frame,
        replaces_shared=True,
    )
    last = LatentEnlarging(folders[SR2], sampler(SR2), (8 * height, 9 * width), device, dtype)
    return base, interpolation, (enlarging, last)


def disk(place: str | Path, until: str = "video") -> float:
    """Bytes of weights to be downloaded, or that the folder holds."""
    if str(place) == "show-1":
        return 1e9 * sum(repository.gigabytes for repository in NEEDED[until])
    folders = [Path(place) / repository.folder_name for repository in NEEDED[until]]
    return float(sum(f.stat().st_size for folder in folders for f in folder.rglob("*.*")))


def solver(folder: Path) -> dict:
    """The scheduler's configuration, with the last step that it had when it was published.

    diffusers has since changed the default of `final_sigmas_type` from what was "sigma_min".
    """
    return scheduler_config(folder, "scheduler") | {"final_sigmas_type": "sigma_min"}


def levels(folder: Path) -> torch.Tensor:
    """ᾱ_t in float32: of the noise on the condition where the model has one, else of its own."""
    noising = (folder / "image_noising_scheduler").is_dir()
    config = scheduler_config(folder, "image_noising_scheduler" if noising else "scheduler")
    return DDPMScheduler.from_config(config).alphas_cumprod.float()


def scheduler_config(folder: Path, part: str) -> dict:
    return read_config(folder / part, "scheduler_config.json")
