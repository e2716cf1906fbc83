"""Draws small pictures and encodes them, as uploads would be."""

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageDraw

from worker.encoder.protocol import Encoder
from worker.images.preprocessing import Pixels, prepare

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    """Return the bytes of a file of this kind."""
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def animation(frames: Sequence[Image.Image], kind: str, **options: object) -> bytes:
    """Return the bytes of an animated file, by default a tenth of a second a frame."""
    first, *others = frames
    return encoded(first, kind, save_all=True, append_images=others, **({"duration": 100} | options))


def drawing(width: int = 120, height: int = 90) -> Image.Image:
    """Return a picture with shapes and colours enough to tell it from others."""
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((width // 8, height // 8, width // 2, height // 2), fill=(200, 30, 40))
    pen.rectangle((width // 2, height // 3, width - 8, height - 8), fill=(30, 90, 210))
    return picture


def prepared(encoder: Encoder, pictures: Sequence[Image.Image]) -> list[Pixels]:
    """Return RGB pictures as the encoder's model wants them."""
    return [prepare(picture, encoder.preprocessing) for picture in pictures]


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and holds no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
