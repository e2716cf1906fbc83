"""Comparing and hunting cost the same memory and the same statements however large the archive is."""

import weakref
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import numpy as np
import pytest
from moderation_client.submission import LocalFile, Submission
from sqlalchemy import select
from support.decided_submission import add_decided
from support.statements import statements

from worker.domain.moderation.decision import Decision
from worker.domain.moderation.picture import PictureFacts
from worker.domain.policies.policy import Action, Label, Policy
from worker.settings import Settings
from worker.store.engine.tables import VerdictRow
from worker.store.operations import archive
from worker.store.operations.archive import Span
from worker.store.policies import policy_versions
from worker.store.reviews import verdicts
from worker.usecases.learning.load_learned import LoadLearned
from worker.usecases.policies.compare_policies import ComparePolicies
from worker.usecases.policies.hunt_phrase import HuntPhrase
from worker.wiring.components import open_encoder

MODEL = "c" * 64
CHUNK = 10
LONG_AGO = Span(datetime(2020, 1, 1, tzinfo=UTC))
OLD = Policy("p", ("an everyday scene", "an animal"), (Label("weapons", ("a pistol",)),))
NEW = replace(OLD, labels=(*OLD.labels, Label("drinks", ("a cup of tea",), block=0.6)))


@pytest.fixture(scope="module")
def encoder():
    with open_encoder(Settings.read()) as opened:
        yield opened


@pytest.fixture
def alive(monkeypatch):
    """Return a list that grows with each chunk by the number of chunks then alive."""
    monkeypatch.setattr(archive, "CHUNK", CHUNK)
    stream, living, counts = archive.stream, set(), []

    def note(chunk):
        living.add(id(chunk))
        weakref.finalize(chunk, living.discard, id(chunk))
        counts.append(len(living))
        return chunk

    monkeypatch.setattr(archive, "stream", lambda *arguments: map(note, stream(*arguments)))
    return counts


def fill(database, encoder, count, verdicts_on=0):
    """Record decisions about random vectors, every third picture twice."""
    random = np.random.default_rng(1)
    with database.transaction() as session:
        policy_versions.keep(session, [(OLD, "name: p\n")])
        for n in range(count):
            picture = sha256(b"%d" % (n if n % 3 else 0)).hexdigest()
            what = Submission(f"upload-{n:03}", LocalFile("x.png"))
            facts = PictureFacts(picture, "PNG", 64, 64, frames=2)
            vectors = random.normal(size=(2, encoder.info.dimension))
            allow = Decision(Action.ALLOW, "nothing")
            decision_id = add_decided(
                session, what, OLD, allow, facts=facts, vectors=vectors, text="name: p\n", model_digest=MODEL
            )
            if n < verdicts_on:
                verdict = verdicts.Verdict(what.id, Action.BLOCK, frozenset({"drinks"}))
                verdicts.record(session, verdict, decision_id=decision_id, reviewer="ada")


def nobody(_done, _total):
    pass


def planned(database):
    """Return how many statements choose the plan: on PostgreSQL a count, up to what is looked up by indexes."""
    return 1 if database.address.file is None else 0


def test_comparing_takes_four_statements_and_one_more_for_each_chunk_with_verdicts(database, encoder, alive):
    fill(database, encoder, 45, verdicts_on=15)
    compare = ComparePolicies(encoder, MODEL, database, LoadLearned(database, MODEL))
    with statements(database) as seen:
        found = compare(OLD, NEW, LONG_AGO, nobody, kept=5)
    assert (found.tally.pictures, found.tally.verdicts) == (45, 15)
    assert alive == [1] * 5
    about_verdicts = [statement for statement in seen if "verdicts.labels" in statement]
    assert len(about_verdicts) <= 2
    assert len(seen) - len(about_verdicts) == 4 + planned(database)


def test_hunting_takes_three_statements(database, encoder, alive):
    fill(database, encoder, 45)
    with statements(database) as seen:
        found = HuntPhrase(encoder, MODEL, database)("a cup of tea", OLD, LONG_AGO, 5, nobody)
    assert found.looked_at == 45
    assert alive == [1] * 5
    assert len(seen) == 3 + planned(database)


def test_the_best_are_those_of_the_whole_archive_however_it_is_cut(sqlite_database, encoder, monkeypatch):
    fill(sqlite_database, encoder, 45)
    hunt, found = HuntPhrase(encoder, MODEL, sqlite_database), []
    for size in (1, 7, 100):
        monkeypatch.setattr(archive, "CHUNK", size)
        found.append(hunt("a cup of tea", OLD, LONG_AGO, 5, nobody).sightings)
    assert [seen.sha256 for seen in found[0]] == [seen.sha256 for seen in found[2]]
    assert [seen.uploads for seen in found[1]] == [seen.uploads for seen in found[2]]
    all_of_them = hunt("a cup of tea", OLD, LONG_AGO, 100, nobody).sightings
    assert all_of_them[:5] == found[2]
    assert sorted(seen.uploads for seen in all_of_them) == [1] * 30 + [15]


def test_the_flips_told_are_the_largest_however_the_archive_is_cut(sqlite_database, encoder, monkeypatch):
    fill(sqlite_database, encoder, 45)
    compare, told = ComparePolicies(encoder, MODEL, sqlite_database, LoadLearned(sqlite_database, MODEL)), []
    flooding = replace(NEW, labels=(*OLD.labels, Label("drinks", ("a cup of tea",), review=0.0, block=0.5)))
    for size in (1, 7, 100):
        monkeypatch.setattr(archive, "CHUNK", size)
        found = compare(OLD, flooding, LONG_AGO, nobody, kept=4)
        assert found.tally.changed == 45
        told.append([flip.new.scores[-1].score for flip in found.flips])
    everything = [flip.new.scores[-1].score for flip in compare(OLD, flooding, LONG_AGO, nobody).flips]
    assert len(everything) == 45
    for part in told:
        assert part == pytest.approx(everything[:4], abs=1e-5)


def test_progress_is_told_up_to_all_there_are(sqlite_database, encoder, monkeypatch):
    monkeypatch.setattr(archive, "CHUNK", CHUNK)
    fill(sqlite_database, encoder, 25)
    seen = []
    ComparePolicies(encoder, MODEL, sqlite_database, LoadLearned(sqlite_database, MODEL))(
        OLD, NEW, LONG_AGO, lambda *told: seen.append(told)
    )
    assert seen == [(10, 25), (20, 25), (25, 25)]


def test_verdicts_undone_meanwhile_count_as_they_did_when_the_comparison_began(database, encoder, alive):
    fill(database, encoder, 45, verdicts_on=45)

    def undo(done: int, _total: int) -> None:
        if done > CHUNK:
            return
        with database.transaction() as session:
            for verdict_id in session.scalars(select(VerdictRow.id)):
                verdicts.reverse(session, verdict_id, reviewer="ada", action=Action.ALLOW, reason="")

    compare = ComparePolicies(encoder, MODEL, database, LoadLearned(database, MODEL))
    assert compare(OLD, NEW, LONG_AGO, undo).tally.verdicts == 45
    assert len(alive) == 5
    assert compare(OLD, NEW, LONG_AGO, nobody).tally.verdicts == 0
