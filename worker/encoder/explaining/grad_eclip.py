"""Explains a vision transformer by its last layer's attention and gradients (Grad-ECLIP)."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Self

import torch
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from worker.domain.moderation.scoring import Vector
from worker.encoder.explaining.protocol import Cells, Method
from worker.encoder.towers.picture_tower import TorchTower
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.images.preprocessing import Pixels

_PROJECTIONS: Final = ("q_proj", "k_proj", "v_proj", "out_proj")


class GradEclip:
    """Zhao et al. 2024, "Gradient-based Visual Explanation for Transformer-based CLIP", at the last layer.

    Of a patch i with value v_i and key k_i, and the class token's query q, the heat is

        max(0, sum over channels of gradient * v_i * lambda_i)

    `gradient` is that of the cosine by the class token's attention output, and lambda_i the cosine of q and
    k_i, scaled to 0..1 over the patches: softmax would leave almost nothing of all patches but a few.
    """

    method = Method.GRAD_ECLIP

    def __init__(self, encoder: TransformersEncoder, attention: Any, patch_side: int) -> None:
        """Explain with the attention module of the tower's last layer."""
        self._encoder, self._attention, self._patch_side = encoder, attention, patch_side
        # The recording hooks belong to one call.
        self._lock = threading.Lock()

    @classmethod
    def of(cls, encoder: TransformersEncoder) -> Self | None:
        """Return it for a tower of PyTorch in which a class token attends to patches; None for another."""
        if not isinstance(encoder.tower, TorchTower):
            return None
        vision = getattr(encoder.tower.model, "vision_model", None)
        embeddings: Any = getattr(vision, "embeddings", None)
        layers: Any = getattr(getattr(vision, "encoder", None), "layers", None)
        attention = getattr(layers[-1], "self_attn", None) if layers else None
        # SigLIP has no class token: its vector is pooled by an attention of its own.
        if not hasattr(embeddings, "class_embedding") or not all(hasattr(attention, p) for p in _PROJECTIONS):
            return None
        return cls(encoder, attention, int(embeddings.patch_size))

    def explain_image(self, pixels: Pixels, direction: Vector) -> Cells:
        """Return the heat of each patch, shape (rows, columns); see `PictureExplainer`."""
        inputs = self._encoder.image_processor.inputs([pixels])
        with self._lock, torch.enable_grad(), self._recorded() as seen:
            vector = F.normalize(self._encoder.tower(inputs).to(torch.float32), dim=-1)
            cosine = (vector[0] * torch.from_numpy(direction)).sum()
            (gradients,) = torch.autograd.grad(cosine, seen["out_proj"])
        query, keys, values = (seen[name][0].detach().float() for name in _PROJECTIONS[:3])
        nearness = F.cosine_similarity(keys[1:], query[:1], dim=-1)
        spread = (nearness.max() - nearness.min()).clamp(min=1e-9)
        weights = (nearness - nearness.min()) / spread
        heat = (gradients[0, 0].float() * values[1:] * weights[:, None]).sum(-1).clamp(min=0)
        cells: Cells = heat.reshape(len(pixels) // self._patch_side, -1).cpu().numpy()
        return cells

    @contextmanager
    def _recorded(self) -> Iterator[dict[str, torch.Tensor]]:
        """Record what the last layer computes, and begin the gradient at the input of its `out_proj`."""
        seen: dict[str, torch.Tensor] = {}

        def record(name: str) -> Any:
            return lambda _module, _inputs, output: seen.__setitem__(name, output)

        def begin(_module: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
            seen["out_proj"] = inputs[0].detach().requires_grad_()
            return (seen["out_proj"],)

        hooks = [
            getattr(self._attention, name).register_forward_hook(record(name)) for name in _PROJECTIONS[:3]
        ]
        hooks.append(self._attention.out_proj.register_forward_pre_hook(begin))
        try:
            yield seen
        finally:
            for hook in hooks:
                hook.remove()
