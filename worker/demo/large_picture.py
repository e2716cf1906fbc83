"""A 12-megapixel picture like those of a telephone; generated, since it is too large for a repository."""

from pathlib import Path

from PIL import Image

SIZE = (4000, 3000)
ORIGINAL = "tractor-and-cow.jpg"


def twelve_megapixels(folder: Path) -> Path:
    """Enlarge a sample picture in `folder`, and return the new file in the same folder."""
    file = folder / "twelve-megapixels.jpg"
    with Image.open(folder / ORIGINAL) as picture:
        picture.resize(SIZE, Image.Resampling.BILINEAR).save(file, quality=85)
    return file
