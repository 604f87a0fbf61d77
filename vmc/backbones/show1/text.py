"""Prompts as Show-1 reads them, encoded once by a T5 that does not stay.

The encoder is larger than all that it serves (4.8 billion parameters), and a prompt's encoding
never changes: so it is loaded for the prompts that are new, and let go.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import T5EncoderModel, T5Tokenizer

from vmc.backbones.loading import load_text_encoder
from vmc.errors import BadInput
from vmc.residency import OnDemand, at_hand

TOKENS = 77  # every prompt is padded to this many


class PromptEncoder:
    """T5's last hidden states of prompts.

    Arguments:
        folder: with the sub-folders tokenizer and text_encoder.
        device: where the encoder runs.
        dtype, bits: as in `vmc.backbones.loading.load_text_encoder`.
        keep: hold the encoder in memory after its first use.
    """

    def __init__(
        self, folder: Path, device: torch.device, dtype: torch.dtype, bits: int = 16, keep=False
    ):
        self.device = torch.empty(0, device=device).device  # "cuda" becomes the one it is
        self.tokenizer = _tokenizer(folder / "tokenizer")
        self.encoder = OnDemand(
            lambda: load_text_encoder(T5EncoderModel, folder / "text_encoder", device, dtype, bits)
        )
        self.keep = keep
        self.encoded: dict[str, Tensor] = {}

    def knows(self, prompts: list[str]) -> bool:
        return all(_cleaned(prompt) in self.encoded for prompt in prompts)

    @torch.no_grad()
    def __call__(self, prompts: list[str]) -> Float[Tensor, "batch token embedding"]:
        """On the CPU, in the encoder's dtype. BadInput for a prompt that is too long.

        As published, a prompt is stripped and lower case, and padding is masked for T5 alone.
        """
        wanted = [_cleaned(prompt) for prompt in prompts]
        for prompt in wanted:
            tokens = len(self.tokenizer(prompt).input_ids)
            if tokens > TOKENS:
                raise BadInput(
                    f"The prompt {prompt!r} has {tokens} tokens, but Show-1 reads at most "
                    f"{TOKENS}: shorten it."
                )
        # The empty prompt is wanted sooner or later, by inversion and by guidance.
        if new := sorted({*wanted, ""} - self.encoded.keys()):
            with at_hand(self.encoder) as encoder:
                self._encode(new, encoder)
                if self.keep:
                    self.encoder = encoder
        return torch.stack([self.encoded[prompt] for prompt in wanted])

    def _encode(self, prompts: list[str], encoder: T5EncoderModel) -> None:
        for prompt in prompts:  # one by one: the encoding of one must not depend on the others
            tokens = self.tokenizer(
                prompt, padding="max_length", max_length=TOKENS, return_tensors="pt"
            ).to(self.device)
            states = encoder(tokens.input_ids, attention_mask=tokens.attention_mask)[0]
            self.encoded[prompt] = states[0].cpu()


def _cleaned(prompt: str) -> str:
    return prompt.lower().strip()


def _tokenizer(folder: Path) -> T5Tokenizer:
    try:
        return T5Tokenizer.from_pretrained(folder)
    except (ImportError, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise BadInput(
            f"The tokenizer in {folder} cannot be read ({reason}): a published one needs "
            "`pip install sentencepiece protobuf`, a damaged one is to be copied again."
        ) from error
