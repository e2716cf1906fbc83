"""Suggestions come from each picture once, with the verdict in force and the weight of the audit's draw."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy import update
from support.uploads_of_knives import POLICY, UPLOADS, fill

from worker.domain.evaluation.suggesting.sample import FALSE, RIGHT, UNKNOWN
from worker.domain.evaluation.suggesting.suggestions import Edit, Place
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ReviewKind
from worker.errors import UsageError
from worker.settings import Settings
from worker.store.decisions import decisions
from worker.store.engine.tables import DecisionRow
from worker.store.operations import archive
from worker.store.operations.archive import Span
from worker.store.reviews import reviews, verdicts
from worker.usecases.policies.suggesting import sampling
from worker.usecases.policies.suggesting.sampling import Sampling
from worker.usecases.policies.suggesting.suggest_changes import SuggestChanges
from worker.wiring.components import open_encoder

MODEL = "c" * 64
LONG_AGO = Span(datetime(2020, 1, 1, tzinfo=UTC), POLICY.name)
NOUNS = ("a cat", "scissors", "a mountain")


@pytest.fixture(scope="module")
def encoder():
    with open_encoder(Settings.read()) as opened:
        yield opened


def silent(_done, _total):
    pass


def suggested(database, encoder, policy=POLICY, **settings):
    return SuggestChanges(encoder, MODEL, database, NOUNS, **settings)(policy, LONG_AGO, 10, silent)


def sampled(database, most=1000):
    with database.reading() as session:
        drawing = Sampling(session, most)
        for chunk in archive.stream(session, LONG_AGO, MODEL):
            drawing.take(chunk)
        return drawing.sample(POLICY)


def say(session, submission_id, labels, **details):
    """Record a verdict on a submission's decision, and return the decision's id."""
    (decision,) = decisions.of_submissions(session, [submission_id])
    verdict = verdicts.Verdict(submission_id, Action.BLOCK, frozenset(labels), **details)
    verdicts.record(session, verdict, decision_id=decision.id, reviewer="bob")
    return decision.id


def test_the_phrase_that_the_model_confuses_is_suggested(emptied_database, encoder):
    fill(emptied_database, encoder, MODEL)
    everything = suggested(emptied_database, encoder)
    found = everything.found
    assert (everything.looked_at, everything.pictures) == (110, 110)
    assert (found.judged, found.false, found.right) == (80, 40, 40)
    (change,) = found.changes
    assert change.edit == Edit(Place.LOOKALIKES, "scissors", "weapons")
    assert (change.effect.false_gone, change.effect.right_gone) == (change.effect.false, 0)
    assert all(name.startswith("scissors") for name in change.examples)


def test_verdicts_count_as_they_are_in_force_and_weigh_what_they_stand_for(emptied_database, encoder):
    fill(emptied_database, encoder, MODEL)
    with emptied_database.transaction() as session:
        # A later verdict, one about other bytes, and one on an upload that the audit drew.
        say(session, "knife-0", ())
        say(session, "cat-0", {"weapons"}, picture_seen=False)
        decision_id = say(session, "cat-1", {"weapons"})
        reviews.ask(session, decision_id, ReviewKind.AUDIT, reviews.PlaceInQueue("default", 1.0, None))
        session.execute(
            update(DecisionRow).where(DecisionRow.id == decision_id).values(audit_probability=0.02)
        )
    sample = sampled(emptied_database)
    truth = dict(zip(sample.submission_ids, sample.truth[:, 0].tolist(), strict=True))
    weights = dict(zip(sample.submission_ids, sample.weights.tolist(), strict=True))
    assert (truth["knife-0"], truth["knife-1"]) == (FALSE, RIGHT)
    assert (truth["cat-0"], truth["cat-1"]) == (UNKNOWN, RIGHT)
    assert (weights["knife-1"], weights["cat-1"]) == (1.0, pytest.approx(50))


def test_the_sample_is_the_same_however_the_archive_is_cut_and_has_all_verdicts(
    sqlite_database, encoder, monkeypatch
):
    fill(sqlite_database, encoder, MODEL)
    samples = []
    for size in (1, 7, 1000):
        monkeypatch.setattr(archive, "CHUNK", size)
        samples.append(sampled(sqlite_database, most=15))
    assert samples[0].sha256s == samples[1].sha256s == samples[2].sha256s
    assert {int(sample.drawn.sum()) for sample in samples} == {15}
    monkeypatch.setattr(sampling, "MOST_VIEWS", 15)
    assert sampled(sqlite_database).sha256s == samples[0].sha256s
    for sample in samples:
        assert int(sample.has_verdict.sum()) == 80
        np.testing.assert_array_equal(sample.vectors, samples[0].vectors)


def test_too_few_pictures_and_another_model_are_said_to_be_so(sqlite_database, encoder):
    fill(sqlite_database, encoder, MODEL, most=3)
    few = suggested(sqlite_database, encoder)
    assert (few.found, few.pictures) == (None, 3 * len(UPLOADS))
    other = SuggestChanges(encoder, "d" * 64, sqlite_database, NOUNS)(POLICY, LONG_AGO, 10, silent)
    assert (other.found, other.looked_at, other.of_other_models) == (None, 0, 3 * len(UPLOADS))


def test_a_policy_without_labels_has_nothing_to_suggest(sqlite_database, encoder):
    with pytest.raises(UsageError, match="has no labels"):
        suggested(sqlite_database, encoder, replace(POLICY, labels=()))
