"""Data augmentation that imitates how pictures are delivered: colour shifts, blur, noise, compression."""

import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention


class Distortion:
    """Random distortions of float pictures in 0..1, from one seeded generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return uniform random numbers."""
        return torch.rand(*shape, generator=self._generator) * (high - low) + low

    def normal(self, *shape: int) -> Tensor:
        """Return standard normal random numbers."""
        return torch.randn(*shape, generator=self._generator)

    def chance(self, probability: float, *shape: int) -> Tensor:
        """Return Booleans that are true with `probability`."""
        return self.uniform(*shape) < probability

    def colours(self, pictures: Tensor, strength: float, alpha: Tensor | None = None) -> Tensor:
        """Shift hue, saturation, contrast, brightness of (n, 3, h, w), premultiplied by `alpha` if given."""
        n = len(pictures)
        saturation = 1 + self.uniform(n, 1, 1, 1, low=-1, high=0.6) * strength
        contrast = 1 + self.uniform(n, 1, 1, 1, low=-0.5, high=0.5) * strength
        brightness = self.uniform(n, 1, 1, 1, low=-0.25, high=0.25) * strength
        pictures = torch.einsum("nij,njhw->nihw", self._hue_rotations(n, strength), pictures)
        grey = pictures.mean(1, keepdim=True)
        pictures = grey + (pictures - grey) * saturation
        white: Tensor | float = 1.0 if alpha is None else alpha
        pictures = (pictures - 0.5 * white) * contrast + (0.5 + brightness) * white
        return pictures.clamp(0, 1) if alpha is None else pictures.clamp(min=0).minimum(alpha)

    def delivery(self, pictures: Tensor, strength: float) -> Tensor:
        """Distort whole pictures (n, 3, h, w) like networks and apps do; may change them in place."""
        if strength <= 0:
            return pictures
        pictures = self.colours(pictures, 0.35 * strength)
        for n in self.chance(0.12, len(pictures)).nonzero()[:, 0].tolist():
            pictures[n] = self._rescaled(pictures[n])
        noisy = self.chance(0.2, len(pictures), 1, 1, 1) * self.uniform(len(pictures), 1, 1, 1, high=0.08)
        pictures = (pictures + noisy * self.normal(*pictures.shape)).clamp(0, 1)
        for n in self.chance(0.2, len(pictures)).nonzero()[:, 0].tolist():
            pictures[n] = self._compressed(pictures[n])
        return pictures

    def _hue_rotations(self, n: int, strength: float) -> Tensor:
        """Return rotations about the grey axis, (n, 3, 3); at full strength one in eight has any angle."""
        angle = self.uniform(n, low=-0.6, high=0.6) * strength
        any_angle = self.uniform(n, low=-math.pi, high=math.pi)
        angle = torch.where(self.chance(0.12 * strength, n), any_angle, angle)
        cos, sin, third, root = torch.cos(angle), torch.sin(angle), 1 / 3, math.sqrt(1 / 3)
        same, plus, minus = (
            cos + (1 - cos) * third,
            (1 - cos) * third + root * sin,
            (1 - cos) * third - root * sin,
        )
        rows = [
            torch.stack(row, -1) for row in ((same, minus, plus), (plus, same, minus), (minus, plus, same))
        ]
        return torch.stack(rows, -2)

    def _rescaled(self, picture: Tensor) -> Tensor:
        factor = float(self.uniform(1, low=0.35, high=0.7))
        small = F.interpolate(picture[None], scale_factor=factor, mode="area")
        return F.interpolate(small, picture.shape[-2:], mode="bilinear")[0]

    def _compressed(self, picture: Tensor) -> Tensor:
        file = io.BytesIO()
        to_image(picture).save(file, "JPEG", quality=int(self.uniform(1, low=25, high=86)))
        return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float() / 255


def to_image(picture: Tensor) -> Image.Image:
    """Return a float picture (3, h, w) in 0..1 as an image."""
    return Image.fromarray((picture.permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8).numpy())
