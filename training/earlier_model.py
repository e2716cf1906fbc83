"""Starts from an earlier model: its towers, its tokenizer, and a phrase map fitted to its text vectors."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention
from tqdm import trange
from transformers import CLIPModel, CLIPTokenizer

from training.model import ATTENTION
from training.phrase_map import PhraseMap
from training.tokenizer import CONTEXT

FIT_STEPS = 600
FIT_BATCH = 1024
FIT_RATE = 2e-3
_PHRASES_AT_ONCE = 512


class EarlierModel(NamedTuple):
    """The model of an earlier run."""

    model: CLIPModel
    tokenizer: CLIPTokenizer


def load(folder: Path) -> EarlierModel:
    """Load a model that `export` wrote, in float32."""
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32, attn_implementation=ATTENTION)
    return EarlierModel(model, CLIPTokenizer.from_pretrained(folder))


@torch.inference_mode()
def embed_phrases(earlier: EarlierModel, phrases: Sequence[str]) -> Tensor:
    """Return the text tower's unit vectors of `phrases`, shape (phrases, dimension)."""
    vectors = []
    for start in trange(0, len(phrases), _PHRASES_AT_ONCE, desc="earlier text tower", unit="batch"):
        tokens = earlier.tokenizer(
            list(phrases[start : start + _PHRASES_AT_ONCE]),
            padding=True,
            truncation=True,
            max_length=CONTEXT,
            return_tensors="pt",
        )
        hidden = earlier.model.text_model(**tokens).pooler_output
        vectors.append(F.normalize(earlier.model.text_projection(hidden), dim=-1))
    return torch.cat(vectors).clone()


def fit(phrase_map: PhraseMap, taught: Tensor, targets: Tensor, seed: int) -> None:
    """Fit the map in place, from teacher vectors to the earlier text tower's vectors of the same phrases."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(phrase_map.parameters(), lr=FIT_RATE)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, FIT_STEPS)
    phrase_map.train()
    for _ in trange(FIT_STEPS, desc="phrase map", unit="step"):
        chosen = torch.randint(len(taught), (min(FIT_BATCH, len(taught)),), generator=generator)
        loss = (1 - (phrase_map(taught[chosen]) * targets[chosen]).sum(1)).mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        rates.step()
