"""Goes on from an earlier model: its towers, its tokenizer, and a phrase map fitted to what it says."""

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
    """What an earlier run left behind."""

    model: CLIPModel
    tokenizer: CLIPTokenizer


def load(folder: Path) -> EarlierModel:
    """Read a model that `export` wrote, in float32."""
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32, attn_implementation=ATTENTION)
    return EarlierModel(model, CLIPTokenizer.from_pretrained(folder))


@torch.inference_mode()
def say(earlier: EarlierModel, phrases: Sequence[str]) -> Tensor:
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


def fit(phrase_map: PhraseMap, taught: Tensor, said: Tensor, seed: int) -> None:
    """Let the map put the teacher's vectors where the earlier text tower put the same phrases, in place."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(phrase_map.parameters(), lr=FIT_RATE)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, FIT_STEPS)
    phrase_map.train()
    for _ in trange(FIT_STEPS, desc="phrase map", unit="step"):
        chosen = torch.randint(len(taught), (min(FIT_BATCH, len(taught)),), generator=generator)
        loss = (1 - (phrase_map(taught[chosen]) * said[chosen]).sum(1)).mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        rates.step()
