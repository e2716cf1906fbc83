"""Draws small pictures and encodes them as uploads."""

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageDraw

from worker.encoder.protocol import Encoder
from worker.images.preprocessing import Pixels, prepare

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
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
    """Return a picture with enough shapes and colours to be distinct."""
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((width // 8, height // 8, width // 2, height // 2), fill=(200, 30, 40))
    pen.rectangle((width // 2, height // 3, width - 8, height - 8), fill=(30, 90, 210))
    return picture


def prepared(encoder: Encoder, pictures: Sequence[Image.Image]) -> list[Pixels]:
    """Return RGB pictures preprocessed for the encoder's model."""
    return [prepare(picture, encoder.preprocessing) for picture in pictures]


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and holds no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG_SIGNATURE + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"")


def png(header: tuple[int, int, int, int], rows: Sequence[bytes], *chunks: bytes) -> bytes:
    """Return a PNG of width, height, depth and kind of colour, with chunks before its rows."""
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"".join(
        [
            PNG_SIGNATURE,
            png_chunk(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0)),
            *chunks,
            png_chunk(b"IDAT", pixels),
            png_chunk(b"IEND"),
        ]
    )


def with_chunks(data: bytes, *chunks: bytes, before: bytes = b"IDAT") -> bytes:
    """Return a PNG with more chunks."""
    at = data.index(before) - 4
    return data[:at] + b"".join(chunks) + data[at:]


def damaged_chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk whose checksum is wrong."""
    return png_chunk(name, content)[:-4] + b"oops"


def png_chunk(name: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
