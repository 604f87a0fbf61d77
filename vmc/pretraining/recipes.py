"""The stages of the tiny cascade: how large each network is, and how it is trained."""

from dataclasses import dataclass

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from vmc.backbones.tiny import Denoiser, TextEncoder
from vmc.backbones.unet import PixelUNet3D
from vmc.sprites import COLOURS, NAMED, PLACES, STYLES, SUBJECTS


@dataclass(frozen=True)
class Recipe:
    """How large one stage's network is, and how it is trained."""

    steps: int
    batch: int
    learning_rate: float
    widths: tuple[int, ...]
    patch: int
    attending: int = 2  # resolutions, from the coarsest up, that attend to pixels, text and frames
    in_channels: int = 3  # before space-to-depth: the noisy picture and what is shown beside it
    refines: bool = False
    temporal: bool = True  # without its temporal layers, a network sees single frames
    known_rate: float = 1.0  # learning rate of what `image` has learned, relative to the others'
    high_noise: float = 0.0  # share of the timesteps that come from `HIGH_NOISE` alone


# So many of a small picture's pixels show the same that even here, at signal-to-noise ratios of
# 0.15 to 0.0003, noise leaves most outlines readable: what a subject is and where it is, is decided
# at these timesteps and hardly below them.
HIGH_NOISE = (750, 990)

RECIPES = {
    "image": Recipe(9000, 32, 1.2e-3, (96, 128), 4, temporal=False, high_noise=0.6),
    "keyframes": Recipe(3200, 8, 1.5e-3, (96, 128), 4, known_rate=0.4, high_noise=0.5),
    "interpolation": Recipe(2000, 8, 1.0e-3, (64, 64), 4, 1, in_channels=7, refines=True),
    "super_resolution_1": Recipe(3000, 1, 1e-3, (64, 64), 4, 1, in_channels=6, refines=True),
    "super_resolution_2": Recipe(1500, 1, 1e-3, (64, 64), 8, 1, in_channels=6, refines=True),
}


def vocabulary() -> list[str]:
    """Every word that a caption of the rendered world can hold, after three special tokens."""
    plurals = [s if s == "fish" else s + "s" for s in SUBJECTS]
    glue = ["a", "an", "two", "and", "the", "is", "are", "moving", "thing", "things", "style"]
    phrases = [*glue, *COLOURS, *SUBJECTS, *plurals, *NAMED, *PLACES, *STYLES]
    return ["<pad>", "</s>", "<unk>", *dict.fromkeys(w for p in phrases for w in p.split())]


def new_text_encoder(width: int = 64) -> TextEncoder:
    """An untrained T5 encoder and its word-level tokenizer."""
    words = vocabulary()
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation("removed")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        "$A </s>", special_tokens=[("</s>", 1)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    config = T5Config(
        vocab_size=len(words), d_model=width, d_kv=16, num_heads=4, d_ff=2 * width, num_layers=2,
        dropout_rate=0.0, feed_forward_proj="gated-gelu", is_encoder_decoder=False, use_cache=False,
    )  # fmt: skip
    return TextEncoder(fast, T5EncoderModel(config))


def new_denoiser(recipe: Recipe, text_width: int = 64) -> Denoiser:
    """An untrained network of a stage's shape; its temporal layers are the identity.

    Where it refines a first guess, so is the network as a whole: it starts as that guess.
    """
    attends = [i >= len(recipe.widths) - recipe.attending for i in range(len(recipe.widths))]
    kinds = [
        ("SimpleCrossAttn{}Block3D" if attend else "Resnet{}sampleBlock3D") for attend in attends
    ]
    unet = PixelUNet3D(
        in_channels=recipe.in_channels * recipe.patch**2,
        out_channels=3 * recipe.patch**2,
        block_out_channels=recipe.widths,
        layers_per_block=1,
        attention_head_dim=16,
        cross_attention_dim=recipe.widths[-1],
        encoder_hid_dim=text_width,
        addition_embed_type_num_heads=4,
        norm_num_groups=8,
        act_fn="silu",
        class_embed_type="timestep" if recipe.in_channels == 6 else None,
        down_block_types=[kind.format("Down") for kind in kinds],
        up_block_types=[kind.format("Up") for kind in reversed(kinds)],
        temporal_dropout=0.0,
    )
    unet.zero_temporal_outputs()
    if recipe.refines:
        nn.init.zeros_(unet.conv_out.weight)
        nn.init.zeros_(unet.conv_out.bias)
    return Denoiser(unet, recipe.patch, recipe.refines)
