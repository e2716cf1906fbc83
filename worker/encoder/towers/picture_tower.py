"""What turns prepared pictures into vectors: transformers' own tower, or another engine's in its place."""

import copy
from collections.abc import Mapping
from typing import Any, Final, Protocol

import torch

CPU: Final = torch.device("cpu")


class PictureTower(Protocol):
    """The half of a model that sees. Safe to call from many threads at once."""

    @property
    def dtype(self) -> torch.dtype:
        """The numbers it computes in, wherever its weights do not say otherwise."""

    def __call__(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the vectors of a model's inputs, shape (pictures, dimension), of whatever length."""


class TorchTower:
    """The tower that came with the model, in float32 or bfloat16, on a processor or an accelerator."""

    def __init__(self, model: Any, dtype: torch.dtype, device: torch.device = CPU) -> None:
        """Take up the half of a model that sees, and move it there."""
        self.dtype, self._device = dtype, device
        self.model = model
        for part in model.children():
            part.to(device=device, dtype=dtype)

    def __call__(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the vectors of a model's inputs, shape (pictures, dimension), in the tower's numbers."""
        moved = {name: self._moved(values) for name, values in inputs.items()}
        vectors: torch.Tensor = self.model.get_image_features(**moved).pooler_output
        return vectors.cpu()

    def _moved(self, values: torch.Tensor) -> torch.Tensor:
        if values.is_floating_point():
            values = values.to(self.dtype)
        if self._device.type == "cuda":
            # From pinned memory the copy runs beside the pass before.
            values = values.pin_memory()
        return values.to(self._device, non_blocking=True)


def halves(model: Any) -> tuple[Any, Any]:
    """Return the half of a model that sees and the half that reads; each frees its own once it is dropped."""
    parts = dict(model.named_children())
    # The text tower's, which every family names so.
    texts = {name: part for name, part in parts.items() if name.startswith("text_")}
    return _with_parts(model, {name: parts[name] for name in parts.keys() - texts}), _with_parts(model, texts)


def _with_parts(model: Any, parts: dict[str, Any]) -> Any:
    half = copy.copy(model)
    half._modules = parts  # noqa: SLF001 - where every module of PyTorch has them
    # A lone scalar of the model's own would keep the whole file of its weights mapped into memory.
    half._parameters = {  # noqa: SLF001
        name: torch.nn.Parameter(one.detach().clone(), requires_grad=False)
        for name, one in model.named_parameters(recurse=False)
    }
    return half
