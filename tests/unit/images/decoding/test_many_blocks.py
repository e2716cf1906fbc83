"""Files of very many small blocks, chunks or segments are bounded before anything reads them one by one."""

import pytest
from PIL import Image
from support.pictures import animation, drawing, encoded, png_chunk

from worker.errors import UndecodableKind, UndecodablePictureError
from worker.images.decoding.browsers import as_browsers_read
from worker.images.decoding.decoder import decode
from worker.images.limits import Limits

LIMITS = Limits(max_bytes=20 * 2**20, max_pixels=100_000, max_side=1_000, max_frames=3)
DRAWING = drawing(24, 16)
GIF, PNG, JPEG = (encoded(DRAWING, name) for name in ("GIF", "PNG", "JPEG"))
COMMENT, LOOPS = b"!\xfe\x02hi\x00", b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"


def with_comments(gif, count, comment=COMMENT):
    """Return a GIF with comments before its first frame."""
    at = gif.index(b",")
    return gif[:at] + comment * count + gif[at:]


@pytest.mark.parametrize(
    ("few", "many", "says"),
    [
        (
            with_comments(GIF, 1_000),
            with_comments(GIF, 1_000_001, b"!\xfe\0"),
            "the GIF has over 1,000,000 blocks",
        ),
        (
            PNG[:33] + png_chunk(b"teSt", b"") * 1_000 + PNG[33:],
            PNG[:33] + png_chunk(b"teSt", b"") * 500_001 + PNG[33:],
            "the PNG has over 500,000 chunks",
        ),
        (
            JPEG[:2] + b"\xff\xfe\0\2" * 1_000 + JPEG[2:],
            JPEG[:2] + b"\xff\xfe\0\2" * 2_001 + JPEG[2:],
            "the JPEG has over 2,000 segments",
        ),
    ],
    ids=["GIF", "PNG", "JPEG"],
)
def test_a_file_of_very_many_blocks_is_refused_and_one_of_many_is_not(few, many, says):
    assert decode(few, LIMITS).width == 24
    with pytest.raises(UndecodablePictureError) as refusal:
        decode(many, LIMITS)
    assert refusal.value.kind is UndecodableKind.TOO_LARGE
    assert refusal.value.message == f"{says}, more than is judged"


def test_pillow_gets_a_gif_without_comments():
    assert as_browsers_read(with_comments(GIF, 3), LIMITS) == GIF


@pytest.mark.parametrize("cut", [0, 1, 20])
def test_what_says_how_frames_are_shown_is_kept(cut):
    frames = [Image.new("P", (8, 8), number) for number in range(3)]
    whole = animation(frames, "GIF", duration=70, loop=3)
    whole = whole[: len(whole) - cut]
    assert LOOPS[:14] in whole
    assert as_browsers_read(with_comments(whole, 3), LIMITS) == whole


def test_fill_bytes_are_searched_once():
    """A search that begins anew at each of them would take hours."""
    data = JPEG[:-2] + b"\xff" * 10_000_000 + b"\0" + JPEG[-2:]
    assert decode(data, LIMITS).width == 24
