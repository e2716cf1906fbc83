"""From arrival to outcome with a real ledger, and a judge that fails as it is told to."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select, update
from support.store_records import POLICY, record

from worker.domain.submission import ImageUrl, LocalFile, Submission
from worker.errors import DatabaseUnavailableError, RemoteUnavailableError, UnknownPolicyError
from worker.isolation import Isolation
from worker.store import claims, submissions
from worker.store.column_types import utc_now
from worker.store.tables import SubmissionRow
from worker.usecases import settle_submissions
from worker.usecases.hold_claims import HoldClaims
from worker.usecases.settle_submissions import SettleSubmissions

SIGNED = "https://cdn.example.com/cat.jpg?signature=5ec7e7"
LIVE = SimpleNamespace(policy=POLICY)


class Judge:
    """Stands in for ModerateImage: raises what is set for an id, decides every other."""

    def __init__(self, database):
        self.database, self.errors = database, {}
        self.attempts, self.beside = Counter(), []
        self.given_up, self.quarantined, self.refused = {}, {}, {}
        self._lock, self._inside = threading.Lock(), 0

    def policy_for(self, submission):
        if submission.policy == "unknown":
            raise UnknownPolicyError("no such policy")
        return LIVE

    def __call__(self, submission, live):
        with self._lock:
            self._inside += 1
            self.attempts[submission.id] += 1
            self.beside.append((submission.id, self._inside))
        try:
            if submission.id in self.errors:
                raise self.errors[submission.id]
            return record(self.database, submission, policy=live.policy)
        finally:
            with self._lock:
                self._inside -= 1

    def give_up(self, submission, live, problem):
        self.given_up[submission.id] = problem
        return record(self.database, submission, policy=live.policy)

    def quarantine(self, submission, live, crashes):
        self.quarantined[submission.id] = crashes
        return record(self.database, submission, policy=live.policy)

    def refuse(self, submission_id, error):
        self.refused[submission_id] = error.message


@pytest.fixture
def judge(database):
    return Judge(database)


@pytest.fixture
def hold(database):
    return HoldClaims(database, "this process")


@pytest.fixture
def settle(judge, hold):
    with ThreadPoolExecutor(4) as crew:
        yield SettleSubmissions(judge, hold, Isolation(), crew)


def some(*ids):
    return [Submission(name, LocalFile("cat.jpg")) for name in ids]


def rows(database):
    with database.reading() as session:
        return {row.id: row for row in session.scalars(select(SubmissionRow))}


def let_time_pass(database):
    """Make everything due that is not decided; leases run out."""
    past = utc_now() - timedelta(seconds=1)
    with database.transaction() as session:
        session.execute(
            update(SubmissionRow).where(SubmissionRow.publish_at.is_not(None)).values(publish_at=past)
        )
        session.execute(
            update(SubmissionRow).where(SubmissionRow.claimed_by.is_not(None)).values(claimed_until=past)
        )


def due(database):
    with database.transaction() as session:
        return sorted(one.id for one in submissions.take_due(session, 100))


def test_each_is_settled_once(settle, judge, database):
    settle(some("a", "b", "c"))
    settle(some("c", "a"))
    assert judge.attempts == {"a": 1, "b": 1, "c": 1}
    assert {row.state for row in rows(database).values()} == {"decided"}


def test_what_fails_is_tried_three_times_and_then_the_policys_on_error_decides(settle, judge, database):
    judge.errors = {"a": ZeroDivisionError(f"nobody foresaw {SIGNED}")}
    pauses = []
    for _ in range(2):
        settle(some("a", "b"))
        pauses.append(round((rows(database)["a"].publish_at - datetime.now(UTC)).total_seconds()))
        let_time_pass(database)
        assert due(database) == ["a"]
    assert judge.given_up == {}
    settle(some("a"))
    assert judge.attempts == {"a": 3, "b": 1}
    assert judge.given_up["a"].startswith("judging it failed 3 times: ZeroDivisionError")
    assert "5ec7e7" not in judge.given_up["a"]
    assert [1 <= pauses[0] <= 2, 7 <= pauses[1] <= 8] == [True, True]


def test_a_server_of_somebody_elses_that_is_away_is_not_waited_for_for_ever(settle, judge, database):
    judge.errors = {"a": RemoteUnavailableError("cdn.example.com answered 503")}
    for _ in range(3):
        settle([Submission("a", ImageUrl(SIGNED))])
        let_time_pass(database)
    assert judge.given_up == {"a": "cdn.example.com answered 503, 3 times"}


def test_what_is_away_is_no_attempt_and_the_others_are_settled(settle, judge, database):
    judge.errors = {"b": DatabaseUnavailableError("the database is away")}
    for _ in range(5):
        with pytest.raises(DatabaseUnavailableError):
            settle(some("a", "b", "c"))
    assert judge.attempts == {"a": 1, "b": 5, "c": 1}
    found = rows(database)["b"]
    assert (found.attempts, found.claimed_by, found.state) == (0, None, "accepted")
    judge.errors = {}
    settle(some("a", "b", "c"))
    assert rows(database)["b"].state == "decided"


def test_what_no_policy_can_decide_is_refused_and_stops_no_other(settle, judge):
    settle([Submission("a", LocalFile("cat.jpg"), policy="unknown"), *some("b")])
    assert judge.refused == {"a": "no such policy"}
    assert judge.attempts == {"b": 1}


def test_what_cannot_be_begun_in_time_is_published_for_others_and_is_no_attempt(
    settle, judge, database, monkeypatch
):
    monkeypatch.setattr(settle_submissions, "BEGIN_SECONDS", 0)
    settle(some("a", "b"))
    assert judge.attempts == {}
    assert due(database) == ["a", "b"]
    assert {row.attempts for row in rows(database).values()} == {0}


def test_what_another_worker_has_in_hand_is_left_to_it(settle, judge, database):
    HoldClaims(database, "another").take([(one, LIVE) for one in some("a")])
    settle(some("a", "b"))
    assert judge.attempts == {"b": 1}


def test_a_suspect_is_judged_alone_and_its_neighbours_together(settle, judge, database):
    HoldClaims(database, "another").take([(one, LIVE) for one in some("suspect")])
    let_time_pass(database)
    with ThreadPoolExecutor(4) as messages:
        batches = [some("suspect"), *(some(*(f"{n}-{m}" for m in range(8))) for n in range(3))]
        list(messages.map(settle, batches))
    assert ("suspect", 1) in judge.beside
    assert len(judge.attempts) == 25
    assert {row.state for row in rows(database).values()} == {"decided"}
    assert rows(database)["suspect"].crashes == 1


def test_after_three_deaths_a_person_looks_and_nobody_judges(settle, judge, database):
    hold = HoldClaims(database, "dies")
    for _ in range(claims.MAX_CRASHES):
        hold.take([(one, LIVE) for one in some("a")], alone=True)
        let_time_pass(database)
    settle(some("a"))
    assert (judge.quarantined, judge.attempts) == ({"a": 3}, {})


def test_what_could_not_be_let_go_is_let_go_when_the_database_is_back(hold, database, monkeypatch):
    hold.take([(one, LIVE) for one in some("a")])

    def away():
        raise DatabaseUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(hold, "_database", SimpleNamespace(transaction=away))
        hold.release("a", again_in=timedelta(seconds=5), counts=False)
    assert rows(database)["a"].claimed_by == "this process"
    hold.renew()
    assert (rows(database)["a"].claimed_by, rows(database)["a"].attempts) == (None, 0)


def test_only_what_is_in_hand_is_renewed(hold, settle, database):
    hold.take([(one, LIVE) for one in some("a", "b")])
    settle.claims.settled("a")
    let_time_pass(database)
    hold.renew()
    alive = {name for name, row in rows(database).items() if row.claimed_until > utc_now()}
    assert alive == {"b"}


def test_another_picture_under_the_same_id_is_never_judged(settle, judge):
    settle(some("a"))
    settle([replace(some("a")[0], source=LocalFile("dog.jpg"))])
    assert judge.attempts == {"a": 1}
