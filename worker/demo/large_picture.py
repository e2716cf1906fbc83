"""A picture of twelve megapixels, as telephones take them: too large for a repository, made when needed."""

from pathlib import Path

from PIL import Image

SIZE = (4000, 3000)
ORIGINAL = "tractor-and-cow.jpg"


def twelve_megapixels(folder: Path) -> Path:
    """Enlarge one of the sample pictures in `folder`; return the new file, which lies beside it."""
    file = folder / "twelve-megapixels.jpg"
    with Image.open(folder / ORIGINAL) as picture:
        picture.resize(SIZE, Image.Resampling.BILINEAR).save(file, quality=85)
    return file
