import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from support.pictures import BLUE, GREEN, RED, WHITE, animation, drawing, encoded, png_header

from worker.errors import UndecodablePictureError
from worker.images.colours import profiles
from worker.images.colours.profiles import SRGB_PRIMARIES, gamma_profile
from worker.images.decoding import decoder
from worker.images.decoding.decoder import FORMATS, decode
from worker.images.limits import Limits

# As in a worker, where Pillow's warnings are ignored.
pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")

LIMITS = Limits(max_bytes=1_000_000, max_pixels=1_000_000, max_side=2_000, max_frames=4)
#: HEIF among them where the extra `heic` is installed.
STILL = FORMATS
ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")


def solid(mode, colour, size=(8, 8)):
    return Image.new(mode, size, colour)


def only_frame(data):
    (frame,) = decode(data, LIMITS).frames
    assert frame.mode == "RGB"
    return frame


def close(pixel, expected, tolerance=6):
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, expected, strict=True))


@pytest.mark.parametrize("kind", STILL)
def test_every_kind_of_picture_decodes_and_tells_its_facts(kind):
    data = encoded(drawing(120, 90), kind)

    picture = decode(data, LIMITS)

    assert (picture.format, picture.width, picture.height) == (kind, 120, 90)
    assert len(picture.frames) == 1
    assert close(picture.frames[0].getpixel((35, 25)), (200, 30, 40), tolerance=30)


@pytest.mark.parametrize(
    ("orientation", "seen"),
    [(1, "RGBW"), (2, "GRWB"), (3, "WBGR"), (4, "BWRG"), (5, "RBGW"), (6, "BRWG"), (7, "WGBR"), (8, "GWRB")],
)
def test_a_picture_is_turned_as_its_exif_block_says(orientation, seen):
    stored = Image.new("RGB", (2, 2))
    stored.putdata([RED, GREEN, BLUE, WHITE])
    exif = Image.Exif()
    exif[0x0112] = orientation

    frame = only_frame(encoded(stored, "PNG", exif=exif))

    letters = {RED: "R", GREEN: "G", BLUE: "B", WHITE: "W"}
    assert "".join(letters[frame.getpixel(xy)] for xy in [(0, 0), (1, 0), (0, 1), (1, 1)]) == seen


@pytest.mark.skipif("HEIF" not in FORMATS, reason="needs the extra heic")
def test_a_heic_is_turned_by_its_own_property_alone_as_safari_does():
    exif = Image.Exif()
    exif[0x0112] = 6

    turned, said = encoded(drawing(), "HEIF", exif=exif.tobytes()), encoded(drawing(), "HEIF", exif=exif)

    assert (b"irot" in turned, b"irot" in said) == (True, False)
    assert (only_frame(turned).size, only_frame(said).size) == ((90, 120), (120, 90))


@pytest.mark.skipif("HEIF" not in FORMATS, reason="needs the extra heic")
def test_a_heic_that_declares_its_colours_by_number_shows_them():
    data = encoded(solid("RGB", (64, 64, 64)), "HEIF")
    at = data.index(b"colrnclx") + 8
    linear = data[:at] + bytes([0, 1, 0, 8]) + data[at + 4 :]

    assert close(only_frame(data).getpixel((4, 4)), (64, 64, 64))
    assert close(only_frame(linear).getpixel((4, 4)), (137, 137, 137))


def test_width_and_height_are_those_of_the_turned_picture():
    exif = Image.Exif()
    exif[0x0112] = 6

    picture = decode(encoded(drawing(120, 90), "JPEG", exif=exif), LIMITS)

    assert (picture.width, picture.height) == (90, 120)


@pytest.mark.parametrize("exif", [b"Exif\0\0MM\0*\0\0\0\xff\xff", b"Exif\0\0", b"rubbish"])
def test_a_broken_exif_block_is_ignored(exif):
    assert only_frame(encoded(drawing(), "PNG", exif=exif)).size == drawing().size


def test_a_transparent_palette_entry_shows_the_white_page():
    picture = Image.new("P", (2, 1))
    picture.putpalette([*BLUE, *RED])
    picture.putdata([0, 1])

    frame = only_frame(encoded(picture, "PNG", transparency=0))

    assert [frame.getpixel((0, 0)), frame.getpixel((1, 0))] == [WHITE, RED]


def test_a_palette_without_transparency_keeps_its_colours():
    picture = Image.new("P", (1, 1))
    picture.putpalette([*BLUE])

    assert only_frame(encoded(picture, "PNG")).getpixel((0, 0)) == BLUE


@pytest.mark.parametrize(("alpha", "seen"), [(0, WHITE), (128, (255, 127, 127)), (255, RED)])
def test_alpha_is_laid_on_white(alpha, seen):
    assert close(only_frame(encoded(solid("RGBA", (*RED, alpha)), "PNG")).getpixel((0, 0)), seen, tolerance=1)


def test_every_alpha_of_every_colour_is_laid_on_white_as_transformers_and_browsers_do():
    colours = np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1).astype(np.uint8)
    picture = Image.fromarray(np.dstack([colours[..., :1]] * 3 + [colours[..., 1:]]), "RGBA")
    expected = Image.alpha_composite(Image.new("RGBA", picture.size, (*WHITE, 255)), picture).convert("RGB")

    assert only_frame(encoded(picture, "PNG")).tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("picture", "options"),
    [
        (solid("RGBA", (*WHITE, 0)), {}),
        (solid("LA", (255, 0)), {}),
        (solid("RGB", WHITE), {"transparency": WHITE}),
        (solid("L", 255), {"transparency": 255}),
        (solid("P", 0), {"transparency": 0}),
    ],
)
def test_what_is_transparent_is_looked_at_on_black_too(picture, options):
    picture = decode(encoded(picture, "PNG", **options), LIMITS)

    assert [frame.getpixel((0, 0)) for frame in picture.frames] == [WHITE]
    assert [frame.getpixel((0, 0)) for frame in picture.on_black] == [(0, 0, 0)]


@pytest.mark.parametrize(("opaque_rows", "looks"), [(1000, 0), (991, 0), (980, 1)])
def test_a_picture_is_looked_at_on_black_where_more_than_a_hundredth_lets_it_through(opaque_rows, looks):
    picture = Image.new("RGBA", (10, 1000), (*RED, 0))
    picture.paste((*RED, 255), (0, 0, 10, opaque_rows))

    assert len(decode(encoded(picture, "PNG"), LIMITS).on_black) == looks


def test_a_transparent_picture_is_turned_on_both_pages():
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = decode(encoded(solid("RGBA", (0, 0, 0, 0), (20, 10)), "PNG", exif=exif), LIMITS)

    assert [frame.size for frame in picture.frames + picture.on_black] == [(10, 20)] * 2


def test_where_one_frame_is_transparent_every_frame_has_its_view_on_black():
    frames = [solid("RGBA", (*RED, alpha)) for alpha in (255, 0)]

    picture = decode(animation(frames, "PNG"), LIMITS)

    assert [frame.getpixel((4, 4)) for frame in picture.frames] == [RED, WHITE]
    assert [frame.getpixel((4, 4)) for frame in picture.on_black] == [RED, (0, 0, 0)]


@pytest.mark.parametrize(("orientation", "size"), [(1, (1600, 1200)), (6, (1200, 1600))])
def test_a_scaled_decode_tells_the_true_size_and_shows_the_same(orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    limits = Limits(max_bytes=10_000_000, max_pixels=10_000_000, max_side=2_000, max_frames=1)
    data = encoded(drawing(1600, 1200), "JPEG", exif=exif, quality=95)
    asked = []

    def scaling(full):
        asked.append(full)
        return (full[0] // 8, full[1] // 8)

    exact, scaled = decode(data, limits), decode(data, limits, scaling)

    assert asked == [size]
    assert (exact.width, exact.height) == (scaled.width, scaled.height) == size
    assert scaled.frames[0].size == (size[0] // 4, size[1] // 4)
    small = exact.frames[0].resize(scaled.frames[0].size, Image.Resampling.BOX)
    assert np.abs(np.asarray(small, int) - np.asarray(scaled.frames[0])).mean() < 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", *(["HEIF"] if "HEIF" in FORMATS else [])])
def test_nothing_but_a_jpeg_is_scaled_down_while_it_is_decoded(kind):
    picture = decode(encoded(drawing(400, 300), kind), LIMITS, lambda _: (8, 8))

    assert picture.frames[0].size == (400, 300)


def test_grey_with_alpha_is_laid_on_white():
    assert only_frame(encoded(solid("LA", (0, 0)), "PNG")).getpixel((0, 0)) == WHITE


def test_a_colour_declared_transparent_shows_the_white_page():
    data = encoded(solid("RGB", GREEN), "PNG", transparency=GREEN)

    assert only_frame(data).getpixel((0, 0)) == WHITE


@pytest.mark.parametrize(("mode", "colour", "seen"), [("L", 77, (77, 77, 77)), ("1", 1, WHITE)])
def test_greys_become_colours(mode, colour, seen):
    assert only_frame(encoded(solid(mode, colour), "PNG")).getpixel((0, 0)) == seen


def test_four_ink_pictures_become_what_they_print():
    assert close(only_frame(encoded(solid("CMYK", (0, 255, 255, 0)), "JPEG")).getpixel((4, 4)), RED)


def sixteen_bit_ramp():
    return Image.fromarray(np.array([[0, 0x4000, 0x8000, 0xFFFF]], np.uint16))


def test_sixteen_bit_greys_are_scaled_and_not_clipped():
    frame = only_frame(encoded(sixteen_bit_ramp(), "PNG"))

    assert [frame.getpixel((x, 0))[0] for x in range(4)] == [0, 64, 128, 255]


def test_a_sixteen_bit_grey_declared_transparent_shows_the_white_page():
    frame = only_frame(encoded(sixteen_bit_ramp(), "PNG", transparency=0x4000))

    assert [frame.getpixel((x, 0))[0] for x in range(4)] == [0, 255, 128, 255]


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
#: As sRGB, with a gamma of 2.0 instead of 2.4: what cameras and screens differ by.
ORDINARY = SRGB.replace(b"\x00\x02ff\x00\x00", b"\x00\x02\x00\x00\x00\x00")
#: As sRGB, with red and blue in each other's place: people see something else than the pixels say.
SWAPPED = SRGB.replace(b"rXYZ", b"tmp!").replace(b"bXYZ", b"rXYZ").replace(b"tmp!", b"bXYZ")


@pytest.mark.parametrize(
    ("kind", "mode", "colour"), [("PNG", "RGB", RED), ("JPEG", "RGB", RED), ("PNG", "RGBA", (*RED, 255))]
)
def test_a_profile_that_makes_the_picture_another_is_applied(kind, mode, colour):
    data = encoded(solid(mode, colour), kind, icc_profile=SWAPPED)

    assert close(only_frame(data).getpixel((4, 4)), BLUE)


def test_a_palette_with_such_a_profile_is_converted_too():
    picture = Image.new("P", (1, 1))
    picture.putpalette([*RED])

    assert close(only_frame(encoded(picture, "PNG", icc_profile=SWAPPED)).getpixel((0, 0)), BLUE)


def test_a_picture_with_a_profile_is_still_turned():
    exif = Image.Exif()
    exif[0x0112] = 6

    assert only_frame(encoded(drawing(40, 20), "PNG", exif=exif, icc_profile=SWAPPED)).size == (
        20,
        40,
    )


@pytest.mark.parametrize("profile", [SRGB, ORDINARY])
def test_an_ordinary_profile_changes_no_pixel(profile):
    frame = only_frame(encoded(drawing(), "PNG", icc_profile=profile))

    assert frame.tobytes() == drawing().tobytes()


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize("profile", [b"rubbish", SWAPPED[:200]])
def test_a_broken_colour_profile_is_ignored(mode, profile):
    data = encoded(drawing().convert(mode), "PNG", icc_profile=profile)

    assert only_frame(data).tobytes() == drawing().convert(mode).convert("RGB").tobytes()


def test_a_colour_profile_for_another_kind_of_colour_is_ignored():
    assert only_frame(encoded(solid("L", 77), "PNG", icc_profile=SWAPPED)).getpixel((0, 0)) == (
        77,
        77,
        77,
    )


def nearly_black(profile):
    """Return a square of near-blacks in a corner of a white page, with a profile."""
    page = solid("RGB", WHITE, (256, 256))
    page.paste(Image.linear_gradient("L").point(lambda value: value // 16).resize((40, 40)), (200, 200))
    return encoded(page, "PNG", icc_profile=profile)


def test_a_profile_that_shows_what_a_small_part_hides_is_applied():
    raw, shown = (np.asarray(only_frame(nearly_black(profile))) for profile in (None, gamma_profile(2.2)))

    assert np.abs(raw.astype(int) - shown).mean() < 24
    assert np.ptp(raw[200:240, 200:240]) < 16
    assert np.ptp(shown[200:240, 200:240]) > 60


def test_a_profile_that_gives_two_near_greys_much_contrast_is_applied():
    greys = solid("RGB", (200, 200, 200), (256, 256))
    greys.paste((204, 204, 204), (60, 60, 200, 200))
    levels = np.linspace(0, 1, 256)
    levels[200], levels[204] = 0.45, 0.72
    curve = b"curv" + struct.pack(">II", 0, 256) + np.rint(levels * 65_535).astype(">u2").tobytes()

    frame = only_frame(encoded(greys, "PNG", icc_profile=profiles._profile(SRGB_PRIMARIES, curve)))

    assert frame.getpixel((100, 100))[0] - frame.getpixel((10, 10))[0] > 30


def shades(count, size=(16, 16)):
    return [solid("RGB", (10 * shade, 0, 255 - 10 * shade), size) for shade in range(count)]


def shades_seen(picture):
    return [round(frame.getpixel((8, 8))[0] / 10) for frame in picture.frames]


def test_transparent_parts_of_an_animation_show_the_white_page():
    frames = [solid("RGBA", (*RED, alpha)) for alpha in (0, 255)]

    picture = decode(animation(frames, "PNG"), LIMITS)

    assert [frame.getpixel((4, 4)) for frame in picture.frames] == [WHITE, RED]


def test_a_photo_with_a_second_picture_behind_it_counts_as_still():
    picture = decode(animation(shades(2), "MPO"), LIMITS)

    assert shades_seen(picture) == [0]


def refusal(data, limits=LIMITS):
    with pytest.raises(UndecodablePictureError) as refused:
        decode(data, limits)
    message = refused.value.message
    assert "\n" not in message
    assert " at 0x" not in message
    return message


def test_an_empty_file_is_refused():
    assert refusal(b"") == "the picture is empty: 0 bytes"


def test_a_file_with_too_many_bytes_is_refused():
    assert refusal(b"x" * 1_000_001) == "the picture has 1,000,001 bytes; at most 1,000,000 are judged"


def test_a_picture_with_too_many_pixels_is_refused_by_its_header():
    assert refusal(png_header(1_500, 1_000)) == (
        "the picture is 1,500 x 1,000 pixels; at most 1,000,000 in all are judged"
    )


def test_a_picture_with_too_long_a_side_is_refused_by_its_header():
    assert refusal(png_header(2_001, 1)) == "the picture is 2,001 x 1 pixels; at most 2,000 a side are judged"


@pytest.mark.parametrize("size", [(12_000, 12_000), (60_000, 60_000)])
def test_a_decompression_bomb_is_refused_undecoded(size):
    assert refusal(png_header(*size)).startswith(
        ("the picture is larger than", "the picture is 12,000 x 12,000")
    )


def test_an_animation_whose_looked_at_frames_are_too_much_together_is_refused():
    data = animation(shades(4, size=(600, 600)), "GIF")

    assert refusal(data) == "the animation has 4 frames of 600 x 600 pixels, more than is judged"


def test_an_animation_that_takes_too_long_to_walk_through_is_refused():
    limits = Limits(max_bytes=1_000_000, max_pixels=1_000, max_side=2_000, max_frames=2)
    data = animation(shades(25) + shades(25) + shades(25) + shades(25), "GIF")

    assert refusal(data, limits) == "the animation has 100 frames of 16 x 16 pixels, more than is judged"


def test_a_frame_that_enlarges_the_picture_meets_the_limits_too():
    small, large = (encoded(solid("1", 1, size), "GIF") for size in [(8, 8), (2_100, 8)])
    data = small[:-1] + large[large.index(b",\0\0\0\0") :]

    assert refusal(data) == "the picture is 2,100 x 8 pixels; at most 2,000 a side are judged"


@pytest.mark.parametrize(
    "data",
    [b"just words, renamed to .jpg", b"GIF88a of long ago", b"<html>no <svg</html>"[:9], b"\0" * 100],
)
def test_what_is_no_picture_is_refused_by_its_content(data):
    assert refusal(data) == (f"the file is not a picture of a kind that is judged: {', '.join(FORMATS)}")


def test_heic_without_its_extra_is_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr(decoder, "_HEIC", ())
    monkeypatch.setattr(decoder, "FORMATS", ("JPEG", "PNG"))

    assert "pip install 'moderation-worker[heic]'" in refusal(b"\0\0\0\x18ftypheic" + b"\0" * 40)


@pytest.mark.parametrize("kind", ["PPM", "TGA", "EPS"])
def test_kinds_that_nobody_uploads_are_refused(kind):
    assert "not a picture of a kind that is judged" in refusal(encoded(drawing(), kind))


@pytest.mark.parametrize(("kind", "named"), [("TIFF", "a TIFF picture"), ("ICO", "an icon (ICO)")])
def test_a_kind_that_is_known_is_named_with_those_that_are_judged(kind, named):
    assert refusal(encoded(drawing(), kind)) == f"it is {named}; {', '.join(FORMATS)} are judged"


@pytest.mark.parametrize("kind", [kind for kind in STILL if kind != "GIF"])
def test_a_broken_header_is_no_other_kind_of_file(kind):
    data = encoded(drawing(), kind)

    message = refusal(data[:20] + b"\xff" * 30 + data[50:])

    assert message.startswith(("the picture is broken: ", "the picture is cut off: "))


@pytest.mark.parametrize("kind", STILL)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_picture_is_refused_and_never_judged_by_half(kind, share):
    data = encoded(drawing(), kind)

    refused = refusal(data[: int(len(data) * share)])

    assert refused == "the picture is cut off: its end is missing"


WHOLE = {kind: encoded(drawing(), kind) for kind in STILL} | {
    f"animated {kind}": animation(shades(3), kind) for kind in ANIMATED
}


@settings(max_examples=500, deadline=None)
@given(
    kind=st.sampled_from(sorted(WHOLE)),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damaged_bytes_decode_or_are_refused_and_do_nothing_else(kind, changes):
    data = bytearray(WHOLE[kind])
    for place, value in changes:
        data[place % len(data)] = value

    try:
        picture = decode(bytes(data), LIMITS)
    except UndecodablePictureError:
        return

    assert all(frame.mode == "RGB" for frame in picture.frames)
