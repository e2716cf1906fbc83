"""A small CLIP tokenizer: byte-pair pieces learned from the words of the sticker world."""

import json
from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer, models, trainers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

#: Maximum tokens of a phrase, including start and end; longer phrases are truncated.
CONTEXT = 24
_END_OF_WORD = "</w>"


def train_tokenizer(phrases: Iterable[str], size: int) -> CLIPTokenizer:
    """Return a tokenizer of about `size` pieces; every byte is one, so no input is unknown."""
    original = CLIPTokenizer().backend_tokenizer
    pieces = Tokenizer(
        models.BPE(unk_token="<|endoftext|>", end_of_word_suffix=_END_OF_WORD, continuing_subword_prefix="")  # noqa: S106
    )
    pieces.normalizer, pieces.pre_tokenizer = original.normalizer, original.pre_tokenizer
    # Sort the alphabet, and number the word endings beforehand: the trainer assigns numbers in the order of a
    # hash map, which differs between runs.
    alphabet = sorted(ByteLevel.alphabet())
    endings = [byte + _END_OF_WORD for byte in alphabet]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=["<|startoftext|>", "<|endoftext|>", *endings],
        initial_alphabet=alphabet,
        end_of_word_suffix=_END_OF_WORD,
        show_progress=False,
    )
    pieces.train_from_iterator(phrases, trainer)
    model = json.loads(pieces.to_str())["model"]
    # The annotation says strings, but pairs are expected.
    merges: Any = [tuple(merge) for merge in model["merges"]]
    return CLIPTokenizer(vocab=model["vocab"], merges=merges, model_max_length=CONTEXT)
