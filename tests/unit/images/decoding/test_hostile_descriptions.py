"""Whatever a file says of its colours, its transparency and its orientation, it is a picture or a refusal."""

import struct
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from support.pictures import PNG_SIGNATURE, drawing, encoded, png_chunk

from worker.errors import UndecodablePictureError
from worker.images.colours.profiles import cicp_profile, gamma_profile
from worker.images.decoding.decoder import FORMATS, decode
from worker.images.limits import Limits

pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")

LIMITS = Limits(max_bytes=1_000_000, max_pixels=100_000, max_side=1_000, max_frames=3)
# The same examples in every run: what a search finds belongs into a test of its own.
seeded = settings(max_examples=150, derandomize=True)

DRAWING = drawing(24, 16)
PNGS = [encoded(DRAWING.convert(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]
AVIF = encoded(DRAWING, "AVIF", quality=50)
ISO = [AVIF, *([encoded(DRAWING, "HEIF")] if "HEIF" in FORMATS else [])]
NAMES = [b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"iCCP", b"eXIf", b"acTL", b"fcTL"]
NAMES += [b"IDAT", b"fdAT", b"IEND", b"tEXt", b"\0\x1b\n?"]
LENGTHS = st.sampled_from([0, 1, 2, 3, 4, 6, 8, 26, 32, 256, 768])

numbers = st.integers(0, 2**32 - 1)
chunks = st.tuples(st.sampled_from(NAMES), LENGTHS.flatmap(lambda n: st.binary(min_size=n, max_size=n)))
edits = st.lists(st.tuples(st.integers(0, 2**16), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4)


def judged(data):
    """Decode, which may raise nothing but a refusal."""
    try:
        picture = decode(data, LIMITS)
    except UndecodablePictureError:
        return
    assert {frame.mode for frame in picture.frames + picture.on_black} == {"RGB"}


def edited(data, changes, first, last):
    """Return `data` with a few bytes changed between two places."""
    changed = bytearray(data)
    for place, new in changes:
        at = first + place % (last - first)
        changed[at : at + len(new)] = new
    return bytes(changed)


@seeded
@given(st.sampled_from(PNGS), st.lists(chunks, max_size=5), st.binary(min_size=2, max_size=2), st.booleans())
def test_chunks_of_any_content_in_any_order(whole, extra, depth_and_kind, is_damaged):
    header = whole[16:24] + (depth_and_kind if is_damaged else whole[24:26]) + whole[26:29]
    data = PNG_SIGNATURE + png_chunk(b"IHDR", header) + b"".join(png_chunk(*chunk) for chunk in extra)

    judged(data + whole[33:])


@seeded
@given(st.sampled_from(PNGS), numbers, numbers, st.integers(0, 400))
def test_chunks_that_end_anywhere(whole, length, checksum, cut):
    data = whole[:33] + struct.pack(">I4sI", length, b"tRNS", checksum) + whole[33:]

    judged(data[: 33 + cut])


@seeded
@given(st.sampled_from(ISO), edits)
def test_boxes_of_any_length_and_content(whole, changes):
    judged(edited(whole, changes, 4, whole.index(b"mdat")))


@seeded
@given(edits, numbers, numbers, st.sampled_from([0, 3]))
def test_bmp_headers_of_any_content(changes, start, length, compression):
    pixels = DRAWING.convert("RGBA").tobytes()
    header = struct.pack("<IiiHHIIiiII", 124, 24, 16, 1, 32, compression, len(pixels), 0, 0, 0, 0)
    header += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"DEBM" + bytes(48)
    header += struct.pack("<IIII", 4, start, length, 0)
    data = b"BM" + struct.pack("<IHHI", 138 + len(pixels), 0, 0, 138) + header + pixels

    judged(data)
    judged(edited(data, changes, 2, 138))


@seeded
@given(st.binary(max_size=64), st.booleans())
def test_orientations_of_any_content(content, has_header):
    exif = (b"II*\0\x08\0\0\0" if has_header else b"") + content
    jpeg = encoded(DRAWING, "JPEG")
    block = b"Exif\0\0" + exif

    judged(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(block)) + block + jpeg[2:])
    judged(PNGS[4][:33] + png_chunk(b"eXIf", exif) + PNGS[4][33:])


@seeded
@given(numbers, st.lists(numbers | st.integers(0, 100_000), min_size=8, max_size=8))
def test_a_profile_of_any_gamma_and_chromaticities_can_be_applied(gamma, chromaticities):
    profile = gamma_profile(gamma / 100_000, [value / 100_000 for value in chromaticities])

    if profile is not None:
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
        ImageCms.profileToProfile(Image.new("RGB", (1, 1)), opened, ImageCms.createProfile("sRGB"))


def test_every_known_pair_of_code_points_makes_a_profile():
    profiles = [cicp_profile(primaries, transfer) for primaries in range(256) for transfer in range(256)]

    known = [profile for profile in profiles if profile]
    assert len(known) == 11 * 13
    for profile in known:
        ImageCms.ImageCmsProfile(BytesIO(profile))
