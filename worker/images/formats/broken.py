"""Keeps the readable part of a broken frame, as browsers do."""

from PIL import ImageFile


def finish(image: ImageFile.ImageFile) -> None:
    """Finish loading with the rows that could be read, unless Pillow did so before it raised."""
    if image.tile:
        image.tile = []
        image.load_end()
