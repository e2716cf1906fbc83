"""Picture towers, which map prepared pictures to vectors: the one of transformers, or another engine's."""

import copy
from collections.abc import Mapping
from typing import Any, Final, Protocol

import torch

CPU: Final = torch.device("cpu")


class PictureTower(Protocol):
    """The picture half of a model. Safe to call from many threads at once."""

    @property
    def dtype(self) -> torch.dtype:
        """Number format of its computation, except for quantised weights."""

    def __call__(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the vectors of a model's inputs, shape (pictures, dimension), not normalised."""


class TorchTower:
    """The original tower of the model, in float32 or bfloat16, on a processor or an accelerator."""

    def __init__(self, model: Any, dtype: torch.dtype, device: torch.device = CPU) -> None:
        """Convert the picture half of a model to `dtype` and move it to `device`."""
        self.dtype, self._device = dtype, device
        self.model = model
        for part in model.children():
            part.to(device=device, dtype=dtype)

    def __call__(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the vectors of a model's inputs, shape (pictures, dimension), in the tower's dtype."""
        vectors: torch.Tensor = self.outputs(inputs).pooler_output
        return vectors.cpu()

    def outputs(self, inputs: Mapping[str, torch.Tensor]) -> Any:
        """Return all that the tower computes of a model's inputs, on its device: what it pools, too."""
        moved = {name: self._moved(values) for name, values in inputs.items()}
        return self.model.get_image_features(**moved)

    def _moved(self, values: torch.Tensor) -> torch.Tensor:
        if values.is_floating_point():
            values = values.to(self.dtype)
        if self._device.type == "cuda":
            # From pinned memory the copy overlaps with the previous pass.
            values = values.pin_memory()
        return values.to(self._device, non_blocking=True)


def halves(model: Any) -> tuple[Any, Any]:
    """Split a model into its picture half and its text half; each can be freed separately."""
    parts = dict(model.named_children())
    # Every family names the parts of its text tower like this.
    texts = {name: part for name, part in parts.items() if name.startswith("text_")}
    return _with_parts(model, {name: parts[name] for name in parts.keys() - texts}), _with_parts(model, texts)


def _with_parts(model: Any, parts: dict[str, Any]) -> Any:
    half = copy.copy(model)
    half._modules = parts  # noqa: SLF001 - the submodules of any PyTorch module
    # Copied: a single scalar of the model would keep the whole file of weights mapped into memory.
    half._parameters = {  # noqa: SLF001
        name: torch.nn.Parameter(one.detach().clone(), requires_grad=False)
        for name, one in model.named_parameters(recurse=False)
    }
    return half
