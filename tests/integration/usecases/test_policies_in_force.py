"""What a policy in force does beside judging: hourly limits, the audit, shadows; on both databases."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier

import numpy as np
import pytest
from moderation_client.submission import InlineBytes, LocalFile, Submission
from sqlalchemy import select, update
from support.pictures import drawing, encoded

from worker.domain.reviews.audit import is_drawn
from worker.encoder.phrases import encode_phrases
from worker.observability.metrics import Metrics
from worker.policy_files import library as library_module
from worker.policy_files.library import PolicyLibrary, Prepared
from worker.settings import Settings
from worker.store.engine.tables import (
    DecisionRow,
    LabelScoreRow,
    PolicyVersionRow,
    ReviewRow,
    ShadowDecisionRow,
)
from worker.usecases.moderation.judge_picture import JudgePicture
from worker.usecases.moderation.moderate_image import ModerateImage
from worker.usecases.moderation.recall_embeddings import RecallEmbeddings
from worker.usecases.moderation.record_decisions import RecordDecisions
from worker.wiring.components import image_reader, open_decoder, open_encoder

PICTURE = InlineBytes(encoded(drawing(), "PNG"))
#: Every picture reaches a threshold of 0, and none can pass one of 1 by much less than certainty.
BLOCKS_ALL = "labels: {anything: {prompts: [a sticker], review: 0.000001, block: 0.000001}}\n"
ALLOWS_ALL = "labels: {anything: {prompts: [a sticker], lookalikes: [an ordinary picture], review: 1}}\n"
REVIEWS_ALL = "labels: {anything: {prompts: [a sticker], review: 0.000001}}\n"
LIMIT = 3


@pytest.fixture(scope="module")
def encoder():
    with open_encoder(Settings.read()) as opened:
        yield opened


class CountingEncoder:
    """The bundled model, with its passes counted."""

    def __init__(self, encoder):
        self._encoder = encoder
        self.pictures = self.texts = 0

    def __getattr__(self, name):
        return getattr(self._encoder, name)

    def encode_images(self, images):
        self.pictures += len(images)
        return self._encoder.encode_images(images)

    def encode_texts(self, texts):
        self.texts += len(texts)
        return self._encoder.encode_texts(texts)


@pytest.fixture(scope="module")
def decoder():
    with open_decoder(Settings.read(decoder_processes=1)) as opened:
        yield opened


@pytest.fixture
def counting(encoder):
    return CountingEncoder(encoder)


@pytest.fixture
def put_in_force(counting, decoder, database, tmp_path, monkeypatch):
    """Write policy files, and return what moderates by them; "posts" decides for all that name none."""
    monkeypatch.setattr(library_module, "SETTLE_SECONDS", 0)

    def prepare(policy, _file, _text):
        return Prepared(policy, encode_phrases(counting, list(policy.phrases()), policy.templates))

    def moderate_by(**policies):
        for name, text in policies.items():
            head = f"name: {name}\nbackground: [an ordinary picture]\n"
            (tmp_path / f"{name}.yaml").write_text(head + text, encoding="utf-8")
        library = PolicyLibrary(tmp_path, prepare, default="posts")
        library.load()
        reader = image_reader(Settings.read(media_root=tmp_path))
        judge = JudgePicture(counting, decoder)
        recall, record = RecallEmbeddings(database, judge), RecordDecisions(database, judge)
        return ModerateImage(library, "posts", reader, judge, database, Metrics(), recall, record)

    return moderate_by


def uploads(count, prefix="upload"):
    return [Submission(f"{prefix}-{n}", PICTURE) for n in range(count)]


def rows(database, table):
    with database.reading() as session:
        return session.scalars(select(table).order_by(table.id)).all()


def actions(database):
    return sorted(row.action for row in rows(database, DecisionRow))


def counted(moderate, action):
    """Return the labels under which decisions on `posts` are counted."""
    return {
        "policy": "posts",
        "version": moderate.policies.current("posts").policy.digest[:12],
        "action": action,
    }


def test_the_hourly_limit_is_exact_when_eight_blocks_come_at_once(put_in_force, database):
    moderate = put_in_force(posts=f"{BLOCKS_ALL}limits: {{automatic_blocks_per_hour: {LIMIT}}}\n")
    barrier = Barrier(8)

    def upload(submission):
        barrier.wait()
        return moderate(submission)

    with ThreadPoolExecutor(8) as pool:
        assert None not in pool.map(upload, uploads(8))
    assert actions(database) == ["block"] * LIMIT + ["review"] * (8 - LIMIT)
    held_back = [row for row in rows(database, DecisionRow) if row.held_back]
    assert len(held_back) == 8 - LIMIT
    for row in held_back:
        assert row.action == "review"
        assert row.reason.endswith("; not blocked at once: the limit of 3 an hour is reached")
        assert row.labels == ["anything"]
    assert {row.decision_id for row in rows(database, ReviewRow)} == {row.id for row in held_back}
    count = moderate.metrics.registry.get_sample_value
    assert count("moderation_blocks_held_back_total", {"policy": "posts"}) == 8 - LIMIT
    assert count("moderation_decisions_total", counted(moderate, "block")) == LIMIT


def test_the_limit_counts_the_blocks_of_that_policy_within_the_hour(put_in_force, database):
    limit = f"limits: {{automatic_blocks_per_hour: {LIMIT}}}\n"
    moderate = put_in_force(posts=BLOCKS_ALL + limit, avatars=BLOCKS_ALL)
    for submission in uploads(5, "avatar"):
        moderate(replace(submission, policy="avatars"))
    assert actions(database) == ["block"] * 5
    for submission in uploads(4):
        moderate(submission)
    assert actions(database) == ["block"] * (5 + LIMIT) + ["review"]
    an_hour_ago = datetime.now(UTC) - timedelta(minutes=61)
    with database.transaction() as session:
        first = select(DecisionRow.id).where(DecisionRow.submission_id == "upload-0")
        session.execute(update(DecisionRow).where(DecisionRow.id.in_(first)).values(created_at=an_hour_ago))
    for submission in uploads(2, "later"):
        moderate(submission)
    later = {row.submission_id: row.action for row in rows(database, DecisionRow)}
    assert (later["later-0"], later["later-1"]) == ("block", "review")


def test_the_audit_draws_exactly_the_submissions_that_it_says(put_in_force, database):
    moderate = put_in_force(posts=f"{ALLOWS_ALL}audit: {{share_of_allowed: 0.25}}\n")
    for submission in uploads(40):
        moderate(submission)
    decided = {row.id: row for row in rows(database, DecisionRow)}
    assert {row.action for row in decided.values()} == {"allow"}
    assert {row.audit_probability for row in decided.values()} == {0.25}
    reviews = rows(database, ReviewRow)
    assert {(row.kind, row.state) for row in reviews} == {("audit", "open")}
    drawn = {s.id for s in uploads(40) if is_drawn("posts", s.id, 0.25)}
    assert 0 < len(drawn) < 40
    assert {decided[row.decision_id].submission_id for row in reviews} == drawn


def test_without_an_audit_nothing_is_drawn_and_no_chance_noted(put_in_force, database):
    moderate = put_in_force(posts=ALLOWS_ALL)
    for submission in uploads(5):
        moderate(submission)
    assert rows(database, ReviewRow) == []
    assert {row.audit_probability for row in rows(database, DecisionRow)} == {None}


def test_shadows_judge_by_the_same_embedding_and_decide_nothing(put_in_force, counting, database):
    strict, kind = BLOCKS_ALL + "shadow: true\n", REVIEWS_ALL + "shadow: true\n"
    moderate = put_in_force(posts=ALLOWS_ALL, strict=strict, kind=kind)
    texts = counting.texts
    for submission in [*uploads(3), *uploads(3)]:
        moderate(submission)
    assert (counting.pictures, counting.texts) == (1, texts)
    assert actions(database) == ["allow"] * 3
    assert rows(database, ReviewRow) == []
    found = rows(database, ShadowDecisionRow)
    assert sorted((row.submission_id, row.policy, row.action) for row in found) == [
        (f"upload-{n}", name, action)
        for n in range(3)
        for name, action in (("kind", "review"), ("strict", "block"))
    ]
    decided = {row.id: row for row in rows(database, DecisionRow)}
    assert all(decided[row.decision_id].submission_id == row.submission_id for row in found)
    assert {(tuple(row.labels), row.severity) for row in found} == {(("anything",), 3)}
    assert all(row.reason.startswith("anything ") for row in found)
    with database.reading() as session:
        kept = dict(session.execute(select(PolicyVersionRow.name, PolicyVersionRow.text)).all())
        scored = session.scalars(select(LabelScoreRow.decision_id)).all()
    assert strict in kept["strict"]
    assert len(scored) == 3
    count = moderate.metrics.registry.get_sample_value
    assert count("moderation_shadow_decisions_total", {"policy": "strict", "action": "block"}) == 3
    assert count("moderation_decisions_total", counted(moderate, "allow")) == 3


def test_a_shadow_spends_nothing_of_any_limit(put_in_force, database):
    moderate = put_in_force(
        posts=f"{BLOCKS_ALL}limits: {{automatic_blocks_per_hour: 2}}\n", strict=BLOCKS_ALL + "shadow: true\n"
    )
    for submission in uploads(2):
        moderate(submission)
    assert actions(database) == ["block", "block"]


def test_a_shadow_that_fails_is_logged_and_the_decision_made(put_in_force, database, caplog):
    moderate = put_in_force(
        posts=ALLOWS_ALL, bad=BLOCKS_ALL + "shadow: true\n", good=REVIEWS_ALL + "shadow: true\n"
    )
    shadow = moderate.policies.shadows[0]
    shadow.vectors.matrix[:] = np.nan
    with caplog.at_level(logging.ERROR):
        moderate(uploads(1)[0])
    assert actions(database) == ["allow"]
    assert [row.policy for row in rows(database, ShadowDecisionRow)] == ["good"]
    assert "shadow policy bad failed" in caplog.text


def test_what_has_no_embedding_is_nothing_to_a_shadow(put_in_force, database):
    moderate = put_in_force(posts=ALLOWS_ALL, strict=BLOCKS_ALL + "shadow: true\n")
    moderate(Submission("letter", InlineBytes(b"Dear moderators")))
    moderate(Submission("missing", LocalFile("missing.png")))
    moderate.give_up(Submission("strange", PICTURE), "the sky fell")
    assert actions(database) == ["review"] * 3
    assert rows(database, ShadowDecisionRow) == []


def test_a_shadow_sees_pictures_whose_embedding_is_stored(put_in_force, counting, database, tmp_path):
    moderate = put_in_force(posts=ALLOWS_ALL)
    moderate(uploads(1)[0])
    pictures = counting.pictures
    head = "name: strict\nbackground: [an ordinary picture]\n"
    (tmp_path / "strict.yaml").write_text(head + BLOCKS_ALL + "shadow: true\n", encoding="utf-8")
    moderate.policies.refresh()
    moderate(uploads(1, "again")[0])
    assert counting.pictures == pictures
    assert [row.submission_id for row in rows(database, ShadowDecisionRow)] == ["again-0"]


def test_a_version_costs_the_text_tower_once_whatever_the_jobs(put_in_force, counting, tmp_path):
    moderate = put_in_force(posts=ALLOWS_ALL)
    texts = counting.texts
    for submission in uploads(5):
        moderate(submission)
    assert counting.texts == texts
    head = "name: posts\nbackground: [an ordinary picture]\n"
    (tmp_path / "posts.yaml").write_text(head + REVIEWS_ALL, encoding="utf-8")
    moderate.policies.refresh()
    in_between = counting.texts
    assert in_between > texts
    for submission in uploads(5, "later"):
        moderate(submission)
    assert counting.texts == in_between
