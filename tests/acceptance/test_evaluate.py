"""`moderate evaluate`: a policy is measured on labelled pictures, and what is wrong with those is said."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
from moderation_demo import PICTURES
from support.browser import barriers, running_chromium

from worker import resources

POLICIES = resources.folder("policies")
HOSTILE = b"a\nforged line\x1b[2J caf\xe9.jpg"


@pytest.fixture
def table(tmp_path):
    """Return a CSV of the sample pictures, by two artists."""
    file = tmp_path / "labels.csv"
    with (PICTURES / "contents.csv").open(newline="", encoding="utf-8") as contents, file.open("w") as out:
        written = csv.writer(out)
        written.writerow(["file", "what", "artist"])
        for row in csv.DictReader(contents):
            artist = "ann" if row["file"] < "d" else "bob"
            written.writerow([PICTURES / row["file"], row["labels"].replace(" ", "|"), artist])
    return file


def test_a_table_gives_figures_for_programs_and_a_page_for_people(moderate, table, tmp_path):
    page = tmp_path / "report.html"
    options = ("--labels-column", "what", "--policy", POLICIES / "stickers.yaml", "--rename", "gambling=safe")
    result = moderate("evaluate", table, *options, "--json", "--html", page)
    assert result.exit_code == 0, result.err
    figures = json.loads(result.out)
    assert figures["policy"]["name"] == "stickers"
    weapons = figures["labels"][0]
    assert (weapons["label"], weapons["review"]["threshold"]) == ("weapons", 0.5)
    assert weapons["pictures"] == weapons["review"]["hits"] + weapons["review"]["missed"] > 3
    assert weapons["average_precision"]["share"] > 0.9
    assert weapons["review"]["recall"]["low"] < weapons["review"]["recall"]["share"]
    assert [one["most_false_positives"] for one in weapons["suggested"]] == [0.01, 0.05]
    assert {(one["column"], one["value"]) for one in figures["slices"]} == {
        ("artist", "ann"),
        ("artist", "bob"),
    }
    # What the demo's contents call undecodable is no label of the policy.
    assert {one["defect"] for one in figures["left_out"]} == {"unknown label"}
    assert '"undecodable"' in figures["notes"][0]
    with running_chromium() as browser:
        assert faults(browser, page) == []
        opened = browser.new_page(viewport={"width": 1440, "height": 1000})
        opened.goto(page.as_uri())
        assert opened.locator("section.label").count() == len(figures["labels"])
        assert opened.locator("section.label svg").count() == 2 * len(figures["labels"])
        mistakes = sum(len(one["missed"]) + len(one["false_positives"]) for one in figures["labels"])
        assert opened.locator("section.label img").count() == mistakes > 0
        assert opened.locator("table.slices").count() == 2


def faults(browser, page: Path) -> list[str]:
    """Return what is wrong with a page on a phone in light, and on a screen in dark."""
    found = []
    for width, scheme in ((390, "light"), (1440, "dark")):
        opened = browser.new_page(viewport={"width": width, "height": 1000}, color_scheme=scheme)
        opened.goto(page.as_uri())
        wide = opened.evaluate("document.documentElement.scrollWidth")
        found += barriers(opened) + ([f"{wide} pixels in a window of {width}"] if wide > width else [])
        opened.close()
    return found


def test_a_folder_gives_tables_and_names_what_it_leaves_out(moderate, tmp_path):
    for name in ("crossed-swords.webp", "kitchen-knife.jpg", "pizza.jpg", "owl.jpg", "empty.png"):
        folder = "weapons" if name in {"crossed-swords.webp", "kitchen-knife.jpg"} else "safe"
        (tmp_path / "mine" / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(PICTURES / name, tmp_path / "mine" / folder / name)
    shutil.copy(PICTURES / "not-a-picture.jpg", tmp_path / "mine" / "safe" / os.fsdecode(HOSTILE))
    result = moderate("evaluate", tmp_path / "mine", "--policy", "stickers", policies=POLICIES)
    assert result.exit_code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0] == "2 of 2 harmful pictures are not allowed; 0 of 2 harmless ones are flagged."
    row = next(line for line in lines if line.startswith("weapons (review 0.5)"))
    assert "100% (16% to 100%)" in row
    (left_out,) = [line for line in lines if line.startswith("left out: ")]
    assert left_out.startswith(
        "left out: 2 not judged: safe/a\\nforged line\\x1b[2J caf\\udce9.jpg (not judged, "
    )
    assert "safe/empty.png (not judged, " in left_out
    assert any(line.startswith("No picture shows explosives") for line in lines)
    assert "\x1b" not in result.out


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--rename", "none"], "--rename none: write NAME=LABEL"),
        (["--rename", "pizza=food"], '"food" is no label of the policy stickers'),
        (["--html", "/no/such/folder/report.html"], "there is no folder /no/such/folder"),
        (["--policy", "sticker"], 'there is no policy "sticker"'),
        (["--labels-column", "category"], 'has no column "category"'),
    ],
)
def test_wrong_usage_is_said_before_the_model_is_loaded(moderate, table, options, complaint):
    settings = {"policies": POLICIES, "policy": "stickers", "model": "/no/such/model"}
    result = moderate("evaluate", table, "--labels-column", "what", *options, **settings)
    assert (result.exit_code, result.out) == (2, "")
    assert complaint in result.err
    assert "hint: " in result.err or "--html" in options


def test_pictures_that_cannot_be_judged_measure_nothing(moderate, tmp_path):
    (tmp_path / "safe").mkdir()
    shutil.copy(PICTURES / "empty.png", tmp_path / "safe")
    result = moderate("evaluate", tmp_path, "--policy", "stickers", policies=POLICIES)
    assert result.exit_code == 2
    assert "none of the 1 labelled files" in result.err
