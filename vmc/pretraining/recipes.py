"""The stages of the tiny cascade: how large each network is, and how it is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from vmc.backbones.tiny import Denoiser, TextEncoder
from vmc.backbones.unet import PixelUNet3D
from vmc.sprites import COLOURS, NAMED, PLACES, STYLES, SUBJECTS
from vmc.sprites.motions import SHARES


@dataclass(frozen=True)
class Phase:
    """A part of a stage's training: what its scenes show, and at which noise levels."""

    steps: int = 0  # the last phase of a stage lasts for as long as there are steps
    motions: Mapping[str, float] = field(default_factory=lambda: SHARES)  # how often each
    timesteps: tuple[int, int] = (0, 1000)
    share: float = 0.0  # of the timesteps that come from `timesteps`; the others come from all
    held: float = 0.0  # of the batches that show one path, at these timesteps; see path_offsets


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
    word_steps: int = 0  # first, the text encoder alone is taught the words for motions
    phases: tuple[Phase, ...] = (Phase(),)

    def phase(self, step: int) -> Phase:
        """The one that `step`, counted from 0, belongs to."""
        for phase in self.phases[:-1]:
            if step < phase.steps:
                return phase
            step -= phase.steps
        return self.phases[-1]


# So many of a small picture's pixels show the same that even at signal-to-noise ratios of 0.15 to
# 0.0003 noise leaves most outlines readable: what a subject is, is decided there.
LOOKS = Phase(timesteps=(750, 990), share=0.6)

# Where a subject is in a frame of "moving left" is said by word and frame number together, and by
# neither alone. As long as both directions are shown equally often, each half of that product is
# useless without the other, and no gradient leads to it: 500 steps and more found nothing. Shown
# one direction, a network learns within 50 steps to place a subject by the frame's number. Shown
# the other now and then, it pays to learn which word makes that wrong.
_PURE_NOISE = (960, 998)
MOTIONS = (
    Phase(60, {"moving right": 1.0}, _PURE_NOISE, 1.0),
    Phase(240, {"moving right": 0.72, "moving left": 0.28}, _PURE_NOISE, 1.0),
    Phase(150, {"moving right": 0.5, "moving left": 0.5}, _PURE_NOISE, 1.0),
    Phase(
        540,
        {"moving right": 0.14, "moving left": 0.14, "falling": 0.36, "rising": 0.14}
        | {"moving": 0.22},
        _PURE_NOISE,
        1.0,
    ),
    Phase(
        470,
        {"growing": 0.33, "shrinking": 0.12, "spinning": 0.15, "rising": 0.13}
        | {"falling": 0.07, "moving right": 0.05, "moving left": 0.05, "moving": 0.1},
        (900, 998),
        1.0,
    ),
    Phase(4000, timesteps=(850, 998), share=0.7),
    # A turned subject is a new look at every angle, for each of the eight, and looks are decided at
    # lower noise than places are.
    Phase(
        1400,
        {"spinning": 0.64, "moving": 0.1}
        | {"moving right": 0.05, "moving left": 0.05, "rising": 0.04, "falling": 0.04}
        | {"growing": 0.04, "shrinking": 0.04},
        (600, 990),
        0.9,
    ),
    Phase(timesteps=(850, 998), share=0.7, held=0.65),
)

RECIPES = {
    "image": Recipe(9000, 32, 1.2e-3, (96, 128), 4, temporal=False, phases=(LOOKS,)),
    "keyframes": Recipe(
        10400, 8, 1.5e-3, (96, 128), 4, known_rate=0.4, word_steps=1500, phases=MOTIONS
    ),
    "interpolation": Recipe(2000, 8, 1.0e-3, (64, 64), 4, 1, in_channels=7, refines=True),
    "super_resolution_1": Recipe(4000, 1, 1e-3, (64, 64), 4, 1, in_channels=6, refines=True),
    "super_resolution_2": Recipe(3000, 1, 1e-3, (64, 64), 8, 1, in_channels=6, refines=True),
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
