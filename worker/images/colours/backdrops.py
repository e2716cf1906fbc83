"""Shows a picture as it is seen on a white page, and on a black one if it looks different there."""

from typing import Final

from PIL import Image, ImageStat

from worker.images.colours.colour import eight_bits, to_srgb

#: Uploads are mostly seen on light pages; what is drawn in white on nothing shows on dark ones.
_WHITE: Final = (255, 255, 255)
_BLACK: Final = (0, 0, 0)
#: Share of a picture that its alpha has to let through before it is looked at on black too: what hides on
#: white differs from it on black in fewer pixels than that.
_TRANSPARENT: Final = 0.01
#: An opened picture's `info` has its alpha there if Pillow cannot make it out.
OPAQUE: Final = "opaque_pixels"
#: Whether its file has greys, though Pillow reads them as RGBA.
GREY: Final = "is_grey"


def to_rgb(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the picture as it is seen on white, and on black if it looks different there.

    Every mode becomes opaque RGB.
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
    """Lay an RGBA picture on the pages that it may be seen on."""
    alpha = image.getchannel("A")
    # A profile of greys applies to greys alone.
    opaque = image.convert("L" if image.info.get(GREY) else "RGB")
    colours = to_srgb(opaque) or opaque.convert("RGB")
    transparent = 1 - ImageStat.Stat(alpha).mean[0] / 255
    on_black = _on_page(colours, alpha, _BLACK) if transparent > _TRANSPARENT else None
    return _on_page(colours, alpha, _WHITE), on_black


def _on_page(colours: Image.Image, alpha: Image.Image, page: tuple[int, int, int]) -> Image.Image:
    """Return what `alpha_composite` would, with a third of its memory."""
    seen = Image.new("RGB", colours.size, page)
    seen.paste(colours, mask=alpha)
    return seen
