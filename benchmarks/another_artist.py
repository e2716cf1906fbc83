"""Redraw stickers as another artist would: bent shapes, flat colours of another palette, ink lines."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from training.distortion import Distortion

#: Of a bend, in sprites' sides; of the colours' shift; the share of ink in an outline.
BEND = 0.07
COLOURS = 0.6
INK = 0.9
#: Steps of each colour channel.
FLAT = 4


def redraw(sprites: Tensor, seed: int) -> Tensor:
    """Redraw premultiplied sprites, (n, 4, side, side) in uint8, in the hand that `seed` stands for."""
    hand = Distortion(torch.Generator().manual_seed(seed))
    rgba = _bent(sprites.float() / 255, hand)
    colours, alpha = rgba[:, :3] / rgba[:, 3:].clamp(min=1e-3), rgba[:, 3:]
    colours = _flat(_repainted(colours.clamp(0, 1), hand))
    ink = _lines(colours * alpha + (1 - alpha), alpha) * INK
    alpha = torch.maximum(alpha, ink)
    colours = colours * (1 - ink) + _ink(hand) * ink
    redrawn = torch.cat([colours * alpha, alpha], 1)
    return (redrawn * 255).round().clamp(0, 255).to(torch.uint8)


def _bent(rgba: Tensor, hand: Distortion) -> Tensor:
    """Bend every sprite by a smooth field of its own; stretch all alike."""
    n, _, side, _ = rgba.shape
    stretch = torch.diag(1 + 0.12 * hand.normal(2))
    affine = torch.cat([stretch, torch.zeros(2, 1)], 1).expand(n, 2, 3)
    grid = F.affine_grid(affine.contiguous(), [n, 4, side, side], align_corners=False)
    field = F.interpolate(
        hand.normal(n, 2, 5, 5) * 2 * BEND, (side, side), mode="bicubic", align_corners=True
    )
    return F.grid_sample(rgba, grid + field.permute(0, 2, 3, 1), align_corners=False)


def _repainted(colours: Tensor, hand: Distortion) -> Tensor:
    """Mix the channels of all sprites alike, as a palette does, then each one's a little."""
    mix = torch.eye(3) + COLOURS * 0.5 * hand.normal(3, 3)
    mixed = torch.einsum("ij,njhw->nihw", mix / mix.sum(1, keepdim=True).clamp(min=0.5), colours)
    return hand.colours(mixed.clamp(0, 1), COLOURS)


def _flat(colours: Tensor) -> Tensor:
    smooth = F.avg_pool2d(colours, 3, 1, 1)
    return (smooth * FLAT).round() / FLAT


def _lines(picture: Tensor, alpha: Tensor) -> Tensor:
    """Return where ink goes, (n, 1, h, w): around each shape, and along strong edges inside."""
    outline = F.max_pool2d(alpha, 5, 1, 2) - alpha
    inside = F.max_pool2d(picture, 3, 1, 1) + F.max_pool2d(-picture, 3, 1, 1)
    return torch.maximum(outline, (inside.amax(1, keepdim=True) > 0.45).float() * alpha).clamp(0, 1)


def _ink(hand: Distortion) -> Tensor:
    return hand.uniform(1, 3, 1, 1, high=0.35)
