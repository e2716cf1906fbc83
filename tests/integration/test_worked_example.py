"""The numbers of docs/explanation/scores.md are those that the bundled model computes."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from worker.domain.moderation.scoring import LabelScore
from worker.policy_files.library import LivePolicy
from worker.resources import demo_folder
from worker.settings import Settings
from worker.usecases.moderation.judge_picture import JudgePicture
from worker.wiring.components import open_decoder, open_encoder
from worker.wiring.policies import open_policy

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "scores.md").read_text(encoding="utf-8")
FIGURE = ET.parse(ROOT / "docs" / "explanation" / "scores.svg")
#: Decoders and processors round differently.
COSINE, SCORE = 0.001, 0.01


class Example:
    """The page's model and policy."""

    def __init__(self, judge: JudgePicture, live: LivePolicy) -> None:
        self.judge, self.live = judge, live
        self.scale = judge.encoder.info.scale

    def cosines(self, picture: str) -> dict[str, float]:
        embedding = self.judge.embed((demo_folder("pictures") / picture).read_bytes()).embedding
        (row,) = self.live.vectors.cosines(embedding)
        return {phrase: float(row[column]) for phrase, column in self.live.vectors.index.items()}

    def scores(self, picture: str) -> dict[str, LabelScore]:
        data = (demo_folder("pictures") / picture).read_bytes()
        return {one.label: one for one in self.judge(self.live, data).decision.scores}


@pytest.fixture(scope="module")
def example() -> Iterator[Example]:
    settings = Settings.read(precision="float32", model="demo", policies=ROOT / "policies")
    with open_encoder(settings) as encoder, open_decoder(settings) as decoder:
        yield Example(JudgePicture(encoder, decoder), open_policy(settings, encoder, "stickers"))


def together(cosines, phrases, scale):
    """Return what some phrases amount to by log-sum-exp, as a cosine."""
    return math.log(sum(math.exp(scale * cosines[phrase]) for phrase in set(phrases))) / scale


def table(heading: str) -> list[list[str]]:
    """Return the cells of the table whose first heading this is, without its two first lines."""
    lines = PAGE[PAGE.index(f"| {heading} |") :].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_has_the_cosines_of_every_phrase(example):
    cells = table("prompts")
    shown = {row[n]: float(row[n + 1]) for row in cells for n in (0, 2, 4)}
    alcohol = example.live.policy.label("alcohol")
    phrases = {*alcohol.prompts, *alcohol.lookalikes, *example.live.policy.background}
    cosines = example.cosines("beer-and-pretzel.jpg")
    assert shown == pytest.approx({phrase: cosines[phrase] for phrase in phrases}, abs=COSINE)


def test_the_beer_mug_scores_as_the_page_says(example):
    scores = example.scores("beer-and-pretzel.jpg")
    assert example.scale == pytest.approx(59.96, abs=0.01)
    assert scores["alcohol"].margin == pytest.approx(0.0607, abs=COSINE)
    assert scores["alcohol"].score == pytest.approx(0.954, abs=SCORE)
    assert (scores["weapons"].score, scores["weapons"].margin) == pytest.approx((0.018, -0.0525), abs=SCORE)


def test_both_sides_together_are_as_the_page_says(example):
    cosines, alcohol = example.cosines("beer-and-pretzel.jpg"), example.live.policy.label("alcohol")
    prompts, others = (
        together(cosines, side, example.scale)
        for side in (alcohol.prompts, example.live.policy.background + alcohol.lookalikes)
    )
    rows = {row[0]: row[1:] for row in table("side")}
    assert prompts == pytest.approx(float(rows["prompts"][1]), abs=COSINE)
    assert others == pytest.approx(float(rows["lookalikes and background"][1]), abs=COSINE)


def test_a_lookalike_does_what_the_page_says(example):
    drugs, cosines = (
        example.scores("pill-and-thermometer.jpg")["drugs"],
        example.cosines("pill-and-thermometer.jpg"),
    )
    assert (drugs.prompt, drugs.background) == ("a pill", "a thermometer")
    assert (drugs.score, drugs.margin) == pytest.approx((0.431, -0.0046), abs=2 * SCORE)
    label, policy = example.live.policy.label("drugs"), example.live.policy
    rest = [phrase for phrase in policy.background + label.lookalikes if phrase != "a thermometer"]
    assert max(rest, key=cosines.__getitem__) == "an ordinary picture"
    assert together(cosines, rest, example.scale) == pytest.approx(0.3822, abs=COSINE)
    without = together(cosines, label.prompts, example.scale) - together(cosines, rest, example.scale)
    assert without == pytest.approx(0.1167, abs=COSINE)
    assert 1 / (1 + math.exp(-example.scale * without)) == pytest.approx(0.999, abs=COSINE)


def test_thresholds_are_the_margins_of_the_table():
    for threshold, margin in ((float(row[0]), float(row[1])) for row in table("threshold")):
        assert math.log(threshold / (1 - threshold)) / 59.96 == pytest.approx(margin, abs=0.0001)


def test_the_figure_shows_numbers_of_the_page():
    shown = [one.text or "" for one in FIGURE.getroot().iter("{http://www.w3.org/2000/svg}text")]
    numbers = {number for text in shown for number in re.findall(r"0\.\d{4}", text)}
    assert numbers
    assert [number for number in numbers if number not in PAGE] == []
