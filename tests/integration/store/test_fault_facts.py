"""What the fault suite's oracle reads from a database: a loss, a double and a claim left behind are seen there."""

import pytest
from faults.oracle import Expectation, examine, read_facts
from sqlalchemy import update
from support.store_records import OTHER_VERSION, record, submission

from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import SubmissionRow
from worker.store.notifications import outbox
from worker.store.submissions import accepting

PROMISED = ["load.plain.0", "load.plain.1"]


@pytest.fixture
def look(database):
    """Return what the oracle finds about the submissions of one load."""

    def findings(**expected):
        with database.reading() as session:
            facts = read_facts(session, "load.", PROMISED, queued=0, unacknowledged=0)
        return examine(facts, Expectation(**expected))

    return findings


@pytest.fixture
def decision_ids(database):
    made = [record(database, submission(one)) for one in PROMISED]
    # Another load's, which is none of this one's business.
    record(database, submission("other.plain.0"))
    return made


def test_all_is_well(look, decision_ids):
    assert look().hold


def test_a_loss_is_seen(look):
    assert look().lost == PROMISED


def test_what_is_accepted_and_undecided_is_lost(database, look, decision_ids):
    with database.transaction() as session:
        accepting.accept(session, submission("load.plain.2"), None, {"kind": "file", "path": "upload.png"})
    assert look().lost == ["load.plain.2"]


def test_a_second_decision_is_seen(database, look, decision_ids):
    with database.transaction() as session:
        asked = {"publish_at": utc_now(), "policy_digest": OTHER_VERSION.digest}
        session.execute(update(SubmissionRow).where(SubmissionRow.id == PROMISED[0]).values(**asked))
    assert record(database, submission(PROMISED[0]), policy=OTHER_VERSION) is not None
    assert look().doubled == [PROMISED[0]]


def test_what_the_platform_is_told_is_counted(database, look, decision_ids):
    assert str(look(notifies=True)) == f"stuck: decided, but without an event: {', '.join(PROMISED)}"
    for times in (1, 2):
        with database.transaction() as session:
            for one, decision_id in zip(PROMISED, decision_ids, strict=True):
                callback = {"url": "https://platform.example/"}
                outbox.add(
                    session,
                    [
                        outbox.News(
                            outbox.DECISION_MADE,
                            submission_id=one,
                            decision_id=decision_id,
                            callback=callback,
                        )
                    ],
                )
        assert look(notifies=True).hold == (times == 1)
    assert look(notifies=True).doubled == PROMISED


def test_a_claim_that_is_left_behind_is_seen(database, look, decision_ids):
    with database.transaction() as session:
        session.execute(
            update(SubmissionRow).where(SubmissionRow.id == PROMISED[1]).values(claimed_by="host:1:1")
        )
    assert str(look()) == f"stuck: still claimed: {PROMISED[1]}"
