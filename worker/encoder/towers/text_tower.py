"""The half of a model that reads: loaded when there are phrases, and let go of when there are none."""

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

#: To be raised with every change of how texts become vectors, here or in the libraries: what was kept before
#: is asked for no more.
READING_VERSION: Final = 2
#: Nothing was to be read for this long: no policy is being edited.
IDLE_SECONDS: Final = 60.0
#: How vocabularies mark where words end and begin: CLIP's, SentencePiece's, GPT-2's, BERT's.
_WORD_ENDS: Final = ("</w>",)
_WORD_BEGINNINGS: Final = ("\N{LOWER ONE EIGHTH BLOCK}", "\u0120")
_CONTINUES: Final = "##"
_SPACE: Final = " "
#: A thousand at once would need gigabytes.
_TEXTS_A_PASS: Final = 64


class TextTower:
    """A text tower in float32, since a phrase is encoded once. Safe to use from many threads, in turns."""

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
        """Take up the towers of `model`; once they were let go of, `load` returns them anew.

        `window` is how many tokens it reads, `padding` how the tokenizer fills them up.
        """
        self._model, self._load = model, load
        self._tokenizer, self._window, self._padding = tokenizer, window, padding
        self._clock = clock
        self._used_at = clock()
        # Tokenizers keep the padding of the last call, and nothing may be let go of in use.
        self._turn = Lock()

    @property
    def is_loaded(self) -> bool:
        """Whether it is in memory."""
        return self._model is not None

    def __call__(self, texts: Sequence[str]) -> Matrix:
        """Return the vectors of texts, shape (texts, dimension), of whatever length."""
        starts = range(0, len(texts), _TEXTS_A_PASS)
        with self._turn, torch.inference_mode():
            self._model = self._model or self._load()
            vectors = [self._encode(texts[start : start + _TEXTS_A_PASS]) for start in starts]
            self._used_at = self._clock()
        return np.concatenate(vectors)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, special tokens included, before anything is cut off."""
        with self._turn:
            # Not verbose: a text beyond the window is what the caller wants to know about.
            tokens = self._tokenizer(list(texts), padding=False, truncation=False, verbose=False)
        return [len(ids) for ids in tokens["input_ids"]]

    def pieces(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the pieces of each text; empty ones stand for no text that the vocabulary has."""
        with self._turn:
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
        # Of a character's bytes one alone says nothing.
        return "" if "\N{REPLACEMENT CHARACTER}" in text else text or _SPACE

    def let_go_if_idle(self) -> None:
        """Free the memory where nothing was read lately."""
        with self._turn:
            if self._model is not None and self._clock() - self._used_at >= IDLE_SECONDS:
                self._model = None
                log.info("the text tower is let go of; it is loaded again when a policy is saved")

    def _encode(self, texts: Sequence[str]) -> Matrix:
        inputs = self._tokenizer(
            list(texts), padding=self._padding, truncation=True, max_length=self._window, return_tensors="pt"
        )
        vectors: Matrix = self._model.get_text_features(**inputs).pooler_output.to(torch.float32).numpy()
        return vectors
