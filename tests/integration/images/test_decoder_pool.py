"""Whatever a picture does to its decoder, it ends one child at worst, and is named for it."""

import errno
import hashlib
import os
import platform
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import ExifTags, Image
from support.animations import numbered
from support.decoders import LIMITS, MEMORY_BYTES, POISONED, open_pool, process_ids
from support.deployment import wait_for
from support.pictures import RED, WHITE, animation, drawing, encoded
from support.poisoned_child import poisoned

from worker.domain.moderation.view import Views
from worker.errors import ResourceUnavailableError, UnavailableError, UndecodablePictureError
from worker.images.decoding.decoder import decode
from worker.images.preprocessing import Preprocessing, prepare, prepare_parts
from worker.images.processes import pool as decoder_pool
from worker.images.processes.messages import BrokenMessageError

SQUARE = Preprocessing(Image.Resampling.BICUBIC, width=32, height=24)
#: As CLIP: scaled, then cropped at the centre.
CROPPED = Preprocessing(Image.Resampling.NEAREST, shortest_edge=32, crop_width=32, crop_height=32)
GOOD = encoded(drawing(), "PNG")


@pytest.fixture(scope="module")
def pool():
    with open_pool() as opened:
        yield opened


@pytest.fixture
def fragile():
    with open_pool(child_module=POISONED, processes=1, seconds=3, memory_bytes=2**29) as opened:
        yield opened


def refusal(pool, data):
    with pytest.raises(UndecodablePictureError) as refused:
        pool.decode(data, SQUARE)
    return refused.value.message


def test_a_picture_comes_back_at_its_models_size_with_its_facts(pool):
    picture = pool.decode(GOOD, SQUARE)

    assert picture.pixels.shape == (1, 24, 32, 3)
    assert (picture.pixels[0] == prepare(drawing(), SQUARE)).all()
    facts = picture.facts
    assert (facts.format, facts.width, facts.height, facts.frames) == ("PNG", 120, 90, 1)
    assert facts.sha256 == hashlib.sha256(GOOD).hexdigest()


def test_every_frame_comes_back_in_order(pool):
    frames = [Image.new("RGB", (20, 20), (20 * n, 0, 0)) for n in range(6)]

    picture = pool.decode(animation(frames, "GIF"), SQUARE)

    assert picture.facts.frames == 6
    assert [round(int(frame[12, 16, 0]) / 20) for frame in picture.pixels] == list(range(6))


def test_a_transparent_picture_is_looked_at_on_white_and_on_black(pool):
    hidden = Image.new("RGBA", (40, 40), (255, 255, 255, 0))
    hidden.paste((*WHITE, 255), (10, 10, 30, 30))

    picture = pool.decode(encoded(hidden, "PNG"), SQUARE)

    on_white, on_black = picture.pixels
    assert picture.facts.frames == 1
    assert on_white.min() == 255
    assert (on_black[0, 0].tolist(), on_black[12, 16].tolist()) == ([0, 0, 0], [255, 255, 255])


def test_frames_that_grow_come_back_in_one_shape_even_where_the_model_follows_the_pictures(pool):
    small, large = (encoded(Image.new("1", size, 1), "GIF") for size in [(16, 16), (64, 16)])
    grows = small[:-1] + large[large.index(b",\0\0\0\0") :]
    patches = Preprocessing(Image.Resampling.BILINEAR, patch_side=8, max_patches=16)

    assert pool.decode(grows, patches).pixels.shape == (2, 32, 32, 3)


def test_of_a_wide_picture_every_part_comes_back_and_of_a_tall_one_likewise(pool):
    wide = Image.new("RGB", (400, 100), WHITE)
    wide.paste(RED, (0, 0, 100, 100))
    for picture, is_tall in ((wide, False), (wide.transpose(Image.Transpose.ROTATE_270), True)):
        made = pool.decode(encoded(picture, "PNG"), CROPPED)
        assert (made.facts.parts, made.facts.area_share, made.views) == (6, 1.0, Views(1, 6, 1, is_tall))
        assert [(one == RED).all(axis=2).mean().round(1) for one in made.pixels] == [1, 0.4, 0, 0, 0, 0]

    (whole,) = pool.decode(encoded(wide, "PNG"), CROPPED, most_parts=1).pixels
    assert (whole == prepare(wide, CROPPED)).all()


def test_the_parts_of_a_turned_photograph_lie_along_the_side_as_people_see_it(pool):
    wide = Image.new("RGB", (400, 100), WHITE)
    wide.paste(RED, (0, 0, 100, 100))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be turned to the right: what is left comes to the top

    made = pool.decode(encoded(wide, "JPEG", exif=exif, quality=95), CROPPED)

    assert (made.facts.width, made.facts.height, made.views.is_tall) == (100, 400, True)
    assert [int(one[..., 1].mean() < 99) for one in made.pixels] == [1, 0, 0, 0, 0, 0]
    assert made.views[0].place == "the 1st of 6 parts from the top"


def test_frames_pages_and_parts_come_back_in_the_order_of_their_views(pool):
    frames = [Image.new("RGBA", (192, 64), (0, 0, 0, 0)) for _ in range(2)]
    for number, frame in enumerate(frames):
        frame.paste((200, 100 * number, 0, 255), (64 * number, 0, 64 * number + 64, 64))

    made = pool.decode(animation(frames, "PNG", disposal=1), CROPPED)

    assert made.views == Views(frames=2, parts=4, pages=2)
    for pixels, view in zip(made.pixels, made.views, strict=True):
        page = Image.new("RGBA", (192, 64), "black" if view.on_black else "white")
        seen = Image.alpha_composite(page, frames[view.frame]).convert("RGB")
        assert (pixels == prepare_parts(seen, CROPPED, (96, 32), 4)[view.part]).all()


def test_an_animation_has_fewer_parts_so_that_its_views_are_bounded(pool):
    frames = [Image.new("RGB", (900, 100), (30 * n, 0, 0)) for n in range(LIMITS.max_frames)]
    made = pool.decode(animation(frames, "WEBP"), CROPPED)
    parts = 32 // len(frames)
    assert (made.facts.frames, made.facts.parts) == (len(frames), parts)
    assert made.facts.area_share == pytest.approx(min(1.0, 1.8 * parts / 9))


def test_a_large_jpeg_is_scaled_down_while_it_is_decoded_unless_it_must_not_be(pool):
    data = encoded(drawing(1600, 1200), "JPEG", quality=95)

    scaled, exact = (pool.decode(data, SQUARE, scaled=scaled) for scaled in (True, False))

    assert scaled.facts == exact.facts
    assert (exact.pixels[0] == prepare(decode(data, LIMITS).frames[0], SQUARE)).all()
    assert (scaled.pixels != exact.pixels).any()
    assert np.abs(scaled.pixels.astype(int) - exact.pixels).mean() < 1


@pytest.fixture(scope="module")
def photograph_of_200_megapixels():
    return encoded(Image.new("L", (16_320, 12_240), 80), "JPEG")


def test_a_telephones_200_megapixels_are_judged_in_little_memory_if_allowed(photograph_of_200_megapixels):
    limits = replace(LIMITS, max_pixels=200_000_000)
    with open_pool(limits, processes=1, memory_bytes=2**29) as opened:
        picture = opened.decode(photograph_of_200_megapixels, SQUARE)

    assert (picture.facts.width, picture.facts.height) == (16_320, 12_240)
    assert np.abs(picture.pixels.astype(int) - 80).max() <= 1


@pytest.mark.parametrize("most", [50_000_000, 199_000_000])
def test_more_pixels_than_are_allowed_are_refused_by_our_own_limit(photograph_of_200_megapixels, most):
    with open_pool(replace(LIMITS, max_pixels=most), processes=1) as opened:
        message = refusal(opened, photograph_of_200_megapixels)

    assert f"{most:,}" in message
    assert "Pillow" not in message


@pytest.mark.parametrize("data", [b"", b"a letter", GOOD[:200], b"x" * 30_000_000])
def test_what_is_no_picture_is_refused_as_it_always_was_and_costs_no_child(pool, data):
    before = process_ids(pool)
    with pytest.raises(UndecodablePictureError) as expected:
        decode(data, LIMITS)

    with pytest.raises(UndecodablePictureError) as refused:
        pool.decode(data, SQUARE)

    assert (refused.value.message, refused.value.kind) == (expected.value.message, expected.value.kind)
    assert process_ids(pool) == before


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("segfault", "it crashed the decoder (signal 11)"),
        ("abort", "it crashed the decoder (signal 6)"),
        ("kill", "it crashed the decoder (signal 9)"),
        ("exit", "it ended the decoder (exit 0)"),
        ("hang", "decoding it took more than 3 s"),
        ("spin", "decoding it took more than 3 s"),
        ("bloat", "decoding it needed more memory than 512 MiB"),
        ("babble", "its decoder sent an invalid answer"),
        ("boast", "its decoder sent an invalid answer"),
    ],
)
def test_whatever_a_picture_does_to_its_decoder_is_said_of_it_and_the_next_one_is_decoded(
    fragile, kind, said
):
    (before,) = process_ids(fragile)

    assert refusal(fragile, poisoned(GOOD, kind)) == f"the picture was refused: {said}"

    assert fragile.decode(GOOD, SQUARE).facts.format == "PNG"
    (after,) = process_ids(fragile)
    assert after != before
    assert not psutil.pid_exists(before)


def test_a_decoder_knows_no_password_and_imports_no_model(monkeypatch):
    monkeypatch.setenv("MODERATION_DATABASE_URL", "postgresql://moderator:secret@host/name")
    with open_pool(child_module=POISONED) as opened:
        assert refusal(opened, poisoned(GOOD, "tell")) == "secrets: [], heavy: []"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other habits")
def test_a_decoder_faults_no_memory_in_anew_for_each_picture():
    rule = Preprocessing(Image.Resampling.BICUBIC, shortest_edge=224, crop_width=224, crop_height=224)
    photograph = encoded(drawing().resize((1600, 1200)), "JPEG")
    with open_pool(processes=1) as opened:
        for _ in range(5):
            opened.decode(photograph, rule)
        (child,) = process_ids(opened)
        before = page_faults(child)
        for _ in range(20):
            opened.decode(photograph, rule)

        assert page_faults(child) - before < 20 * 50


def page_faults(process_id):
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return int(fields[7])


def test_a_real_picture_that_takes_too_long_is_refused():
    data = encoded(Image.linear_gradient("L").resize((6000, 6000)), "PNG", compress_level=1)
    with open_pool(seconds=0.01) as opened:
        opened.wait_until_ready()

        assert refusal(opened, data) == "the picture was refused: decoding it took more than 0.01 s"


def test_a_real_picture_that_needs_too_much_memory_is_refused():
    data = encoded(Image.new("RGBA", (7000, 7000), (*RED, 100)), "PNG")
    with open_pool(memory_bytes=2**29) as opened:
        assert refusal(opened, data).endswith("decoding it needed more memory than 512 MiB")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_kernel_holds_the_limits(pool):
    pool.wait_until_ready()
    for pid in process_ids(pool):
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
        limits = {line[:25].strip(): line[25:].split()[0] for line in lines}
        assert limits["Max address space"] == str(MEMORY_BYTES)
        assert limits["Max file size"] == "0"
        assert limits["Max core file size"] == "0"
        assert int(limits["Max open files"]) <= 16


def test_a_child_that_dies_with_nothing_to_do_is_no_pictures_fault(pool):
    pool.wait_until_ready()
    for pid in process_ids(pool):
        os.kill(pid, signal.SIGKILL)

    for _ in range(3):
        assert pool.decode(GOOD, SQUARE).facts.format == "PNG"


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_a_terminal_or_a_supervisor_sends_to_all_ends_no_child(pool, signal_):
    pool.wait_until_ready()
    before = process_ids(pool)
    for pid in before:
        os.kill(pid, signal_)

    assert pool.decode(GOOD, SQUARE).facts.format == "PNG"
    assert process_ids(pool) == before


def test_a_child_is_replaced_after_many_pictures(monkeypatch):
    monkeypatch.setattr(decoder_pool, "PICTURES_A_CHILD", 3)
    seen = set()
    with open_pool(processes=1) as opened:
        for _ in range(7):
            seen |= process_ids(opened)
            opened.decode(GOOD, SQUARE)

    assert len(seen) == 3


def test_sixteen_threads_get_their_own_pictures(pool):
    pictures = [Image.new("RGB", (30 + n, 30), (n, 255 - n, n // 2)) for n in range(120)]
    with ThreadPoolExecutor(16) as threads:
        decoded = list(threads.map(lambda picture: pool.decode(encoded(picture, "PNG"), SQUARE), pictures))

    assert [picture.facts.width for picture in decoded] == [30 + n for n in range(120)]
    assert [picture.pixels[0, 0, 0, 0] for picture in decoded] == list(range(120))


def test_a_decoder_that_cannot_start_says_why():
    with (
        open_pool(child_module="support.no_such_child") as opened,
        pytest.raises(UnavailableError, match=r"does not start: .*No module named support\.no_such_child"),
    ):
        opened.wait_until_ready()


@pytest.mark.parametrize(
    ("place", "number"),
    [
        ("subprocess.Popen", errno.EAGAIN),
        ("subprocess.Popen", errno.ENOMEM),
        ("tempfile.TemporaryFile", errno.ENOSPC),
        ("socket.socketpair", errno.EMFILE),
    ],
)
def test_a_decoder_that_this_machine_cannot_start_is_no_fault_of_the_picture(monkeypatch, place, number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    with open_pool(processes=1, lazy=True) as opened:
        with monkeypatch.context() as patch:
            patch.setattr(place, fail)
            for _ in range(3):
                with pytest.raises(ResourceUnavailableError, match=os.strerror(number)) as error:
                    opened.decode(GOOD, SQUARE)
        assert error.value.resource == "the decoders"
        assert opened.decode(GOOD, SQUARE).facts.format == "PNG"


def test_closing_ends_every_child_and_turns_everybody_away():
    with (
        open_pool(child_module=POISONED, processes=1, seconds=60) as opened,
        ThreadPoolExecutor(2) as threads,
    ):
        opened.wait_until_ready()
        children = process_ids(opened)
        # One is being decoded for ever, the other waits for a decoder.
        calls = [threads.submit(opened.decode, poisoned(GOOD, "hang"), SQUARE) for _ in range(2)]
        wait_for(lambda: not opened._idle, what="a picture in hand")
        opened.close()
        wait(calls)

        assert [type(call.exception()) for call in calls] == [UnavailableError] * 2
        assert not any(psutil.pid_exists(pid) for pid in children)
        with pytest.raises(UnavailableError, match="shut down"):
            opened.decode(GOOD, SQUARE)
        opened.close()


@pytest.mark.parametrize("kind", ["", "hang", "spin"])
def test_no_child_outlives_a_parent_that_was_killed(kind):
    script = f"""
import sys
from support.decoders import POISONED, open_pool, process_ids
from support.pictures import drawing, encoded
from support.poisoned_child import poisoned
from worker.images.preprocessing import Preprocessing
with open_pool(child_module=POISONED, seconds=600) as pool:
    pool.wait_until_ready()
    print(*process_ids(pool), flush=True)
    data = encoded(drawing(), "PNG")
    if {kind!r}:
        pool.decode(poisoned(data, {kind!r}), Preprocessing(3, width=8, height=8))
    sys.stdin.read()
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as parent:
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.kill()

    def gone(pid):
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        return True

    wait_for(lambda: all(map(gone, children)), what="the children to leave")


@pytest.mark.parametrize(
    "changed",
    [
        {"shape": [1, 24, 33, 3]},
        {"shape": [3, 24, 32, 3]},
        {"shape": [2, 24, 32, 3]},
        {"pages": 2},
        {"pages": 0},
        {"pages": "two"},
        {"width": 16},
        {"height": 16},
        {"shape": [-1, 24, 32, 3]},
        {"shape": [1, 24, 32]},
        {"shape": "1"},
        {"frames": 2},
        {"frames": 0},
        {"width": "wide"},
        {"width": None},
        {"width": 10**30},
        {"height": 0},
        {"height": float("inf")},
        {"format": "PNG\0"},
        {"format": 7},
        {"time_share": 1.5},
        {"time_share": -0.1},
        {"time_share": float("nan")},
        {"time_share": None},
    ],
)
def test_an_answer_that_makes_no_sense_is_noticed(changed):
    sound = {"format": "PNG", "width": 5, "height": 5, "frames": 1, "pages": 1, "shape": [1, 24, 32, 3]}
    sound |= {"time_share": 1}
    request = decoder_pool._Request(SQUARE, scaled=True, most_parts=6, seed="")

    def answer(header):
        return decoder_pool._prepared(b"", header, bytearray(24 * 32 * 3), LIMITS, request)

    assert answer(sound).pixels.shape == (1, 24, 32, 3)
    with pytest.raises((BrokenMessageError, ArithmeticError, LookupError, TypeError, ValueError)):
        answer(sound | changed)


def test_the_frames_of_a_long_animation_are_drawn_by_the_deployments_key():
    data = animation([numbered(number) for number in range(60)], "GIF", loop=0)
    draws = []
    for key in (b"a key", b"a key", b"another", b""):
        with open_pool(processes=1, frame_key=key) as pool:
            picture = pool.decode(data, SQUARE)
            draws.append(picture.pixels.tobytes())
            assert picture.facts.time_share == pytest.approx(8 / 60)

    assert draws[0] == draws[1]
    assert len(set(draws)) == 3


def test_a_refusal_that_quotes_the_pictures_bytes_is_fit_for_every_database(fragile):
    assert refusal(fragile, poisoned(GOOD, "quote")) == "it begins with ??[2J??"
