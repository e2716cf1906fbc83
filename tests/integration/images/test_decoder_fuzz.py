"""5,000 damaged pictures of every format through a real decoder: pixels or a refusal, and never a dead decoder."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.decoders import open_pool, process_ids
from support.pictures import animation, drawing, encoded

from worker.errors import UndecodablePictureError
from worker.images.decoding.decoder import FORMATS
from worker.images.limits import Limits
from worker.images.preprocessing import Preprocessing
from worker.images.processes import pool as decoder_pool

EXAMPLES = 2500
SQUARE = Preprocessing(3, width=32, height=32)
#: Small, so that a header that was changed to a large one is refused instead of decoded for long.
LIMITS = Limits(max_bytes=1_000_000, max_pixels=1_000_000, max_side=2_000, max_frames=4)
FRAMES = [drawing().rotate(90 * n) for n in range(3)]
EXIF = Image.Exif()
EXIF[0x0112] = 6
WHOLE = {kind: encoded(drawing(), kind) for kind in FORMATS}
WHOLE |= {f"animated {kind}": animation(FRAMES, kind) for kind in ("GIF", "PNG", "WEBP", "AVIF")}
WHOLE |= {
    "progressive JPEG": encoded(drawing(), "JPEG", progressive=True, exif=EXIF),
    "CMYK JPEG": encoded(drawing().convert("CMYK"), "JPEG"),
    "JPEG with a second picture": animation(FRAMES[:2], "MPO"),
    "palette PNG": encoded(drawing().convert("P"), "PNG", transparency=3),
    "16-bit PNG": encoded(drawing().convert("I;16"), "PNG"),
    "transparent PNG": encoded(drawing().convert("RGBA"), "PNG", exif=EXIF),
    "lossless WEBP": encoded(drawing(), "WEBP", lossless=True),
}

places = st.integers(0, 100_000)
edits = st.one_of(
    st.tuples(st.just("set"), places, st.binary(min_size=1, max_size=4)),
    st.tuples(st.just("insert"), places, st.binary(min_size=1, max_size=64)),
    st.tuples(st.just("delete"), places, st.integers(1, 200)),
    st.tuples(st.just("repeat"), places, st.integers(1, 200)),
    st.tuples(st.just("cut"), places, st.just(0)),
    st.tuples(st.just("splice"), places, st.sampled_from(sorted(WHOLE))),
)


def damaged(data, edit):
    what, place, more = edit
    at = place % max(1, len(data))
    match what:
        case "set":
            return data[:at] + more + data[at + len(more) :]
        case "insert":
            return data[:at] + more + data[at:]
        case "delete":
            return data[:at] + data[at + more :]
        case "repeat":
            return data[: at + more] + data[at:]
        case "cut":
            return data[:at]
        case "splice":
            return data[:at] + WHOLE[more][at:]


@pytest.fixture(scope="module")
def pool():
    with pytest.MonkeyPatch.context() as patch, open_pool(LIMITS, seconds=30) as opened:
        patch.setattr(decoder_pool, "PICTURES_A_CHILD", 10**9)
        opened.wait_until_ready()
        before = process_ids(opened)
        yield opened
        assert process_ids(opened) == before


def test_whole_pictures_of_every_kind_decode(pool):
    with ThreadPoolExecutor(4) as threads:
        pictures = dict(
            zip(WHOLE, threads.map(lambda data: pool.decode(data, SQUARE), WHOLE.values()), strict=True)
        )

    assert {picture.facts.format for picture in pictures.values()} >= set(FORMATS)


@pytest.mark.slow
@settings(max_examples=EXAMPLES)
@given(kind=st.sampled_from(sorted(WHOLE)), changes=st.lists(edits, min_size=1, max_size=6))
@pytest.mark.exhaustive
def test_damaged_pictures_are_decoded_or_refused_in_one_line(pool, kind, changes):
    data = WHOLE[kind]
    for change in changes:
        data = damaged(data, change)

    try:
        picture = pool.decode(data, SQUARE)
    except UndecodablePictureError as refused:
        message = refused.message
    else:
        check(picture)
        return

    assert "\n" not in message
    assert not message.startswith("the picture was refused")


def check(picture):
    assert picture.pixels.shape[1:] == (32, 32, 3)
    assert picture.pixels.shape[0] in {picture.facts.frames, 2 * picture.facts.frames}
