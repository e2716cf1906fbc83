"""Composites a picture on a white page, and on a black one if it looks different there."""

from typing import Final

from PIL import Image, ImageStat

from worker.images.colours.colour import eight_bits, to_srgb

#: Uploads are mostly seen on light pages; white on transparent is visible only on dark ones.
_WHITE: Final = (255, 255, 255)
_BLACK: Final = (0, 0, 0)
#: A picture is also judged on black if its alpha lets more than this share through; below that, on black too
#: few pixels differ for anything to hide on white.
_TRANSPARENT: Final = 0.01
#: Key in an opened picture's `info`: its alpha, if Pillow cannot read it.
OPAQUE: Final = "opaque_pixels"
#: Key in `info`: whether the file has greys, although Pillow reads them as RGBA.
GREY: Final = "is_grey"


def to_rgb(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the picture as opaque RGB on white, and on black if it looks different there.

    Accepts every mode.
    """
    if image.mode.startswith("I;16"):
        image = eight_bits(image)
    if OPAQUE in image.info:
        colours = image.convert("RGB")
        colours.putalpha(image.info[OPAQUE])
        return _on_backdrops(colours)
    if image.has_transparency_data:
        return _on_backdrops(image if image.mode == "RGBA" else image.convert("RGBA"))
    if image.mode == "P":
        image = image.convert("RGB")
    return to_srgb(image) or image.convert("RGB"), None


def _on_backdrops(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Composite an RGBA picture on white, and on black if it is transparent."""
    alpha = image.getchannel("A")
    # A grey profile applies only to greys.
    opaque = image.convert("L" if image.info.get(GREY) else "RGB")
    colours = to_srgb(opaque) or opaque.convert("RGB")
    transparent = 1 - ImageStat.Stat(alpha).mean[0] / 255
    on_black = _on_page(colours, alpha, _BLACK) if transparent > _TRANSPARENT else None
    return _on_page(colours, alpha, _WHITE), on_black


def _on_page(colours: Image.Image, alpha: Image.Image, page: tuple[int, int, int]) -> Image.Image:
    """Composite on a page as `alpha_composite` does, with a third of its memory."""
    seen = Image.new("RGB", colours.size, page)
    seen.paste(colours, mask=alpha)
    return seen
