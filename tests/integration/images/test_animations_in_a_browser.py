"""What Chromium makes of odd animations is what we reckon with: frames, plays, size.

That it shows frames of at most 10 ms for 100 ms, in all four formats, was measured by screenshots of an endless
animation; a test of that would measure time.
"""

import base64
from io import BytesIO
from random import Random

import numpy as np
import pytest
from PIL import Image
from support.animations import (
    INVALID_APNG,
    apng_of_three,
    grown_gif,
    noisy,
    random_apng,
    random_gif,
    with_a_broken_frame,
)
from support.browser import running_chromium
from support.pictures import animation

from worker.images.decoding.animation import frame_count, walk
from worker.images.decoding.browsers import as_browsers_read
from worker.images.decoding.decoder import decode
from worker.images.decoding.display_time import plays
from worker.images.limits import Limits

LIMITS = Limits(max_bytes=1_000_000, max_pixels=1_000_000, max_side=2_000, max_frames=8)
#: Chromium's own decoder: how many frames it finds, and how often it repeats them.
DECODE = """async ([data, type]) => {
  const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
  const decoder = new ImageDecoder({data: bytes, type});
  await decoder.tracks.ready;
  await decoder.completed.catch(() => {});
  const track = decoder.tracks.selectedTrack;
  const first = await decoder.decode();
  const size = [first.image.displayWidth, first.image.displayHeight];
  return [track.frameCount, track.repetitionCount === Infinity ? null : track.repetitionCount, size];
}"""


#: The frames as they look on a white page: RGBA, row by row.
DRAW = """async ([data, type]) => {
  const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
  const decoder = new ImageDecoder({data: bytes, type});
  await decoder.tracks.ready;
  await decoder.completed;
  const frames = [];
  for (let n = 0; n < decoder.tracks.selectedTrack.frameCount; n++) {
    const {image} = await decoder.decode({frameIndex: n});
    const canvas = new OffscreenCanvas(image.displayWidth, image.displayHeight);
    const page = canvas.getContext("2d");
    page.fillStyle = "white";
    page.fillRect(0, 0, canvas.width, canvas.height);
    page.drawImage(image, 0, 0);
    frames.push(Array.from(page.getImageData(0, 0, canvas.width, canvas.height).data));
  }
  return frames;
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return a page of Chromium that may use its decoder: pages of a trusted origin alone may."""
    page_file = tmp_path_factory.mktemp("browser") / "page.html"
    page_file.write_text("<!doctype html>")
    with running_chromium() as browser:
        opened = browser.new_page()
        opened.goto(page_file.as_uri())
        yield opened


@pytest.fixture
def chromium(page):
    """Return a function that asks Chromium for frames, repetitions and size of a file."""
    return lambda data, kind: page.evaluate(DECODE, said(data, kind))


def said(data, kind):
    return [base64.b64encode(data).decode(), f"image/{kind.lower()}"]


def frames_walked(upload):
    data = as_browsers_read(upload, LIMITS)
    with Image.open(BytesIO(data)) as image:
        return sum(1 for _ in walk(image, data, frame_count(image, data, LIMITS), LIMITS))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
@pytest.mark.parametrize("loop", [None, 0, 1, 3])
def test_it_plays_as_often_as_we_say(chromium, kind, loop):
    data = animation([noisy(n) for n in range(3)], kind, **({} if loop is None else {"loop": loop}))

    with Image.open(BytesIO(data)) as image:
        ours = plays(image, data)
    _, repetitions, _ = chromium(data, kind)

    assert ours == (0 if repetitions is None else repetitions + 1)


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
@pytest.mark.parametrize("share", [0.4, 0.6, 0.9])
def test_of_a_file_that_breaks_off_it_shows_as_many_frames_as_we_judge(chromium, kind, share):
    data = animation([noisy(n) for n in range(6)], kind, loop=0)
    cut = data[: int(len(data) * share)]

    frames, _, _ = chromium(cut, kind)

    assert frames_walked(cut) == frames > 1


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_a_broken_frame_does_not_end_an_animation(chromium, kind):
    data = with_a_broken_frame(animation([noisy(n) for n in range(6)], kind, loop=0), kind)

    assert frames_walked(data) == chromium(data, kind)[0] == 6


@pytest.mark.parametrize("what", sorted(INVALID_APNG))
def test_an_invalid_frame_ends_a_png(chromium, what):
    data = apng_of_three(INVALID_APNG[what])

    assert frames_walked(data) == chromium(data, "PNG")[0] == 1
    assert len(decode(data, LIMITS).frames) == 1


def test_a_valid_frame_does_not_end_a_png(chromium):
    assert frames_walked(apng_of_three(None)) == chromium(apng_of_three(None), "PNG")[0] == 3


def test_a_frame_that_is_larger_than_the_picture_does_not_enlarge_it(chromium):
    data = grown_gif()

    assert chromium(data, "GIF")[2] == [32, 32]
    assert {frame.size for frame in decode(data, LIMITS).frames} == {(32, 32)}


@pytest.mark.parametrize("brand", [b"avis", b"mif1", b"msf1"])
def test_a_sequence_is_animated_whatever_its_first_brand_says(chromium, brand):
    data = animation([noisy(n) for n in range(3)], "AVIF").replace(b"ftypavis", b"ftyp" + brand, 1)

    assert frames_walked(data) == chromium(data, "AVIF")[0] == 3


@pytest.mark.parametrize("seed", range(12))
def test_the_frames_of_a_gif_look_as_they_do_there(page, seed):
    # Of such files Pillow itself draws two frames in five otherwise: it keeps the way in which a frame is
    # disposed of, and fills with a colour where nothing is drawn.
    data = random_gif(Random(seed))

    theirs = np.array(page.evaluate(DRAW, said(data, "GIF"))).reshape(-1, 16, 16, 4)[..., :3]
    ours = np.stack([np.asarray(frame) for frame in decode(data, LIMITS).frames])

    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("seed", range(12))
def test_the_frames_of_a_png_look_as_they_do_there(page, seed):
    data = random_apng(Random(seed))

    theirs = np.array(page.evaluate(DRAW, said(data, "PNG"))).reshape(-1, 16, 16, 4)[..., :3]
    ours = np.stack([np.asarray(frame) for frame in decode(data, LIMITS).frames])

    # The default image, which browsers do not show, is judged before them.
    np.testing.assert_array_equal(ours[-len(theirs) :], theirs)
    assert len(ours) - len(theirs) in {0, 1}
