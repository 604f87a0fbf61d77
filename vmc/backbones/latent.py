"""Single-stage video models that denoise an autoencoder's latents: what they have in common.

The autoencoder and the text encoder are Stable Diffusion's (AutoencoderKL, CLIP); a subclass says
how long and large a clip is, and which attentions look across frames.
"""

from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKL, SchedulerMixin
from diffusers.models.resnet import ResnetBlock2D, TemporalConvLayer
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import CLIPTextModel, CLIPTokenizer

from vmc.backbones.loading import load_network, load_text_encoder, read_config
from vmc.diffusion import noise_from_velocity
from vmc.errors import BadInput

PREDICTIONS = ("epsilon", "v_prediction")
PARTS = ("unet", "vae", "text_encoder"), ("tokenizer", "scheduler")
"""Sub-folders of a published pipeline: its networks, and what has no weights."""
LAYERS = (
    AnimateDiffTransformer3D,
    ResnetBlock2D,
    TemporalConvLayer,
    Transformer2DModel,
    TransformerTemporalModel,
)


class LatentBackbone:
    """A text-to-video model in latent space, as the contract in `vmc.backbones` asks.

    Arguments:
        unet: takes latents (batch, channel, frame, h, w); how it is called, `call` says.
        autoencoder: in float32, as half precision leaves bands in flat colour.
        text_encoder, tokenizer: of CLIP.
        scheduler: as published; its `prediction_type` says what the network predicts.
        name, fingerprint: as in the contract.
        frames: of a clip.
        size: height and width of a frame in pixels.
        checkpointing: compute activations again while tuning in place of keeping them.
    Raises:
        BadInput: for frames or a size that the model cannot take, for a network that predicts
            neither ε nor v, for a schedule that ends in noise alone.
    """

    temporal_places: tuple[str, ...]
    """What the names of temporal attentions within `unet`, and of no others, contain."""
    inversion_steps = 75  # the paper's, as are the three below
    tuning_steps = 400
    tuning_timesteps = (0, 1000)
    learning_rate = 1e-4
    inverts_tuned = True
    sampling_steps = 50
    guidance_scale = 9.0

    def __init__(
        self,
        unet: nn.Module,
        autoencoder: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        scheduler: SchedulerMixin,
        name: str,
        fingerprint: str,
        frames: int,
        size: tuple[int, int],
        checkpointing: bool,
    ):
        self.name, self.fingerprint = name, fingerprint
        self.frames, self.size = frames, tuple(size)
        self.unet = unet.eval().requires_grad_(False)
        self.autoencoder = autoencoder.eval().requires_grad_(False)
        self.text_encoder = text_encoder.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self._scheduler = scheduler
        self.alphas_cumprod = scheduler.alphas_cumprod.float()
        self._check()
        if checkpointing:
            recompute_activations(unet)

    def _check(self) -> None:
        factor = 2 ** (len(self.autoencoder.config.block_out_channels) - 1)
        if self.frames < 2:
            raise BadInput(f"Motion needs at least two frames, not {self.frames}: load with more.")
        if any(side <= 0 or side % factor for side in self.size):
            raise BadInput(
                f"{self.name} works on frames whose height and width are multiples of {factor}; "
                f"load it with another size than {self.size}."
            )
        if self._scheduler.config.prediction_type not in PREDICTIONS:
            raise BadInput(
                f"This network predicts {self._scheduler.config.prediction_type!r}, and only "
                f"{' and '.join(PREDICTIONS)} can be turned into noise here; take another "
                "checkpoint."
            )
        if self.alphas_cumprod[-1] <= 0:
            raise BadInput(
                "This schedule ends in noise alone (zero terminal SNR), where a predicted noise "
                "says nothing of the picture; take a checkpoint without rescale_betas_zero_snr."
            )

    @property
    def device(self) -> torch.device:
        return self.unet.conv_in.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.unet.conv_in.weight.dtype

    @torch.no_grad()
    def encode_text(self, prompts: list[str]) -> Float[Tensor, "batch token width"]:
        """CLIP's last hidden states. BadInput for a prompt that is longer than it reads."""
        longest = self.tokenizer.model_max_length
        for prompt in prompts:
            tokens = len(self.tokenizer(prompt).input_ids)
            if tokens > longest:
                raise BadInput(
                    f"The prompt {prompt!r} has {tokens} tokens, but {self.name} reads {longest}: "
                    "shorten it."
                )
        tokens = self.tokenizer(
            prompts, padding="max_length", max_length=longest, return_tensors="pt"
        )
        return self.text_encoder(tokens.input_ids.to(self.device))[0].to(self.dtype)

    @torch.no_grad()
    def encode_video(
        self, video: Float[Tensor, "batch 3 frame height width"]
    ) -> Float[Tensor, "batch 4 frame h w"]:
        """Frame by frame the mean of what the encoder allows, times the scaling factor.

        The mean, where training drew from around it: so a clip has one latent, without a seed.
        """
        video = video.to(self.device, torch.float32)
        frames = [self.autoencoder.encode(x).latent_dist.mean for x in video.unbind(2)]
        return torch.stack(frames, 2) * self.autoencoder.config.scaling_factor

    @torch.no_grad()
    def decode_video(
        self, latent: Float[Tensor, "batch 4 frame h w"]
    ) -> Float[Tensor, "batch 3 frame height width"]:
        """Frame by frame, so that the memory is that of one picture."""
        latent = latent.to(self.device, torch.float32) / self.autoencoder.config.scaling_factor
        return torch.stack([self.autoencoder.decode(x).sample for x in latent.unbind(2)], 2)

    def predict_noise(
        self,
        noisy: Float[Tensor, "batch 4 frame h w"],
        timestep: int | Int[Tensor, "batch"],
        text: Float[Tensor, "batch token width"],
    ) -> Float[Tensor, "batch 4 frame h w"]:
        """ε̂; where the network predicts velocity, ε̂ = √ᾱ_t v̂ + √(1-ᾱ_t) x_t.

        That is taken here, before anyone forms residuals. So δε̂ = √ᾱ_t δv̂ + √(1-ᾱ_t) δx_t, and
        Eqs. 9-17 hold for both kinds as they are written; residuals of v̂ itself would be aligned
        with another vector, one that mixes the clip's motion into the noise.
        """
        inputs = noisy.to(self.dtype), timestep, text.to(self.dtype)
        answer = self.call(self.unet, *inputs).to(noisy.dtype)
        if self._scheduler.config.prediction_type == "epsilon":
            return answer
        return noise_from_velocity(noisy, answer, timestep, self.alphas_cumprod)

    @staticmethod
    def call(unet: nn.Module, noisy: Tensor, timestep: int | Tensor, text: Tensor) -> Tensor:
        """What the network predicts, ε̂ or v̂; arguments as in `predict_noise`, in its dtype."""
        return unet(noisy, timestep, text).sample

    def sampler(self) -> SchedulerMixin:
        """The published scheduler, told that it is given ε."""
        return type(self._scheduler).from_config(self._scheduler.config, prediction_type="epsilon")

    def temporal_qkv(self) -> dict[str, nn.Parameter]:
        return qkv(self.unet, self.temporal_places)

    def spatial_qkv(self) -> dict[str, nn.Parameter]:
        return qkv(self.unet, (".attentions.",))


def qkv(unet: nn.Module, places: tuple[str, ...]) -> dict[str, nn.Parameter]:
    """to_q, to_k and to_v of the attentions whose names within `unet` contain one of `places`."""
    return {
        name: parameter
        for name, parameter in unet.named_parameters()
        if any(place in f".{name}" for place in places)
        and name.endswith((".to_q.weight", ".to_k.weight", ".to_v.weight"))
    }


def load_companions(folder: Path, device: torch.device, dtype: torch.dtype) -> dict:
    """Everything but the U-Net, from the published sub-folders, as `LatentBackbone` takes it."""
    return {
        "autoencoder": load_network(AutoencoderKL, folder / "vae", device, torch.float32),
        "text_encoder": load_text_encoder(CLIPTextModel, folder / "text_encoder", device, dtype),
        "tokenizer": load_tokenizer(folder / "tokenizer"),
        "scheduler": load_scheduler(folder / "scheduler"),
    }


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """CLIP's; BadInput if its files are not there or damaged."""
    try:
        return CLIPTokenizer.from_pretrained(folder)
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise BadInput(
            f"{folder} holds no whole tokenizer of CLIP: get the folder again."
        ) from error


def load_scheduler(folder: Path) -> SchedulerMixin:
    """The scheduler of the class that its configuration names."""
    config = read_config(folder, "scheduler_config.json")
    name = str(config.get("_class_name"))
    kind = getattr(diffusers, name, None)
    if not (isinstance(kind, type) and issubclass(kind, SchedulerMixin)):
        raise BadInput(
            f"{folder} asks for a scheduler {name}, and diffusers has none of that name: get the "
            "folder again."
        )
    return kind.from_config(config)


def recompute_activations(unet: nn.Module) -> None:
    """Keep only what goes between the layers of `unet`, and compute the rest again for a gradient.

    It takes about half more time, and a fraction of the memory. diffusers' own switch leaves most
    of these layers out.
    """
    for module in unet.modules():
        if isinstance(module, LAYERS):
            module.forward = _recomputed(module.forward)


def _recomputed(forward):
    def run(*inputs, **named):
        if torch.is_grad_enabled():
            return checkpoint(forward, *inputs, use_reentrant=False, **named)
        return forward(*inputs, **named)

    return run
