"""Which frames of real animated files are looked at, of every format."""

import hashlib
import hmac
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.animations import SIZE, grown_gif, noisy, numbered, numbers_seen, with_a_broken_frame
from support.pictures import animation, drawing, encoded

from worker.errors import UndecodablePictureError
from worker.images.decoding.decoder import decode
from worker.images.decoding.sampling import frame_seed
from worker.images.decoding.sketch import Grid
from worker.images.formats.gif import Gif
from worker.images.limits import Limits

pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")

ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
MOST = 8
LIMITS = Limits(max_bytes=4_000_000, max_pixels=1_000_000, max_side=2_000, max_frames=MOST)
ENDLESS = {"loop": 0}


def numbers(*shown):
    return [numbered(number) for number in shown]


def seen(data, seed=b""):
    return numbers_seen(decode(data, LIMITS, seed=seed))


@pytest.mark.parametrize("kind", ANIMATED)
def test_of_a_short_animation_all_frames_are_looked_at(kind):
    picture = decode(animation(numbers(0, 1, 2), kind), LIMITS)

    assert (numbers_seen(picture), picture.format, picture.time_share) == ([0, 1, 2], kind, 1)


@pytest.mark.parametrize("kind", ANIMATED)
def test_the_frame_that_is_shown_longest_is_looked_at(kind):
    durations = [20] * 40
    durations[23] = 60_000
    for seed in (b"", b"one", b"another"):
        picture = decode(
            animation(numbers(*range(40)), kind, duration=durations, **ENDLESS), LIMITS, seed=seed
        )

        assert {0, 23, 39} < set(numbers_seen(picture))
        assert len(picture.frames) == MOST
        assert picture.time_share > 0.98


def test_of_a_gif_with_too_many_frames_no_more_are_read_than_say_so():
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\0"

    assert len(Gif.read(head + 50 * frame + b";", 11).frames) == 11
    with pytest.raises(UndecodablePictureError, match="more than 10,000 frames"):
        decode(head + 30_000 * frame + b";", LIMITS)


def shuffled(frame, seed):
    """Return a frame whose 8 x 8 cells hold the same pixels in another order."""
    cells = np.asarray(frame).reshape(8, 6, 8, 6, 3).transpose(0, 2, 1, 3, 4).reshape(64, 36, 3)
    cells = np.random.default_rng(seed).permuted(cells, axis=1)
    return Image.fromarray(cells.reshape(8, 8, 6, 6, 3).transpose(0, 2, 1, 3, 4).reshape(48, 48, 3))


def test_the_pixels_of_a_picture_in_another_order_do_not_stand_for_it():
    # Mean and contrast are the same in every cell of a grid that begins in the corner.
    grain = np.random.default_rng(0).integers(0, 2, (48, 48, 1), np.uint8) * np.uint8([255, 255, 255])
    shown = Image.composite(Image.fromarray(grain), drawing(48, 48), Image.linear_gradient("L").resize(SIZE))
    grids = [Grid(bytes([seed])) for seed in range(20)]

    found = [np.abs(grid.sketch(shown) - grid.sketch(shuffled(shown, 1))).max() for grid in grids]

    assert min(found) > 0


def test_what_is_shown_most_is_looked_at_though_first_and_last_frame_are_of_the_same_pixels():
    parts = [numbered(n) for n in range(2, 40)]
    parts[0] = parts[-1] = shuffled(drawing(48, 48), 0)
    parts[20] = drawing(48, 48)
    durations = [20, *[100] * 36, 20]
    durations[20] = 20_000
    data = animation(parts, "WEBP", duration=durations, lossless=True, **ENDLESS)

    for seed in range(5):
        frames = decode(data, LIMITS, seed=bytes([seed])).frames
        assert any(np.array_equal(frame, parts[20]) for frame in frames)


@pytest.mark.parametrize("kind", ANIMATED)
def test_a_frame_of_at_most_ten_milliseconds_counts_as_the_tenth_of_a_second_that_it_is_shown(kind):
    durations = [10, 50] * 20

    picture = decode(animation(numbers(*range(40)), kind, duration=durations, **ENDLESS), LIMITS)

    looked_at = sum(50 if number % 2 else 100 for number in numbers_seen(picture))
    assert picture.time_share == pytest.approx(looked_at / 3_000)


@pytest.mark.parametrize("kind", ANIMATED)
def test_a_picture_that_comes_again_and_again_for_a_moment_is_looked_at(kind):
    shown = [7 if n % 3 == 1 else 10 + n for n in range(90)]
    durations = [10 if number == 7 else 120 for number in shown]
    data = animation(numbers(*shown), kind, duration=durations, **ENDLESS)

    assert all(7 in seen(data, seed=bytes([n])) for n in range(5))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_the_last_frame_counts_for_as_long_as_it_stays_when_an_animation_ends(kind):
    once = {} if kind == "GIF" else {"loop": 1}
    ends, goes_on = (decode(animation(numbers(*range(100)), kind, **way), LIMITS) for way in (once, ENDLESS))

    assert numbers_seen(ends)[-1] == numbers_seen(goes_on)[-1] == 99
    assert goes_on.time_share == pytest.approx(0.08)
    # 7 of 99 tenths of a second, and the last one with 5 s more.
    assert ends.time_share == pytest.approx((0.8 + 5) / (10 + 5))


@pytest.mark.parametrize("name", [b"NETSCAPE2.0", b"ANIMEXTS1.0"])
def test_a_gif_that_says_late_that_it_goes_on_does_not_rest(name):
    data = animation(numbers(*range(100)), "GIF")
    block = b"!\xff\x0b" + name + b"\x03\x01\0\0\0"

    assert decode(data[:-1] + block + b";", LIMITS).time_share == pytest.approx(0.08)


def test_a_png_is_judged_by_its_default_image_too():
    # Viewers that know no animation show it, the others never do.
    shown = [200, *range(40)]
    data = animation(numbers(*shown), "PNG", default_image=True, **ENDLESS)

    picture = decode(data, LIMITS)

    assert {200, 0, 39} < set(numbers_seen(picture))
    assert picture.time_share == pytest.approx(7 / 40)


def test_frames_that_look_nearly_the_same_stand_for_each_other():
    still = [Image.new("RGB", (48, 48), (90 + n % 5, 60, 30)) for n in range(60)]
    still[17] = numbered(3)

    picture = decode(animation(still, "WEBP", lossless=True, **ENDLESS), LIMITS)

    assert any(frame.getpixel((5, 5)) == numbered(3).getpixel((5, 5)) for frame in picture.frames)
    assert picture.time_share == 1


def test_the_frames_are_drawn_by_the_seed():
    data = animation(numbers(*range(100)), "GIF", **ENDLESS)
    keys = [bytes([n]) for n in range(6)]

    draws = [seen(data, frame_seed(key, data)) for key in keys]

    assert draws == [seen(data, frame_seed(key, data)) for key in keys]
    assert len({tuple(draw) for draw in draws}) == len(keys)


def test_a_seed_is_the_hmac_of_the_pictures_digest():
    digest = hashlib.sha256(b"a picture").digest()

    assert frame_seed(b"a key", b"a picture") == hmac.new(b"a key", digest, hashlib.sha256).digest()


def test_what_many_short_frames_show_is_found_as_often_as_its_share_of_the_time_says():
    # 12 of 100 frames; 6 are drawn beside the first and the last.
    hidden = {3, 11, 20, 28, 37, 41, 55, 62, 70, 78, 86, 93}
    data = animation(numbers(*range(100)), "PNG", **ENDLESS)

    found = [bool(hidden & set(seen(data, seed=n.to_bytes(2)))) for n in range(40)]

    expected = 1 - (1 - 12 / 98) ** 6
    assert sum(found) / len(found) == pytest.approx(expected, abs=0.25)


def test_one_frame_is_the_first():
    limits = Limits(max_bytes=1_000_000, max_pixels=1_000_000, max_side=2_000, max_frames=1)

    assert numbers_seen(decode(animation(numbers(*range(5)), "GIF"), limits)) == [0]


# What a browser does with broken and odd files: tests/integration/images/test_animations_in_a_browser.py.


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
@pytest.mark.parametrize("count", [4, 20])
def test_of_a_file_that_breaks_off_what_a_browser_shows_is_judged(kind, count):
    data = animation([noisy(number) for number in range(count)], kind, **ENDLESS)

    picture = decode(data[: int(len(data) * 0.7)], LIMITS)

    assert len(picture.frames) == min(MOST, int(count * 0.7) + 1)
    assert reddish(picture.frames[0])
    # Of the frame in which it breaks off the upper part is there.
    assert greenish(picture.frames[-1].crop((0, 0, 48, 4)))


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_a_broken_frame_does_not_hide_those_after_it(kind):
    data = with_a_broken_frame(animation([noisy(number) for number in range(4)], kind, **ENDLESS), kind)

    picture = decode(data, LIMITS)

    assert len(picture.frames) == 4
    assert greenish(picture.frames[-1])


@pytest.mark.parametrize("kind", ANIMATED)
def test_an_animation_whose_first_frame_is_broken_is_refused(kind):
    data = animation([noisy(number) for number in range(4)], kind)

    with pytest.raises(UndecodablePictureError):
        decode(data[: int(len(data) * 0.1)], LIMITS)


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
def test_what_browsers_do_not_show_once_it_is_cut_is_refused(kind):
    data = animation([noisy(number) for number in range(4)], kind)

    with pytest.raises(UndecodablePictureError):
        decode(data[: int(len(data) * 0.7)], LIMITS)


def test_a_png_that_claims_more_frames_than_it_has_shows_none_twice():
    data = animation(numbers(*range(9)), "PNG", **ENDLESS)
    claims = data.index(b"acTL") + 4
    lying = bytearray(data)
    lying[claims : claims + 4] = struct.pack(">I", 200)
    lying[claims + 8 : claims + 12] = struct.pack(">I", zlib.crc32(lying[claims - 4 : claims + 8]))

    picture = decode(bytes(lying), LIMITS)

    assert picture.time_share == pytest.approx(8 / 9)


def test_what_lies_beyond_the_first_frame_of_a_gif_is_not_looked_at():
    # Pillow would enlarge the picture, and so make what is seen small.
    data = grown_gif()

    picture = decode(data, LIMITS)

    assert [frame.size for frame in picture.frames] == [(32, 32)] * 2
    assert picture.frames[1].getpixel((31, 31)) == (0, 255, 0)


def test_a_sequence_behind_a_cover_is_refused():
    data = animation(numbers(0, 1, 2), "AVIF")

    with pytest.raises(UndecodablePictureError) as refused:
        decode(data.replace(b"ftypavis", b"ftypavif", 1), LIMITS)

    assert refused.value.message == (
        "the AVIF file holds an image sequence or a film beside its picture; save it as WebP, GIF or AVIF"
    )


def test_a_sequence_in_a_heif_is_refused():
    pytest.importorskip("pillow_heif")
    cover = encoded(numbered(0), "HEIF")
    sequence = animation(numbers(1, 2), "AVIF")

    with pytest.raises(UndecodablePictureError, match=r"^the HEIF file holds an image sequence"):
        decode(cover + sequence[sequence.index(b"moov") - 4 :], LIMITS)
    assert len(decode(cover + b"\0\0\0\x08free", LIMITS).frames) == 1


def reddish(frame):
    red, green, _ = np.asarray(frame, int).mean((0, 1))
    return red > green + 100


def greenish(frame):
    red, green, _ = np.asarray(frame, int).mean((0, 1))
    return green > red + 100


WHOLE = {
    kind: animation(numbers(*range(12)), kind, duration=[10 * n for n in range(12)], **ENDLESS)
    for kind in ANIMATED
}


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(ANIMATED),
    kept=st.floats(0.2, 1),
    changes=st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 255)), max_size=6),
    seed=st.binary(max_size=32),
)
def test_damaged_animations_are_judged_or_refused_and_do_nothing_else(kind, kept, changes, seed):
    data = bytearray(WHOLE[kind])
    for place, value in changes:
        data[place % len(data)] = value
    few = Limits(max_bytes=4_000_000, max_pixels=1_000_000, max_side=2_000, max_frames=4)

    try:
        picture = decode(bytes(data[: int(len(data) * kept)]), few, seed=seed)
    except UndecodablePictureError:
        return

    assert 1 <= len(picture.frames) <= 4
    assert 0 < picture.time_share <= 1
    assert {frame.mode for frame in picture.frames} == {"RGB"}


@settings(max_examples=60, deadline=None)
@given(durations=st.lists(st.integers(0, 65_535), min_size=10, max_size=10), kind=st.sampled_from(ANIMATED))
def test_any_durations_are_weighed(durations, kind):
    # A PNG says them as fractions of its own, a GIF in hundredths of a second.
    unit = 10 if kind == "GIF" else 1
    data = animation(numbers(*range(10)), kind, duration=[unit * d for d in durations], **ENDLESS)

    picture = decode(data, LIMITS)

    weights = [100 if unit * d <= 10 else unit * d for d in durations]
    share = sum(weights[n] for n in numbers_seen(picture)) / sum(weights)
    assert picture.time_share == pytest.approx(share, abs=0.001)
