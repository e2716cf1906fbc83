"""What lies at an end of a wide or tall picture is found, and the decision says where."""

import json
import shutil
from pathlib import Path

import pytest
from moderation_demo import PICTURES
from PIL import ExifTags, Image

from worker import resources

BANNER = Path(__file__).parent / "pictures" / "banner-3.6-to-1-knife-at-the-left.jpg"
POLICIES = resources.folder("policies")
TURNED_RIGHT = 6


def with_knife(size, place):
    """Return a plain picture with a knife that is pasted at a place."""
    made = Image.new("RGB", size, (214, 222, 205))
    with Image.open(PICTURES / "kitchen-knife.jpg") as knife:
        made.paste(knife.resize((min(size), min(size))), place)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("wide")
    shutil.copy(BANNER, made / "banner.jpg")
    with_knife((540, 1200), (0, 0)).save(made / "top.png")
    with_knife((540, 1200), (0, 660)).save(made / "bottom.png")
    with_knife((1200, 540), (660, 0)).save(made / "right.jpg")
    Image.new("RGB", (1200, 540), (214, 222, 205)).save(made / "empty.png")
    Image.new("RGB", (8000, 400), (214, 222, 205)).save(made / "strip.png")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = TURNED_RIGHT
    # As stored it lies on its left side: people see the knife upright at the top.
    upright = with_knife((540, 1200), (0, 0))
    upright.transpose(Image.Transpose.ROTATE_90).save(made / "turned.jpg", exif=exif, quality=92)
    return made


def test_a_knife_at_an_end_is_found_and_the_decision_says_where(moderate, folder):
    result = moderate("scan", folder, "--json", policies=POLICIES)
    assert result.exit_code == 0, result.err
    judged = {Path(entry["file"]).name: entry for entry in json.loads(result.out)}

    places = {
        "banner.jpg": "in the 1st of 5 parts from the left",
        "top.png": "in the top part",
        "bottom.png": "in the bottom part",
        "right.jpg": "in the right part",
        "turned.jpg": "in the top part",
    }
    for name, place in places.items():
        assert (judged[name]["labels"], judged[name]["area_share"]) == (["weapons"], 1.0), name
        assert place in judged[name]["reason"], name
        (weapons,) = (score for score in judged[name]["scores"] if score["label"] == "weapons")
        assert weapons["part"] == (2 if name in {"bottom.png", "right.jpg"} else 0), name
    assert (judged["empty.png"]["action"], judged["empty.png"]["parts"]) == ("allow", 3)
    assert (judged["strip.png"]["parts"], judged["strip.png"]["area_share"]) == (6, 0.54)
    assert judged["strip.png"]["reason"].endswith("; 54% of the picture was looked at")


def test_the_contact_sheet_says_which_part_shows_a_label(moderate, folder, tmp_path):
    sheet = tmp_path / "scan.html"
    assert moderate("scan", folder / "top.png", "--html", sheet, policies=POLICIES).exit_code == 0
    assert "the top part" in sheet.read_text(encoding="utf-8")
