"""Keeps what Pillow could read of a broken frame, as browsers show it."""

from PIL import ImageFile


def finish(image: ImageFile.ImageFile) -> None:
    """Compose the rows that could be read, unless Pillow did before it complained."""
    if image.tile:
        image.tile = []
        image.load_end()
