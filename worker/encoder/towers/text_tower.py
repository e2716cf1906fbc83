"""The text tower: loaded when there are phrases to encode, and unloaded when it is idle."""

import logging
import time
from collections.abc import Callable, Sequence
from functools import cache
from threading import Lock
from typing import Any, Final

import numpy as np
import torch

from worker.domain.moderation.scoring import Matrix

log = logging.getLogger(__name__)

#: Part of the key of stored vectors: increase it with every change of how texts are encoded, here or in the
#: libraries, so that older vectors are not used.
READING_VERSION: Final = 2
#: After this long without a phrase or caption, no policy is being edited, and hardly any text comes.
IDLE_SECONDS: Final = 60.0
#: How vocabularies mark the ends and beginnings of words: CLIP's, SentencePiece's, GPT-2's, BERT's.
_WORD_ENDS: Final = ("</w>",)
_WORD_BEGINNINGS: Final = ("\N{LOWER ONE EIGHTH BLOCK}", "\u0120")
_CONTINUES: Final = "##"
_SPACE: Final = " "
#: A thousand at once would need gigabytes.
_TEXTS_A_PASS: Final = 64


class TextTower:
    """A text tower in float32, since each phrase is encoded once. Thread-safe: one thread runs at a time."""

    def __init__(  # noqa: PLR0913 - how texts become tokens, by name
        self,
        model: Any,
        tokenizer: Any,
        load: Callable[[], Any],
        *,
        window: int,
        padding: str | bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use the text half `model`; after it was unloaded, `load` loads it again.

        `window` is how many tokens it reads, `padding` the tokenizer's padding option.
        """
        self._model, self._load = model, load
        self._tokenizer, self._window, self._padding = tokenizer, window, padding
        self._clock = clock
        self._used_at = clock()
        # Tokenizers keep the padding of the last call, and the model must not be unloaded while in use.
        self._lock = Lock()

    @property
    def is_loaded(self) -> bool:
        """Whether it is in memory."""
        return self._model is not None

    def __call__(self, texts: Sequence[str]) -> Matrix:
        """Return the vectors of texts, shape (texts, dimension), not normalised."""
        starts = range(0, len(texts), _TEXTS_A_PASS)
        with self._lock, torch.inference_mode():
            self._model = self._model or self._load()
            vectors = [self._encode(texts[start : start + _TEXTS_A_PASS]) for start in starts]
            self._used_at = self._clock()
        return np.concatenate(vectors)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, special tokens included, before anything is cut off."""
        with self._lock:
            # Not verbose: no warning about texts beyond the window, which callers check for.
            tokens = self._tokenizer(list(texts), padding=False, truncation=False, verbose=False)
        return [len(ids) for ids in tokens["input_ids"]]

    def pieces(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the tokens of each text as strings; "" for a token without readable text."""
        with self._lock:
            tokens = self._tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)
        piece_of = cache(self._piece)
        read = ([piece_of(number) for number in ids] for ids in tokens["input_ids"])
        return [[piece for piece in pieces if piece != _SPACE] for pieces in read]

    def vocabulary(self) -> frozenset[str]:
        """Return the words that are one piece; empty if the pieces do not say where words end."""
        pieces = list(self._tokenizer.get_vocab())
        for end in _WORD_ENDS:
            if any(piece.endswith(end) for piece in pieces):
                return frozenset(piece.removesuffix(end) for piece in pieces if piece.endswith(end))
        for begin in _WORD_BEGINNINGS:
            if any(piece.startswith(begin) for piece in pieces):
                return frozenset(piece.removeprefix(begin) for piece in pieces if piece.startswith(begin))
        if any(piece.startswith(_CONTINUES) for piece in pieces):
            return frozenset(piece for piece in pieces if not piece.startswith(_CONTINUES))
        return frozenset()

    def _piece(self, number: int) -> str:
        if number == self._tokenizer.unk_token_id:
            return ""
        text = str(self._tokenizer.decode([number])).strip().removeprefix(_CONTINUES)
        # A single byte of a multi-byte character has no text.
        return "" if "\N{REPLACEMENT CHARACTER}" in text else text or _SPACE

    def unload_if_idle(self) -> None:
        """Free the memory if no text was encoded for `IDLE_SECONDS`."""
        with self._lock:
            if self._model is not None and self._clock() - self._used_at >= IDLE_SECONDS:
                self._model = None
                log.info("the text tower is unloaded; it is loaded again for the next phrase or caption")

    def _encode(self, texts: Sequence[str]) -> Matrix:
        inputs = self._tokenizer(
            list(texts), padding=self._padding, truncation=True, max_length=self._window, return_tensors="pt"
        )
        vectors: Matrix = self._model.get_text_features(**inputs).pooler_output.to(torch.float32).numpy()
        return vectors
