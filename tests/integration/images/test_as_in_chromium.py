"""What Chromium shows of a picture is what is judged: one Chromium, and a table of files that differ otherwise."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from support.browser import running_chromium
from support.pictures import damaged_chunk, drawing, encoded, png, png_chunk, with_chunks
from support.viewer import as_shown

from worker.errors import UndecodableKind, UndecodablePictureError
from worker.images.decoding.decoder import decode
from worker.images.limits import Limits

DATA = Path(__file__).parent / "pictures"
LIMITS = Limits(max_bytes=20 * 2**20, max_pixels=1_000_000, max_side=2_000, max_frames=1)
#: Mean difference of two pictures in levels of 255. Lossy formats are decoded by other libraries there, and
#: what is brighter than white is fitted.
SAME, HARDLY = 1.5, 7
#: A profile that shifts no part of a picture by more is not applied.
ORDINARY = 20

DRAWING = drawing()
PNG, JPEG, WEBP, GIF, BMP = (encoded(DRAWING, kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP"))
AVIF = encoded(DRAWING, "AVIF", quality=90)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SWAPPED = SRGB.replace(b"rXYZ", b"tmp!").replace(b"bXYZ", b"rXYZ").replace(b"tmp!", b"bXYZ")
PACKED = zlib.compress(SWAPPED)
FADING = DRAWING.convert("RGBA")
FADING.putalpha(Image.linear_gradient("L").rotate(90).resize(DRAWING.size))


def gamma(value):
    return png_chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def chromaticities(*values):
    return png_chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in values)))


def profile(data):
    return png_chunk(b"iCCP", b"x\0\0" + zlib.compress(data))


def inserted(data, *chunks):
    """Return a PNG with more chunks behind its header."""
    return data[:33] + b"".join(chunks) + data[33:]


def resized_profile(more):
    """Return a profile that says so many bytes more than it has."""
    return struct.pack(">I", len(SWAPPED) + more) + SWAPPED[4:]


def grey_profile(gamma=10):
    """Return an ICC profile of greys."""
    tags = {
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">iii", 63190, 65536, 54061),
        b"kTRC": b"curv" + bytes(4) + struct.pack(">IHxx", 1, gamma * 256),
        b"cprt": b"text" + bytes(4) + b"x\0\0\0",
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"g\0" + bytes(82),
    }
    at = 132 + 12 * len(tags)
    table, content = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += name + struct.pack(">II", at + len(content), len(tag))
        content += tag
    head = struct.pack(">I4sI", at + len(content), b"", 0x02400000) + b"mntrGRAYXYZ " + bytes(12) + b"acsp"
    head += bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + content


def cicp(*values):
    return png_chunk(b"cICP", bytes(values))


def nclx(primaries, transfer):
    at = AVIF.index(b"colrnclx") + 8
    return AVIF[:at] + struct.pack(">HH", primaries, transfer) + AVIF[at + 4 :]


def exif(orientation, kind=3, count=1):
    """Return a TIFF header that says an orientation."""
    value = struct.pack("<HH" if kind == 3 else "<I", *((orientation, 0) if kind == 3 else (orientation,)))
    return b"II*\0" + struct.pack("<IHHHI", 8, 1, 0x112, kind, count) + value + bytes(4)


def jpeg_with(*segments):
    return JPEG[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", 2 + len(s)) + s for s in segments) + JPEG[2:]


def bmp(size, *, bits=32, compression=0, masks=(0, 0, 0, 0), profile=b""):
    pixels = np.asarray(FADING)[::-1][:, :, [2, 1, 0, 3]][:, :, : bits // 8].tobytes()
    header = struct.pack("<IiiHHIIiiII", size, 120, 90, 1, bits, compression, len(pixels), 0, 0, 0, 0)
    header += struct.pack("<4I", *masks) + (b"DEBM" if profile else b"BGRs") + bytes(48)
    header += struct.pack("<IIII", 4, size + len(pixels), len(profile), 0)
    start = 14 + size
    file = struct.pack("<IHHI", start + len(pixels) + len(profile), 0, 0, start)
    return b"BM" + file + header[:size] + pixels + profile


def bmp16(size, masks):
    """Return a BMP of 16 bits a pixel; its pixels are arbitrary."""
    pixels = np.arange(64 * 64, dtype="<u2").reshape(64, 64) * np.uint16(13)
    header = struct.pack("<IiiHHIIiiII", size, 64, 64, 1, 16, 3, pixels.nbytes, 0, 0, 0, 0)
    header = (header + struct.pack("<4I", *masks) + b"BGRs").ljust(size, b"\0")[:size]
    return (
        b"BM" + struct.pack("<IHHI", 14 + size + pixels.nbytes, 0, 0, 14 + size) + header + pixels.tobytes()
    )


def indexed_bmp(bits, pixels, *, compression=0, count=None, start=None):
    """Return a BMP of 64 x 48 pixels and a palette of `count` colours."""
    palette = b"".join(bytes([n * 37 % 256, 255 - n % 256, n // 2, 0]) for n in range(count or 2**bits))
    header = struct.pack("<IiiHHIIiiII", 40, 64, 48, 1, bits, compression, len(pixels), 0, 0, count or 0, 0)
    begin = 54 + len(palette) if start is None else start
    file = struct.pack("<IHHI", 54 + len(palette) + len(pixels), 0, 0, begin)
    return b"BM" + file + header + palette + pixels


def bmps():
    """Yield BMP files of run lengths, of few bits and of odd palettes."""
    end = b"\0\1"
    full = b"".join(bytes([64, 100 + n, 0, 0]) for n in range(48))
    for name, rows in {
        "run lengths": full + end,
        "rows that end early": b"".join(bytes([n + 1, 100 + n, 0, 0]) for n in range(48)) + end,
        "an early end": full[:80] + end,
        "pixels that are skipped": bytes([32, 5, 0, 2, 16, 5, 16, 7, 0, 0]) + full[:160] + end,
        "a row that is skipped in part": bytes([32, 5, 0, 2, 48, 0, 32, 9, 0, 0]) + full[:160] + end,
        "all rows that are skipped": bytes([32, 5, 0, 2, 1, 255, 32, 9, 0, 0]) + full[:160] + end,
        "runs beyond the row": b"".join(bytes([70, 100 + n, 0, 0]) for n in range(48)) + end,
        "no ends of rows": b"".join(bytes([64, 100 + n]) for n in range(48)) + end,
        "too many rows": full + full + end,
        "no end": full,
        "pixels one by one": bytes([0, 63, *range(63), 0, 1, 9, 0, 0]) * 48 + end,
        "pixels beyond the row": bytes([0, 80, *range(80), 0, 0]) * 48 + end,
    }.items():
        yield f"8 bits, {name}", indexed_bmp(8, rows, compression=1)
    for name, rows in {
        "run lengths": bytes([7, 0x1F, 9, 0x2E, 48, 0x35, 0, 0]) * 48 + end,
        "pixels that are skipped": bytes([7, 0x1F, 0, 2, 9, 0, 48, 0x35, 0, 0]) * 48 + end,
        "pixels one by one": bytes([0, 7, 18, 52, 86, 120, 0, 5, 18, 52, 86, 0, 52, 53, 0, 0]) * 48 + end,
    }.items():
        yield f"4 bits, {name}", indexed_bmp(4, rows, compression=2)
    yield "run lengths of few colours", indexed_bmp(8, full + end, compression=1, count=120)
    yield "run lengths from 0", indexed_bmp(8, full + end, compression=1, start=0)
    pixels = bytes(n * 7 % 256 for n in range(64 * 48))
    for start in (0, 14, 100, 500):
        yield f"8 bits from {start}", indexed_bmp(8, pixels, start=start)
    yield "8 bits of few colours from 0", indexed_bmp(8, pixels, count=16, start=0)
    yield "300 colours", indexed_bmp(8, pixels, count=300)
    yield "2 bits", indexed_bmp(2, pixels[: 16 * 48])
    yield "2 bits of 3 colours", indexed_bmp(2, pixels[: 16 * 48], count=3)
    yield "24 bits from 0", BMP[:10] + bytes(4) + BMP[14:]


def row(depth):
    """Return 16 pixels of all the values there are."""
    bits = "".join(format(value % 2**depth, f"0{depth}b") for value in range(16))
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


def interlaced():
    pixels = np.asarray(DRAWING)
    passes = (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    )
    rows = [
        row.tobytes() for top, left, down, right in passes for row in pixels[top::down, left::right]
    ]  # fmt: skip
    data = png((120, 90, 8, 2), rows)
    header = struct.pack(">IIBBBBB", 120, 90, 8, 2, 0, 0, 1)
    return data[:8] + png_chunk(b"IHDR", header) + data[33:]


SWAPPED_ENDS = (0.3127, 0.3290, 0.15, 0.06, 0.30, 0.60, 0.64, 0.33)
LINEAR, IS_SRGB = gamma(1), png_chunk(b"sRGB", b"\0")
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
RED_GREEN = png_chunk(b"PLTE", bytes([200, 0, 0, 0, 200, 0]))
MASKS = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
DEEP = np.zeros((8, 16, 3), ">u2")
DEEP[..., 0], DEEP[:, 8:, 0], DEEP[:4] = 0x1234, 0x1235, 0x8000
IDAT_AT = PNG.index(b"IDAT") - 4
IDAT = PNG[IDAT_AT + 8 : -16]


def colours():
    yield "gamma of a report", (DATA / "png-gamma-knife-nearly-white.png").read_bytes()
    for value in (0.02, 0.05, 0.45455, 1, 2.2, 10):
        yield f"gamma {value}", with_chunks(PNG, gamma(value))
    yield "gamma 0", with_chunks(PNG, gamma(0))
    yield "largest gamma", with_chunks(PNG, png_chunk(b"gAMA", b"\xff" * 4))
    yield "gamma, too short", with_chunks(PNG, png_chunk(b"gAMA", b"\0\1"))
    yield "gamma, too long", with_chunks(PNG, png_chunk(b"gAMA", b"\0\1\x86\xa0x"))
    yield "gamma, damaged", with_chunks(PNG, damaged_chunk(b"gAMA", b"\0\1\x86\xa0"))
    yield "gamma twice", with_chunks(PNG, LINEAR, gamma(0.45455))
    yield "gamma after the pixels", with_chunks(PNG, LINEAR, before=b"IEND")
    for mode in ("L", "LA", "RGBA", "P", "1", "I;16"):
        yield f"gamma of {mode}", with_chunks(encoded(DRAWING.convert(mode), "PNG"), LINEAR)
    yield "gamma before a palette", with_chunks(encoded(DRAWING.convert("P"), "PNG"), LINEAR, before=b"PLTE")
    yield "sRGB before gamma", with_chunks(PNG, IS_SRGB, LINEAR)
    yield "gamma before sRGB", with_chunks(PNG, LINEAR, IS_SRGB)
    yield "sRGB of no intent", with_chunks(PNG, png_chunk(b"sRGB", b"\x09"), LINEAR)
    yield "sRGB, damaged", with_chunks(PNG, damaged_chunk(b"sRGB", b"\0"), LINEAR)
    yield "chromaticities alone", with_chunks(PNG, chromaticities(*SWAPPED_ENDS))
    yield "chromaticities", with_chunks(PNG, chromaticities(*SWAPPED_ENDS), gamma(0.45455))
    yield "chromaticities, gamma", with_chunks(PNG, chromaticities(*SWAPPED_ENDS), LINEAR)
    yield "no chromaticities", with_chunks(PNG, chromaticities(*[0] * 8), LINEAR)
    yield "one chromaticity", with_chunks(PNG, chromaticities(0.3127, 0.329, *[0.3] * 6), LINEAR)
    yield "profile", with_chunks(PNG, profile(SWAPPED))
    yield "profile before all", with_chunks(PNG, profile(SWAPPED), IS_SRGB, LINEAR)
    yield "profile of sRGB", with_chunks(PNG, profile(SRGB), LINEAR)
    yield "profiles", with_chunks(PNG, profile(SRGB), profile(SWAPPED))
    yield "profile of rubbish", with_chunks(PNG, profile(b"rubbish" * 40), LINEAR)
    yield "profile, cut off", with_chunks(PNG, profile(SWAPPED[:200]), LINEAR)
    yield "profile, damaged", with_chunks(PNG, profile(SWAPPED)[:-1] + b"!", LINEAR)
    yield "profile, not compressed", with_chunks(PNG, png_chunk(b"iCCP", b"x\0\0rubbish"), LINEAR)
    yield "gamma 0, gamma", with_chunks(PNG, gamma(0), LINEAR)
    yield "sRGB of no intent, sRGB", with_chunks(PNG, png_chunk(b"sRGB", b"\x09"), IS_SRGB, LINEAR)
    yield "code points", with_chunks(PNG, cicp(1, 13, 0, 1), profile(SWAPPED), LINEAR)
    yield "code points of linear light", with_chunks(PNG, cicp(1, 8, 0, 1), cicp(1, 13, 0, 1))
    yield "code points of XYZ", with_chunks(PNG, cicp(10, 8, 0, 1))
    for values in ((2, 2, 0, 1), (200, 200, 0, 1), (1, 9, 0, 1), (1, 13, 0, 0), (1, 13, 0)):
        yield f"code points {values}", with_chunks(PNG, cicp(*values), LINEAR)
    yield "JPEG, profile", encoded(DRAWING, "JPEG", icc_profile=SWAPPED)
    yield "grey JPEG, profile of RGB", encoded(DRAWING.convert("L"), "JPEG", icc_profile=SWAPPED)
    yield "WebP, profile", encoded(FADING, "WEBP", icc_profile=SWAPPED, lossless=True)
    still = {"save_all": True, "append_images": [DRAWING.rotate(90)], "duration": 60_000}
    yield "animated WebP, profile", encoded(DRAWING, "WEBP", lossless=True, icc_profile=SWAPPED, **still)
    yield "animated PNG, gamma", with_chunks(encoded(DRAWING, "PNG", **still), LINEAR, before=b"acTL")
    yield "AVIF, profile", encoded(DRAWING, "AVIF", icc_profile=SWAPPED)
    yield "AVIF, code points", nclx(1, 8)
    yield "AVIF, no code points", nclx(2, 2)
    yield "BMP, profile", bmp(124, bits=24, profile=SWAPPED)
    yield "BMP of four inks", encoded(DRAWING.convert("CMYK"), "JPEG", quality=95)


def odd_profiles():
    yield "profile of another number of bytes", with_chunks(PNG, profile(resized_profile(50)), LINEAR)
    yield "profile, 2 MiB", with_chunks(PNG, profile(resized_profile(2**21) + bytes(2**21)), LINEAR)
    for length in (0, 1, 80, 81):
        name = b"x" * length + b"\0\0"
        yield f"profile, name of {length}", with_chunks(PNG, png_chunk(b"iCCP", name + PACKED), LINEAR)
    yield "profile, method 1", with_chunks(PNG, png_chunk(b"iCCP", b"x\0\1" + PACKED), LINEAR)
    yield "profile, no end", with_chunks(PNG, png_chunk(b"iCCP", b"x\0\0" + PACKED[:-4]), LINEAR)
    for mode in ("L", "LA", "RGB", "RGBA", "P"):
        grey = encoded(FADING.convert(mode) if "A" in mode else DRAWING.convert(mode), "PNG")
        for others in ((), (LINEAR,), (profile(SWAPPED),)):
            yield f"profile of greys, {mode}, {len(others)}", inserted(grey, profile(grey_profile()), *others)
    transparent = png_chunk(b"tRNS", b"\0\5")
    for depth in (1, 4, 8):
        line = bytes(range(0, 256, 16)) if depth == 8 else row(depth)
        data = png((16, 8, depth, 0), [line] * 8, profile(grey_profile()), transparent)
        yield f"profile of greys, {depth} bits, transparent", data
    deep = np.linspace(9_000, 60_000, 32).astype(">u2").tobytes()
    yield "profile of greys, 16 bits", png((16, 8, 16, 4), [deep] * 8, profile(grey_profile()))
    for space in (b"CMYK", b"Lab "):
        yield f"profile of {space}", with_chunks(PNG, profile(SRGB[:16] + space + SRGB[20:]), LINEAR)  # type: ignore[str-bytes-safe]


def transparency():
    yield "LA", encoded(FADING.convert("LA"), "PNG")
    yield "RGBA", with_chunks(encoded(FADING, "PNG"), png_chunk(b"bKGD", bytes([0, 0, 0, 255, 0, 0])))
    yield "WebP, alpha", encoded(FADING, "WEBP", lossless=True)
    for depth in (1, 2, 4, 8):
        for grey in (0, 1, 0x0101):
            data = png((16, 8, depth, 0), [row(depth)] * 8, png_chunk(b"tRNS", struct.pack(">H", grey)))
            yield f"grey {grey} of {depth} bits", data
        yield f"short palette of {depth} bits", png((16, 8, depth, 3), [row(depth)] * 8, RED_GREEN)
    alphas = png_chunk(b"tRNS", bytes([128, 64]))
    yield "palette, alpha", png((16, 8, 8, 3), [row(8)] * 8, RED_GREEN, alphas)
    yield "palette, one alpha", png((16, 8, 8, 3), [row(8)] * 8, RED_GREEN, png_chunk(b"tRNS", bytes([9])))
    yield "palette, alpha before", png((16, 8, 8, 3), [bytes(16)] * 8, alphas, RED_GREEN)
    yield "palette, long alpha", png((16, 8, 8, 3), [row(8)] * 8, RED_GREEN, png_chunk(b"tRNS", bytes(300)))
    for count in (3, 16, 256, 257):
        long = png_chunk(b"tRNS", bytes(128 + n % 128 for n in range(count)))
        yield f"palette, {count} alphas", png((16, 8, 8, 3), [row(8)] * 8, RED_GREEN, long)
        yield f"palette, {count} alphas, two", png((16, 8, 8, 3), [row(8)] * 8, RED_GREEN, long, alphas)
    yield "one bit, long alpha", png((16, 8, 1, 3), [row(1)] * 8, RED_GREEN, png_chunk(b"tRNS", b"\x80@9"))
    for depth, kind, value in ((8, 0, b"\0\5"), (4, 0, b"\0\5"), (8, 2, b"\0\0\0\1\0\2"), (16, 0, b"\2\3")):
        channels = 3 if kind == 2 else 1
        line = row(8)[: 16 * depth // 8] * (depth // 8 or 1) * channels
        for more in (-1, 1, 250, 300):
            short = png_chunk(b"tRNS", (value + bytes(300))[: len(value) + more])
            name = f"{depth} bits, kind {kind}, {more} more"
            lines = [line[: 16 * depth // 8 * channels]] * 8
            yield name, png((16, 8, depth, kind), lines, short)
            yield f"{name}, then right", png((16, 8, depth, kind), lines, short, png_chunk(b"tRNS", value))
    yield (
        "palette, odd",
        png((16, 8, 8, 3), [row(8)] * 8, png_chunk(b"PLTE", bytes([200, 0, 0, 0, 200, 0, 9]))),
    )
    grey16 = np.linspace(0, 65_535, 16).astype(">u2")
    yield (
        "16 bits, grey",
        png((16, 8, 16, 0), [grey16.tobytes()] * 8, png_chunk(b"tRNS", grey16[4].tobytes())),
    )
    both = np.stack([grey16, grey16[::-1]], axis=1).tobytes()
    yield "16 bits, grey and alpha", png((16, 8, 16, 4), [both] * 8)
    rows = [line.tobytes() for line in DEEP]
    yield "16 bits", png((16, 8, 16, 2), rows)
    yield "16 bits, colour", png((16, 8, 16, 2), rows, png_chunk(b"tRNS", struct.pack(">3H", 0x1234, 0, 0)))
    pair = [bytes([255, 0, 0, 0, 255, 0] * 2)] * 4
    red, green = (png_chunk(b"tRNS", struct.pack(">3H", *colour)) for colour in ((255, 0, 0), (0, 255, 0)))
    yield "two colours", png((4, 4, 8, 2), pair, red, green)
    yield "colour after the pixels", with_chunks(png((4, 4, 8, 2), pair), red, before=b"IEND")
    yield "colour, damaged", png((4, 4, 8, 2), pair, damaged_chunk(b"tRNS", struct.pack(">3H", 255, 0, 0)))
    yield "colour, high bits", png((4, 4, 8, 2), pair, png_chunk(b"tRNS", b"\1\xff\1\0\0\0"))
    yield "BMP, 32 bits", bmp(40)
    yield "BMP, alpha mask", bmp(108, masks=MASKS)
    yield "BMP, bit fields", bmp(108, compression=3, masks=MASKS)
    yield "BMP, no alpha mask", bmp(108)
    yield "BMP, five bits and alpha", bmp16(56, (0x7C00, 0x3E0, 0x1F, 0x8000))
    yield "BMP, four bits and alpha", bmp16(124, (0xF00, 0xF0, 0xF, 0xF000))
    yield "BMP, colours in another order", bmp16(56, (0x1F, 0x7E0, 0xF800, 0))
    palette = Image.new("P", (4, 4))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putdata([0, 1] * 8)
    yield "GIF, transparent", encoded(palette, "GIF", transparency=0)


def orientations():
    yield "WebP of a report", (DATA / "webp-exif-orientation-3.webp").read_bytes()
    for way in range(1, 10):
        yield f"JPEG {way}", jpeg_with(b"Exif\0\0" + exif(way))
        yield f"PNG {way}", with_chunks(PNG, png_chunk(b"eXIf", exif(way)))
    for way in (2, 3, 6):
        block = b"Exif\0\0" + exif(way)
        yield f"WebP {way}", encoded(DRAWING, "WEBP", exif=block)
        yield f"AVIF {way}", encoded(DRAWING, "AVIF", exif=block, quality=90)
    for kind in ("JPEG", "WEBP", "AVIF"):
        yield f"{kind}, XMP", encoded(DRAWING, kind, xmp=XMP)
    yield "PNG, XMP", with_chunks(PNG, png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP))
    text = b"Raw profile type exif\0\nexif\n      40\n" + (b"Exif\0\0" + exif(6)).hex().encode()
    yield "PNG, text", with_chunks(PNG, png_chunk(b"tEXt", text))
    for kind, count in ((4, 1), (3, 2)):  # type: ignore[assignment]
        yield f"JPEG, type {kind}, {count}", jpeg_with(b"Exif\0\0" + exif(6, kind, count))
        yield f"PNG, type {kind}, {count}", with_chunks(PNG, png_chunk(b"eXIf", exif(6, kind, count)))
    yield "JPEG, first of two", jpeg_with(b"Exif\0\0" + exif(6), b"Exif\0\0" + exif(3))
    yield "JPEG, broken before", jpeg_with(b"Exif\0\0rubbish", b"Exif\0\0" + exif(6))
    yield "JPEG, any sixth byte", jpeg_with(b"Exif\0\1" + exif(6))
    turned, other = png_chunk(b"eXIf", exif(6)), png_chunk(b"eXIf", exif(3))
    yield "PNG, JPEG's prefix", with_chunks(PNG, png_chunk(b"eXIf", b"Exif\0\0" + exif(6)))
    yield "PNG, after the pixels", with_chunks(PNG, turned, before=b"IEND")
    yield "PNG, first of two", with_chunks(PNG, turned, other)
    yield "PNG, before and after", with_chunks(with_chunks(PNG, other, before=b"IEND"), turned)
    yield "PNG, damaged", with_chunks(PNG, damaged_chunk(b"eXIf", exif(6)))


def damage():
    for name in ("png-bad-crc-in-phys.png", "png-itxt-2mb-compressed.png"):
        yield name, (DATA / name).read_bytes()
    for name in (b"pHYs", b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"tIME", b"bKGD", b"acTL"):  # type: ignore[assignment]
        yield f"damaged {name.decode()}", with_chunks(PNG, damaged_chunk(name, b"rubbish"))  # type: ignore[attr-defined]
        yield f"odd {name.decode()}", with_chunks(PNG, png_chunk(name, b"x"))  # type: ignore[attr-defined]
    packed = zlib.compress(bytes(1_500_000))
    yield "text of 15 MB", with_chunks(PNG, *[png_chunk(b"zTXt", b"a\0\0" + packed)] * 10)
    yield "text of 3 MB", with_chunks(PNG, png_chunk(b"tEXt", b"a\0" + b"b" * 3_000_000))
    yield (
        "profile of 15 MB",
        with_chunks(PNG, png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(15_000_000)))),
    )
    yield "PNG without end", PNG[:-12]
    yield "PNG, damaged end", PNG[:-1] + b"!"
    yield "PNG, damaged pixels' checksum", PNG[:-16] + b"oops" + PNG[-12:]
    yield "PNG without Adler's checksum", PNG[:IDAT_AT] + png_chunk(b"IDAT", IDAT[:-4]) + PNG[-12:]
    yield "PNG, more pixels", PNG[:IDAT_AT] + png_chunk(b"IDAT", IDAT + b"more") + PNG[-12:]
    yield "PNG, empty chunk", with_chunks(PNG, png_chunk(b"IDAT"))
    yield "interlaced", interlaced()
    yield "GIF, wrong trailer", GIF[:-1] + b"x"
    yield "GIF without trailer", GIF[:-1]
    for name, data in (
        ("PNG", PNG),
        ("JPEG", JPEG),
        ("GIF", GIF),
        ("WebP", WEBP),
        ("BMP", BMP),
        ("AVIF", AVIF),
    ):
        yield f"{name}, rubbish behind", data + b"rubbish" * 10
    yield "JPEG, rubbish between", JPEG.replace(b"\xff\xdb", b"abc\xff\xdb", 1)
    yield "JPEG, filled", JPEG.replace(b"\xff\xdb", b"\xff\xff\xff\xdb", 1)
    yield "JPEG, other's inks", encoded(DRAWING.convert("CMYK"), "JPEG").replace(b"Adobe", b"other")
    yield "JPEG of scans", encoded(DRAWING, "JPEG", progressive=True)[:-2]


def ordinary():
    """Yield what shifts colours no more than cameras and screens do."""
    for values in ((1, 1), (1, 4), (1, 5), (1, 17), (12, 13)):
        yield f"code points {values}", with_chunks(PNG, cicp(*values, 0, 1))
    yield "gamma of old Macs", with_chunks(PNG, gamma(1 / 1.8))
    yield "AVIF of a telephone", nclx(12, 13)


def brighter_than_white():
    for values in ((9, 16), (9, 18)):
        yield f"PNG {values}", with_chunks(PNG, cicp(*values, 0, 1))
        yield f"AVIF {values}", nclx(*values)
    yield "AVIF, alpha", encoded(FADING, "AVIF", quality=90)

    indexed = encoded(Image.linear_gradient("L").quantize(16), "BMP")
    for start in (0, 14, 54, 100):
        yield f"BMP, pixels from {start}", indexed[:10] + struct.pack("<I", start) + indexed[14:]


def with_grey_border():
    picture = DRAWING.copy()
    picture.paste((128, 128, 128), (0, 60, 120, 90))
    return encoded(picture, "JPEG", quality=95)


def trailers():
    """Yield JPEG files with something behind their pixels."""
    border = with_grey_border()
    yield "a scan marker", border + bytes(1000) + b"\xff\xda" + bytes(1000)
    yield "half a picture", border + JPEG[:400]
    yield "a picture", border + JPEG
    yield "no end, a picture", JPEG[:-2] + border
    yield "no end, zeros", JPEG[:-2] + bytes(100)


def last_rows():
    """Yield what Chromium shows without its last rows, which hold what the file has of them."""
    yield "report", (DATA / "jpeg-without-eoi.jpg").read_bytes()
    for cut in (1, 2, 6):
        yield f"JPEG, {cut} less", JPEG[:-cut]
    yield "JPEG of four inks", encoded(DRAWING.convert("CMYK"), "JPEG")[:-2]
    yield "PNG, Adler's checksum wrong", PNG[:IDAT_AT] + png_chunk(b"IDAT", IDAT[:-1] + b"!") + PNG[-12:]


def halves():
    for name, data in (
        ("PNG", PNG),
        ("JPEG", JPEG),
        ("GIF", GIF),
        ("BMP", BMP),
        ("interlaced", interlaced()),
    ):
        for share in (0.4, 0.8):
            yield f"{name}, {share:.0%}", data[: int(share * len(data))]
    scans = encoded(DRAWING, "JPEG", progressive=True)
    yield "JPEG of scans", scans[: scans.index(b"\xff\xda") + 60]
    yield "WebP", WEBP[:-1]
    yield "AVIF", AVIF[:-1]
    pixels = png_chunk(b"IDAT", IDAT[:300]) + png_chunk(b"tEXt", b"a\0b") + png_chunk(b"IDAT", IDAT[300:])
    rows = b"".join(bytes([64, 100 + n, 0, 0]) for n in range(48))
    for cut in (80, 81, 190):
        yield f"BMP of run lengths, {cut}", indexed_bmp(8, rows[:cut], compression=1)
    yield "PNG, interrupted", PNG[:IDAT_AT] + pixels + PNG[-12:]
    yield "PNG, too few pixels", PNG[:IDAT_AT] + png_chunk(b"IDAT", IDAT[:300]) + PNG[-12:]


def invisible():
    yield "rubbish before a JPEG", b"\n" + JPEG
    yield "rubbish after a JPEG's first bytes", JPEG[:2] + b"abc" + JPEG[2:]
    yield "PNG, damaged header", PNG[:29] + b"oops" + PNG[33:]
    yield "palette, damaged", png((16, 8, 8, 3), [bytes(16)] * 8, damaged_chunk(b"PLTE", bytes(6)))
    yield "WebP of no length", WEBP[:4] + bytes(4) + WEBP[8:]
    for kind in ("TIFF", "JPEG2000"):
        yield kind, encoded(DRAWING, kind)


def cases(*groups):
    return [f"{group.__name__}: {name}" for group in groups for name, _ in group()]


WITHIN = {
    colours: SAME,
    odd_profiles: SAME,
    transparency: SAME,
    bmps: SAME,
    trailers: SAME,
    orientations: SAME,
    damage: SAME,
    ordinary: ORDINARY,
    brighter_than_white: HARDLY,
}
GROUPS = (*WITHIN, last_rows, halves, invisible)
FILES = {f"{group.__name__}: {name}": data for group in GROUPS for name, data in group()}
LIMIT = {f"{group.__name__}: {name}": within for group, within in WITHIN.items() for name, _ in group()}


@pytest.fixture(scope="module")
def shown():
    """Return what Chromium shows of every file: one start for all of them."""
    with running_chromium() as browser:
        return dict(zip(FILES, as_shown(browser, list(FILES.values())), strict=True))


def difference(one, other):
    assert one.size == other.size
    return np.abs(np.asarray(one, int) - np.asarray(other, int)).mean()


@pytest.mark.parametrize("case", cases(*WITHIN))
def test_what_chromium_shows_is_what_is_judged(shown, case):
    (frame,) = decode(FILES[case], LIMITS).frames

    assert shown[case] is not None
    assert difference(shown[case], frame) < LIMIT[case]


@pytest.mark.parametrize("case", cases(last_rows))
def test_what_lacks_a_few_bytes_is_judged(shown, case):
    (frame,) = decode(FILES[case], LIMITS).frames

    seen = (0, 0, frame.width, frame.height - 24)
    assert shown[case].size == frame.size
    assert difference(shown[case].crop(seen), frame.crop(seen)) < SAME


@pytest.mark.parametrize("case", cases(halves))
def test_half_a_picture_is_shown_and_never_judged_as_a_whole(shown, case):
    with pytest.raises(UndecodablePictureError) as refused:
        decode(FILES[case], LIMITS)

    assert refused.value.kind is UndecodableKind.TRUNCATED
    assert shown[case] is not None


@pytest.mark.parametrize("case", cases(invisible))
def test_what_chromium_does_not_show_is_not_judged_either(shown, case):
    with pytest.raises(UndecodablePictureError):
        decode(FILES[case], LIMITS)

    assert shown[case] is None
