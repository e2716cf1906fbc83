"""The drawn states, kinds and floors of docs/explanation are those of the code, and their causes exist."""

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from sqlalchemy import CheckConstraint

from worker.domain.reviews.review import ReviewKind
from worker.store.engine.tables import OutboxRow, ReviewRow, Row, SubmissionRow
from worker.store.notifications.outbox import EventState
from worker.store.reviews import reviews
from worker.store.submissions.claim_status import ClaimStatus

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "explanation"
FIGURES = sorted(PAGES.glob("*.svg"))
ARCHITECTURE = (PAGES / "architecture.md").read_text(encoding="utf-8")
DELIVERY = (PAGES / "delivery.md").read_text(encoding="utf-8")
#: Layers that are a few small modules beside the packages; the figure leaves them out.
SMALL = {"docgen", "training", "__main__", "printable", "svg", "child_python", "control_groups", "resources"}


def texts(figure: str, role: str) -> list[str]:
    """Return the texts of a figure whose class contains `role`."""
    root = ET.parse(PAGES / figure).getroot()
    found = root.iter("{http://www.w3.org/2000/svg}text")
    return [one.text or "" for one in found if role in one.get("class", "").split()]


def allowed(row: type[Row], column: str) -> set[str]:
    """Return the values that the table's CHECK constraint allows in a column."""
    constraints = (one for one in row.metadata.tables[row.__tablename__].constraints)
    conditions = [str(one.sqltext) for one in constraints if isinstance(one, CheckConstraint)]
    (condition,) = [one for one in conditions if one.startswith(f"{column} IN ")]
    return set(re.findall("'([a-z_]+)'", condition))


def section(page: str, heading: str) -> str:
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    return re.findall(r"^\| *`?([\w-]+)`? *\|", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("figure", "row"),
    [
        ("submission-states.svg", SubmissionRow),
        ("review-states.svg", ReviewRow),
        ("event-states.svg", OutboxRow),
    ],
)
def test_a_figure_shows_the_states_of_the_table_and_no_others(figure, row):
    assert sorted(texts(figure, "state")) == sorted(allowed(row, "state"))


def test_the_code_uses_the_states_of_its_tables():
    assert {reviews.OPEN, reviews.SETTLED, reviews.WITHDRAWN} == allowed(ReviewRow, "state")
    assert {state.value for state in EventState} == allowed(OutboxRow, "state")


@pytest.mark.parametrize(
    ("figure", "page", "heading"),
    [
        ("submission-states.svg", ARCHITECTURE, "States of a submission"),
        ("review-states.svg", ARCHITECTURE, "States of a review"),
        ("event-states.svg", DELIVERY, "Events: the outbox"),
    ],
)
def test_each_drawn_transition_has_a_legend_and_a_cause(figure, page, heading):
    numbers = [int(number) for number in texts(figure, "on")]
    drawn = set(numbers)
    assert drawn == set(range(1, max(drawn) + 1))
    assert all(numbers.count(number) >= 2 for number in drawn), "on an arrow, and in the legend"
    causes = {int(cell) for cell in first_cells(section(page, heading)) if cell.isdigit()}
    assert causes == drawn


@pytest.mark.parametrize("page", [ARCHITECTURE, DELIVERY], ids=["architecture", "delivery"])
def test_the_functions_named_as_causes_exist(page):
    rows = re.findall(r"^\| *\d+ \|.*\| ((?:`.*`).*) \|$", page, re.MULTILINE)
    assert rows
    for row in rows:
        for names, files in re.findall(r"((?:`\w+`(?:, )?)+) in ((?:`[\w/]+\.py`(?:, )?)+)", row):
            paths = [ROOT / "worker" / path for path in re.findall(r"[\w/]+\.py", files)]
            code = "".join(path.read_text(encoding="utf-8") for path in paths)
            missing = [name for name in re.findall(r"\w+", names) if f"def {name}(" not in code]
            assert missing == [], row


def test_the_page_names_every_result_of_a_claim():
    listed = [cell for cell in first_cells(section(ARCHITECTURE, "States of a submission")) if cell.isupper()]
    assert listed == [status.name for status in ClaimStatus]


def test_the_page_names_every_kind_of_review():
    kinds = [kind.value for kind in ReviewKind]
    assert set(kinds) == allowed(ReviewRow, "kind")
    listed = [cell for cell in first_cells(section(ARCHITECTURE, "States of a review")) if cell in kinds]
    assert listed == kinds


def test_the_floors_are_those_that_the_linter_checks():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = [one["layers"] for one in contracts if one["name"] == "Imports go one way"]
    names = [name.strip().removeprefix("worker.") for layer in layers for name in layer.split("|")]
    assert texts("floors.svg", "floor") == [name for name in names if name not in SMALL]


@pytest.mark.parametrize("figure", FIGURES, ids=lambda path: path.name)
def test_a_figure_is_legible_on_a_telephone_and_in_the_dark(figure):
    text = figure.read_text(encoding="utf-8")
    root = ET.fromstring(text)
    assert int(root.get("width")) <= 400, "at 390 px its text would shrink"
    assert min(map(float, re.findall(r"font(?:-size)?: ([0-9.]+)px", text))) >= 12
    assert "prefers-color-scheme: dark" in text
    assert root.find("{http://www.w3.org/2000/svg}title").text
