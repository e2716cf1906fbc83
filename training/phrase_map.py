"""The map from the sentence model's vectors to the shared space of pictures and phrases."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from training.model import DIMENSION
from training.teacher import DIMENSION as TEACHER_DIMENSION


class PhraseMap(nn.Module):
    """A linear map plus a small nonlinear correction: unseen words land near words that they resemble."""

    def __init__(self, *, noise: float = 0.02, hidden: int = 512, dropout: float = 0.2) -> None:
        super().__init__()
        self.noise = noise
        self.linear = nn.Linear(TEACHER_DIMENSION, DIMENSION)
        self.bend = nn.Sequential(
            nn.Linear(TEACHER_DIMENSION, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, DIMENSION)
        )
        for parameter in self.bend[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, taught: Tensor) -> Tensor:
        """Map teacher vectors (n, 384) to unit vectors (n, 256); add a little noise during training."""
        if self.training:
            taught = F.normalize(taught + self.noise * torch.randn_like(taught), dim=-1)
        return F.normalize(self.linear(taught) + self.bend(taught), dim=-1)
