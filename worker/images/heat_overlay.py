"""Draws a heat map over a picture: a colour scale that colour-blind people can read, and contour lines.

The scale runs from blue to yellow with steadily growing lightness, as cividis does (Nunez, Anderton and
Renslow 2018, "Optimizing colormaps with consideration for color vision deficiency").
"""

import math
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from worker.images.parts import Place
from worker.images.preprocessing import bounded

MEDIA_TYPE: Final = "image/webp"
#: Colours at equal steps from no heat to the most, sampled from cividis.
SCALE: Final = ((0, 34, 78), (53, 69, 108), (102, 105, 112), (148, 142, 119), (200, 182, 102), (254, 232, 56))
#: How much of the picture the scale covers, at no heat and at the most.
_OPACITY: Final = (0.46, 0.58)
#: Contour lines, as shares of the most heat.
LEVELS: Final = (0.25, 0.5, 0.75)
#: A contour line's width and that of its dark edge, in pixels, from this side of the tinted part on; thinner
#: on a smaller one, whose lines would merge.
_WIDE_FROM: Final = 300
_WIDE, _THIN = (3, 7), (1, 3)
#: A drawing has about this number of pixels.
_PIXELS: Final = 960 * 720
_NOT_TINTED: Final = "; what has no tint did not decide"
_INK, _PAPER = (28, 33, 38), (255, 255, 255)
_LEGEND_HEIGHT: Final = 64
_BAR: Final = (16, 34, 216, 50)

_Heat = NDArray[np.float32]


def overlay(cells: NDArray[np.float32], size: tuple[int, int], place: Place) -> Image.Image:
    """Return the heat map as a transparent RGBA picture in the shape of a picture of `size`.

    `cells` has the shape (rows, columns), not negative, and covers `place`; outside of it, where the model
    did not look, nothing is drawn. The scale is relative to the largest cell.
    """
    width, height = _scaled(size)
    left, top, right, bottom = _pixels(place, (width, height))
    heat = _enlarged(cells, (right - left, bottom - top))
    layer = Image.new("RGBA", (width, height))
    layer.paste(_coloured(heat), (left, top))
    return layer


def encoded(layer: Image.Image) -> bytes:
    """Return an overlay for a browser, which draws it over the picture that it shows."""
    file = BytesIO()
    layer.save(file, "WEBP", quality=80, method=2)
    return file.getvalue()


def drawn_over(picture: Image.Image, layer: Image.Image, title: str) -> Image.Image:
    """Return a picture with an overlay, and a legend below it; `title` is in Latin letters."""
    shown = picture.convert("RGBA").resize(layer.size, Image.Resampling.BICUBIC)
    shown.alpha_composite(layer)
    page = Image.new("RGB", (max(layer.width, 360), layer.height + _LEGEND_HEIGHT), _PAPER)
    page.paste(shown.convert("RGB"))
    is_part = layer.getchannel("A").getextrema()[0] == 0
    _draw_legend(page, layer.height, title, _NOT_TINTED if is_part else "")
    return page


def _draw_legend(page: Image.Image, top: int, title: str, remark: str) -> None:
    draw = ImageDraw.Draw(page)
    font, small = ImageFont.load_default(16), ImageFont.load_default(13)
    left, bar_top, right, bar_bottom = _BAR
    draw.text((left, top + 8), title, _INK, font)
    ramp = np.linspace(0, 1, right - left, dtype=np.float32)[None].repeat(bar_bottom - bar_top, 0)
    page.paste(Image.fromarray(_colours(ramp)), (left, top + bar_top))
    for level in LEVELS:
        x = left + round(level * (right - left))
        draw.line((x, top + bar_top, x, top + bar_bottom), _PAPER, 2)
    draw.text((right + 10, top + bar_top), f"least to most{remark}", _INK, small)


def _scaled(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size of the drawing, in the shape in which a picture is shown."""
    size = bounded(size)
    scale = math.sqrt(_PIXELS / (size[0] * size[1]))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _pixels(place: Place, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return a place in pixels; at least one pixel wide and tall."""
    left, top = round(place.left * size[0]), round(place.top * size[1])
    right, bottom = round(place.right * size[0]), round(place.bottom * size[1])
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _enlarged(cells: _Heat, size: tuple[int, int]) -> _Heat:
    """Return the heat of each pixel, 0 to 1."""
    most = float(cells.max())
    shares = cells / most if most > 0 else cells
    enlarged = Image.fromarray(shares.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    heat: _Heat = np.clip(np.asarray(enlarged), 0, 1)
    return heat


def _coloured(heat: _Heat) -> Image.Image:
    least, most = _OPACITY
    alpha = np.round(255 * (least + (most - least) * heat)).astype(np.uint8)
    layer = Image.fromarray(np.dstack([_colours(heat), alpha]))
    border = _contours(heat)
    line, edge = _WIDE if min(heat.shape) >= _WIDE_FROM else _THIN
    layer.paste((*_INK, 255), mask=_thick(border, edge))
    layer.paste((*_PAPER, 255), mask=_thick(border, line))
    return layer


def _colours(heat: _Heat) -> NDArray[np.uint8]:
    steps = np.linspace(0, 1, len(SCALE))
    channels = [np.interp(heat, steps, [colour[n] for colour in SCALE]) for n in range(3)]
    return np.dstack(channels).round().astype(np.uint8)


def _contours(heat: _Heat) -> Image.Image:
    """Return a mask of the pixels at which the heat crosses one of the levels."""
    bands = np.digitize(heat, LEVELS)
    crossed = np.zeros(heat.shape, bool)
    crossed[:, 1:] |= bands[:, 1:] != bands[:, :-1]
    crossed[1:] |= bands[1:] != bands[:-1]
    return Image.fromarray(crossed.astype(np.uint8) * 255)


def _thick(mask: Image.Image, width: int) -> Image.Image:
    """Return a mask of lines of this width, with soft edges."""
    return mask.filter(ImageFilter.MaxFilter(width)).filter(ImageFilter.GaussianBlur(0.7))
