"""Draws each thing once, with Debian's `fonts-noto-color-emoji`: the stickers of the scenes."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from worker.errors import UnavailableError

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
#: The only size of the font's bitmaps.
FONT_SIZE = 109
SPRITE_SIDE = 96


def draw_sprites(symbols: Iterable[str]) -> Tensor:
    """Return the symbols as premultiplied RGBA, shape (symbols, 4, 96, 96), uint8."""
    return torch.stack([_sprite(cut_out(symbol)) for symbol in symbols])


def cut_out(symbol: str) -> Image.Image:
    """Return the symbol as drawn by the font, without margins; UnavailableError if the font is missing."""
    if not FONT.is_file():
        raise UnavailableError(f"{FONT} is missing", hint="apt-get install fonts-noto-color-emoji")
    canvas = Image.new("RGBA", (180, 180))
    font = ImageFont.truetype(FONT, FONT_SIZE)
    ImageDraw.Draw(canvas).text((20, 20), symbol, font=font, embedded_color=True)
    return canvas.crop(canvas.getbbox())


def _sprite(cut: Image.Image) -> Tensor:
    """Centre a cut-out in a square, premultiply and resize it."""
    side = max(cut.size)
    square = Image.new("RGBA", (side, side))
    square.paste(cut, ((side - cut.width) // 2, (side - cut.height) // 2))
    rgba = torch.from_numpy(np.asarray(square).astype(np.float32) / 255).permute(2, 0, 1)
    premultiplied = torch.cat([rgba[:3] * rgba[3:], rgba[3:]])[None]
    mode = "area" if side >= SPRITE_SIDE else "bilinear"
    small = F.interpolate(premultiplied, (SPRITE_SIDE, SPRITE_SIDE), mode=mode)[0]
    return (small * 255).round().clamp(0, 255).to(torch.uint8)
