"""A weapon that an animation shows is found, wherever in it; files of the demo's pictures, judged as a user does."""

import json
from pathlib import Path

import pytest
from moderation_demo import PICTURES
from PIL import Image
from support.animations import panned
from support.pictures import animation, encoded

from worker.domain.policies.policy import Action

#: As it was reported: 99 frames of 20 ms, and one of 60 s that shows a weapon.
REPORTED = Path(__file__).parent / "data" / "gif-100-frames-one-shown-60s.gif"
HARMLESS = ("balloon.webp", "bicycle.jpg", "cat.jpg", "pizza.jpg", "owl.jpg", "sunflower.jpg")
SIDE = 96
ENDLESS = {"loop": 0}


def opened(name):
    return Image.open(PICTURES / name).convert("RGB").resize((SIDE, SIDE))


def harmless(count):
    """Return as many pictures that all look different: the same few, turned, mirrored and cut."""
    pictures = [opened(name) for name in HARMLESS]
    turned = [picture.rotate(turn) for turn in (0, 90, 180, 270) for picture in pictures]
    turned += [picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for picture in turned]
    turned += [picture.crop((12, 12, 72, 72)).resize((SIDE, SIDE)) for picture in turned]
    return turned[:count]


def with_a_knife(pictures, *places):
    return [opened("kitchen-knife.jpg") if n in places else picture for n, picture in enumerate(pictures)]


def one_shown_long(kind):
    durations = [60_000 if n == 37 else 20 for n in range(50)]
    return animation(with_a_knife(harmless(50), 37), kind, duration=durations, **ENDLESS)


def in_passing():
    """Return a GIF that shows the knife in every third frame, for a tenth of a second that it says is 10 ms."""
    places = range(1, 90, 3)
    durations = [10 if n in places else 80 for n in range(90)]
    return animation(with_a_knife(harmless(90), *places), "GIF", duration=durations, **ENDLESS)


def cut_off():
    data = animation([*harmless(1), opened("kitchen-knife.jpg")], "GIF", duration=[20, 30_000], **ENDLESS)
    return data[:-200]


def drowned():
    """Return a GIF whose third frame is so wide that the picture, were it enlarged, would show a speck."""
    shown = animation(with_a_knife(harmless(2), 1), "GIF", duration=5_000)
    wide = encoded(Image.new("P", (16 * SIDE, SIDE), 0), "GIF")
    return shown[:-1] + wide[wide.index(b",\0\0\0\0") :]


SHOWING_A_KNIFE = {
    "reported.gif": REPORTED.read_bytes,
    **{
        f"long.{kind.lower()}": lambda kind=kind: one_shown_long(kind)
        for kind in ("GIF", "PNG", "WEBP", "AVIF")
    },
    "rests.gif": lambda: animation(with_a_knife(harmless(60), 59), "GIF", duration=20),
    "rests.png": lambda: animation(with_a_knife(harmless(60), 59), "PNG", duration=20, loop=3),
    "default-image.png": lambda: animation(with_a_knife(harmless(40), 0), "PNG", default_image=True),
    "in-passing.gif": in_passing,
    "odd-one-out.webp": lambda: animation(with_a_knife([opened("owl.jpg")] * 60, 41), "WEBP", **ENDLESS),
    "cut-off.gif": cut_off,
    "drowned.gif": drowned,
}


@pytest.fixture
def scanned(moderate, tmp_path):
    """Return a function that judges pictures by name, with the bundled model and policy."""

    def scan(files):
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
        result = moderate("scan", tmp_path, "--json")
        assert result.exit_code == 0
        return {Path(entry["file"]).name: entry for entry in json.loads(result.out)}

    return scan


def test_no_picture_around_the_weapon_is_flagged_by_itself(scanned):
    judged = scanned({f"{n:02}.png": encoded(picture, "PNG") for n, picture in enumerate(harmless(96))})

    assert len(judged) == 96
    assert {name: entry["labels"] for name, entry in judged.items() if entry["labels"]} == {}


@pytest.mark.exhaustive
def test_a_weapon_in_an_animation_is_found_wherever_it_is_shown(scanned):
    judged = scanned({name: make() for name, make in SHOWING_A_KNIFE.items()})

    found = {name: entry["labels"] for name, entry in judged.items()}
    assert found == {name: ["weapons"] for name in SHOWING_A_KNIFE}


def test_a_slide_show_that_eight_frames_do_not_cover_is_reviewed_and_says_so(scanned):
    clips = {
        "slides.gif": animation(harmless(96), "GIF", **ENDLESS),
        "pan.webp": animation(panned(opened("castle.jpg"), 60, 0.3), "WEBP", **ENDLESS),
    }

    judged = scanned(clips)

    slides, pan = judged["slides.gif"], judged["pan.webp"]
    assert (slides["action"], slides["labels"]) == (Action.REVIEW, [])
    assert slides["reason"].endswith("% of the time were looked at")
    assert slides["time_share"] < 0.15
    assert (pan["action"], pan["time_share"]) == (Action.ALLOW, 1)
