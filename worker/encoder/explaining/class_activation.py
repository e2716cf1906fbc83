"""Explains a convolutional tower by the cells of its last map (class activation mapping)."""

from typing import Final, Self

import numpy as np
import torch

from worker.domain.moderation.scoring import Vector
from worker.encoder.explaining.protocol import Cells, Method
from worker.encoder.towers.picture_tower import TorchTower
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.images.preprocessing import Pixels

#: Largest relative difference of the mean of the cells from the pooled vector; bfloat16 rounds by 0.004.
_TOLERANCE: Final = 0.02


class ClassActivation:
    """Each cell's product with the direction, if negative 0.

    The tower's vector is the mean of its cells, so that these products add up to what decided. Zhou et al.
    2016, "Learning Deep Features for Discriminative Localization", with a phrase in place of a class.
    """

    method = Method.CLASS_ACTIVATION

    def __init__(self, encoder: TransformersEncoder, tower: TorchTower) -> None:
        """Explain with the last map of `tower`."""
        self._encoder, self._tower = encoder, tower

    @classmethod
    def of(cls, encoder: TransformersEncoder) -> Self | None:
        """Return it for a tower whose vector is the mean of a map of cells; None for another."""
        if not isinstance(encoder.tower, TorchTower):
            return None
        width, height = encoder.info.preprocessing.final((64, 48))
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        with torch.inference_mode():
            output = encoder.tower.outputs(encoder.image_processor.inputs([noise]))
        cells = getattr(output, "last_hidden_state", None)
        if cells is None or cells.ndim != 4:
            return None
        pooled, mean = output.pooler_output.float().flatten(), cells.float().mean((2, 3)).flatten()
        if pooled.shape != mean.shape or (pooled - mean).norm() > _TOLERANCE * pooled.norm():
            return None
        return cls(encoder, encoder.tower)

    def explain_image(self, pixels: Pixels, direction: Vector) -> Cells:
        """Return the heat of each cell of the last map, shape (rows, columns); see `PictureExplainer`."""
        with torch.inference_mode():
            output = self._tower.outputs(self._encoder.image_processor.inputs([pixels]))
            channels = output.last_hidden_state[0].float().cpu()
        heat: Cells = np.tensordot(direction, channels.numpy(), axes=1)
        return np.maximum(heat, 0)
