"""Decisions made again from what is stored: the bundled model, both databases."""

import json

import pytest
from moderation_client.submission import InlineBytes, Submission
from moderation_demo import PICTURES
from PIL import Image
from sqlalchemy import update
from support.pictures import encoded

from worker import resources
from worker.settings import Settings
from worker.store.engine.database import Database
from worker.store.engine.tables import DecisionRow, EmbeddingRow, LabelScoreRow
from worker.wiring.worker_service import open_service

SKULL = InlineBytes((PICTURES / "skull-and-candle.jpg").read_bytes())
with Image.open(PICTURES / "skull-and-candle.jpg") as skull:
    skull.putalpha(128)
    TRANSPARENT = InlineBytes(encoded(skull, "WEBP"))
ANIMATION = InlineBytes((PICTURES / "animated-hen-house.gif").read_bytes())


def judge(database: Database) -> str:
    """Judge four uploads, two of them with one reference; return the database's URL."""
    url = database.address.url.render_as_string(hide_password=False)
    with open_service(Settings.read(database_url=url, policies=resources.folder("policies"))) as service:
        for submission_id, source, reference in (
            ("skull", SKULL, "post-1"),
            ("hens", ANIMATION, "post-2"),
            ("ghost", TRANSPARENT, "post-3"),
            ("letter", InlineBytes(b"a letter"), "post-2"),
        ):
            service.moderate_image(Submission(submission_id, source, reference=reference))
    return url


@pytest.fixture(scope="module")
def decided(kept_database):
    """Return the URL of a database with decisions, for tests that only read them."""
    return judge(kept_database)


def explained(moderate, database_url, name, exit_code=0):
    result = moderate("explain", name, "--json", database_url=database_url)
    assert result.exit_code == exit_code, result.err
    return json.loads(result.out)


@pytest.mark.parametrize("name", ["skull", "post-1", "hens", "ghost"])
def test_a_decision_comes_out_the_same(moderate, decided, name):
    (explanation,) = explained(moderate, decided, name)
    assert explanation["identical"], explanation["differences"]
    assert len(explanation["scores"]) == 6
    assert [explanation[name] for name in ("parts", "area_share", "time_share")] == [1, 1.0, 1.0]
    assert all({"frame", "on_black", "part"} <= score.keys() for score in explanation["scores"])


def test_people_see_phrases_scores_and_thresholds(moderate, decided):
    result = moderate("explain", "skull", database_url=decided)
    assert "best phrase" in result.out
    assert "recomputed from the policy's text and the stored embedding: identical" in result.out


def test_what_was_not_judged_says_why(moderate, decided):
    (explanation,) = explained(moderate, decided, "letter")
    assert not explanation["identical"]
    assert explanation["obstacle"].startswith("the picture was not judged")


def test_a_record_that_was_changed_is_found_out(moderate, database):
    url = judge(database)
    with database.transaction() as session:
        session.execute(
            update(DecisionRow).where(DecisionRow.submission_id == "skull").values(action="block")
        )
        session.execute(update(LabelScoreRow).where(LabelScoreRow.label == "drugs").values(score=0.99))
    (explanation,) = explained(moderate, url, "skull", exit_code=1)
    assert explanation["differences"][0].startswith("action: recorded block, now ")
    assert any(line.startswith("label drugs: score recorded 0.9900") for line in explanation["differences"])


def test_another_model_or_a_forgotten_embedding_is_said(moderate, database):
    url = judge(database)
    with database.transaction() as session:
        session.execute(EmbeddingRow.__table__.delete())  # type: ignore[attr-defined]
        session.execute(
            update(DecisionRow).where(DecisionRow.submission_id == "hens").values(model_digest="b" * 64)
        )
    (skull,) = explained(moderate, url, "skull")
    assert skull["obstacle"] == "the picture's embedding is no longer kept"
    (hens,) = explained(moderate, url, "hens")
    assert hens["obstacle"].startswith("another model decided: digest bbbbbbbbbbbb")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("post-2", "2 submissions have the reference 'post-2'"),
        ("nobody", "no decision on a submission 'nobody'"),
    ],
)
def test_a_name_that_says_too_little_or_nothing(moderate, decided, name, words):
    result = moderate("explain", name, database_url=decided)
    assert (result.exit_code, result.out) == (2, "")
    assert words in result.err
    assert "hint: " in result.err
