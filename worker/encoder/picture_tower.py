"""What turns prepared pictures into vectors: transformers' own tower, or another engine's in its place."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch


class PictureTower(Protocol):
    """The half of a model that sees. Safe to call from many threads at once."""

    @property
    def dtype(self) -> torch.dtype:
        """The numbers it computes in, wherever its weights do not say otherwise."""

    def __call__(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the vectors of a model's inputs, shape (pictures, dimension), of whatever length."""


class TorchTower:
    """The tower that came with the model, in float32 or bfloat16."""

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.model = _with_pictures_in(model, dtype)

    def __call__(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the vectors of a model's inputs, shape (pictures, dimension), in the tower's numbers."""
        converted = {**inputs, "pixel_values": inputs["pixel_values"].to(self.dtype)}
        vectors: torch.Tensor = self.model.get_image_features(**converted).pooler_output
        return vectors


def without_pictures(model: Any) -> Any:
    """Free what a model's texts do not need, and return it."""
    for part in _picture_parts(model):
        delattr(model, part)
    return model


def _with_pictures_in(model: Any, dtype: torch.dtype) -> Any:
    for part in _picture_parts(model):
        getattr(model, part).to(dtype)
    return model


def _picture_parts(model: Any) -> list[str]:
    """Return all parts but the text tower's, which every family names so."""
    return [part for part, _ in model.named_children() if not part.startswith("text_")]
