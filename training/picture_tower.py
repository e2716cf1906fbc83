"""The picture tower during training: it takes small pictures and drops patches, unlike at inference."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention
from transformers import CLIPModel

from training.model import GRID


class Embedded(NamedTuple):
    """Unit vectors of pictures (n, d) and of their patches (n, kept, d), and which patches these are."""

    pictures: Tensor
    patches: Tensor
    kept: Tensor


class PictureTower(nn.Module):
    """The vision half of a CLIPModel, projected."""

    def __init__(self, model: CLIPModel, *, bfloat16: bool = False) -> None:
        """Use `bfloat16` if the processor supports it: 1.5 times as fast, with the same quality."""
        super().__init__()
        self._bfloat16 = bfloat16
        self.vision = model.vision_model
        self.projection = model.visual_projection

    def forward(self, pictures: Tensor, keep: int | None = None, priority: Tensor | None = None) -> Embedded:
        """Embed pictures (n, 3, side, side) in 0..1.

        A picture smaller than the model's input gets a random window of its grid of positions. With `keep`,
        only this number of patches is used, drawn at random, but those of high `priority` (n, patches) first.
        """
        embeddings = self.vision.embeddings
        grid = embeddings.patch_embedding(pictures * 2 - 1)
        n, _, rows, columns = grid.shape
        positions = embeddings.position_embedding.weight
        tokens = grid.flatten(2).transpose(1, 2) + positions[1 + _window(n, rows, columns)]
        kept = torch.arange(rows * columns).expand(n, -1)
        if keep is not None and priority is not None:
            kept = (priority + torch.rand(n, rows * columns)).topk(keep, 1).indices.sort(1).values
            tokens = tokens.gather(1, kept[:, :, None].expand(-1, -1, tokens.shape[2]))
        start = (embeddings.class_embedding + positions[0]).expand(n, 1, -1)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            hidden = self.vision.pre_layrnorm(torch.cat([start, tokens], 1))
            hidden = self.vision.encoder(inputs_embeds=hidden).last_hidden_state
        # Outside autocast: scaled cosines need more precision than bfloat16 has.
        vectors = F.normalize(self.projection(self.vision.post_layernorm(hidden.float())), dim=-1)
        return Embedded(vectors[:, 0], vectors[:, 1:], kept)


def _window(n: int, rows: int, columns: int) -> Tensor:
    """Return the positions of a random window of the grid, shape (n, rows * columns)."""
    top = torch.randint(0, GRID - rows + 1, (n, 1, 1))
    left = torch.randint(0, GRID - columns + 1, (n, 1, 1))
    window = (top + torch.arange(rows)[:, None]) * GRID + left + torch.arange(columns)
    return window.flatten(1)
