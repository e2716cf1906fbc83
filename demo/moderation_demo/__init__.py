"""The sticker model and the sample uploads of `moderate demo`: data alone."""

from pathlib import Path

MODEL = Path(__file__).parent / "model"
PICTURES = Path(__file__).parent / "pictures"
