"""What becomes of a message's submissions, with a judge that fails as it is told to: on both databases."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import count
from types import SimpleNamespace

import pytest
from moderation_client.callback import WebhookCallback
from moderation_client.submission import ImageUrl, LocalFile, Submission
from sqlalchemy import ColumnDefault, select, update
from support.broken_rows import break_rows, mend_rows
from support.decided_submission import add_decided
from support.statements import statements

from worker.concurrency.batching import in_halves
from worker.concurrency.shared_lock import SharedLock
from worker.domain.moderation.decision import Decision
from worker.domain.policies.policy import Action, Label, Policy
from worker.errors import (
    DatabaseUnavailableError,
    InvalidSubmissionError,
    RemoteUnavailableError,
    ResourceUnavailableError,
    SourceMissingError,
    SourceNotReadyError,
    SourceUnavailableError,
    UnavailableError,
    UnknownPolicyError,
)
from worker.observability.metrics import Metrics
from worker.observability.progress import Progress
from worker.store.engine import column_types
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import OutboxRow, SubmissionConflictRow, SubmissionRow
from worker.store.submissions import publishing
from worker.usecases.moderation import settle_submissions
from worker.usecases.moderation.settle_submissions import SettleSubmissions
from worker.usecases.submissions.claim_submissions import RELEASE_AGAIN_SECONDS, ClaimSubmissions
from worker.usecases.submissions.refuse_submission import RefuseSubmission

POLICY = Policy(name="default", background=("an everyday scene",), labels=(Label("weapons", ("a gun",)),))
NUMBERS = count()
SIGNED = "https://cdn.example.com/cat.jpg?signature=5ec7e7"


class Failing:
    """Stands in for ModerateImage: raises what is set for an id, and writes down every other as decided."""

    def __init__(self, database) -> None:
        self.errors, self.attempts, self.at_work = {}, Counter(), 0
        self.policy = POLICY
        self.decided, self.given_up, self.quarantined, self.refused = set(), {}, {}, {}
        self._database, self._lock = database, threading.Lock()

    def policy_of(self, submission):
        if submission.policy:
            raise self.errors.get("policy", UnknownPolicyError(f"there is no policy {submission.policy!r}"))
        return SimpleNamespace(policy=self.policy)

    def __call__(self, submission, _live=None, *, is_last_try=True):
        with self._lock:
            self.attempts[submission.id] += 1
        error = self.errors.get(submission.id)
        if isinstance(error, SourceNotReadyError) and is_last_try:
            return self.give_up(submission, error.message)
        if error:
            raise error
        return self._record(submission, self.decided.add, submission.id)

    def give_up(self, submission, problem, _live=None):
        return self._record(submission, self.given_up.__setitem__, submission.id, problem)

    def quarantine(self, submission, crashes, _live=None):
        return self._record(submission, self.quarantined.__setitem__, submission.id, crashes)

    def refuse(self, submission_id, error, _=None):
        self.refused[submission_id] = error.message

    def _record(self, submission, note, *what):
        with self._lock:
            note(*what)
        with self._database.transaction() as session:
            return add_decided(session, submission, self.policy, Decision(Action.ALLOW, "harmless"))


@pytest.fixture
def judge(database):
    return Failing(database)


@pytest.fixture
def settle(database, judge):
    return settling(judge, database)


def settling(judge, database, process="ada", lock=None, clock=time.monotonic):
    claim = ClaimSubmissions(database, process, clock)

    def claim_each(arrivals):
        return in_halves(claim, arrivals, "claiming")

    return SettleSubmissions(
        judge, judge.refuse, claim, claim_each, lock or SharedLock(), Metrics(), Progress()
    )


def what(*ids, **fields):
    return [Submission(name, LocalFile("cat.jpg"), **fields) for name in ids]


def rows(database):
    with database.reading() as session:
        return {one.id: one for one in session.scalars(select(SubmissionRow))}


def come_again(database, settle):
    """Publish what is due, as the schedule does, once its pause is over; return what that is."""
    past = utc_now() - timedelta(seconds=1)
    with database.transaction() as session:
        resting = SubmissionRow.publish_at.is_not(None)
        session.execute(
            update(SubmissionRow)
            .where(resting)
            .values(publish_at=past, published_at=None, claimed_until=past)
        )
        due = [one.id for one in publishing.take_due(session, 100)]
    settle(what(*due))
    return set(due)


def test_each_is_judged_and_nothing_stays_in_hand(database, settle, judge):
    with ThreadPoolExecutor(4) as crew:
        settle(what(*"abcdefgh"), crew.map)
    assert judge.decided == set("abcdefgh")
    assert {(one.state, one.claimed_by, one.attempts) for one in rows(database).values()} == {
        ("decided", None, 1)
    }
    assert come_again(database, settle) == set()


def test_what_fails_is_tried_three_times_without_the_others_and_then_given_up(database, settle, judge):
    judge.errors = {"b": ZeroDivisionError(f"b {SIGNED}"), "c": RemoteUnavailableError("c is away")}
    settle(what(*"abcd"))
    assert judge.decided == set("ad")
    pauses = [one.publish_at - utc_now() for one in rows(database).values() if one.publish_at]
    assert len(pauses) == 2
    assert max(pauses) <= timedelta(seconds=2)
    settle(what(*"bc"))
    assert judge.attempts["b"] == 1, "a copy of the message is no attempt before its time"
    assert come_again(database, settle) == set("bc")
    pauses = [one.publish_at - utc_now() for one in rows(database).values() if one.publish_at]
    assert timedelta(seconds=2) < min(pauses) <= max(pauses) <= timedelta(seconds=8)
    assert judge.given_up == {}
    assert come_again(database, settle) == set("bc")
    assert judge.attempts == {"a": 1, "b": 3, "c": 3, "d": 1}
    assert judge.given_up["c"] == "c is away, 3 times"
    assert judge.given_up["b"].startswith("judging it failed 3 times: ZeroDivisionError")
    assert "5ec7e7" not in judge.given_up["b"]
    assert come_again(database, settle) == set()


@pytest.mark.parametrize("again", [True, False])
def test_where_not_even_giving_up_succeeds_it_stays_in_the_ledger_and_takes_nobody_along(
    database, settle, judge, monkeypatch, again
):
    judge.errors = {"b": ZeroDivisionError("b")}
    settle(what("b"))
    come_again(database, settle)
    with monkeypatch.context() as patch:
        patch.setattr(judge, "give_up", lambda *_: 1 / 0)
        come_again(database, settle)
        if again:
            come_again(database, settle)
    assert judge.attempts["b"] == 3
    settle(what("a"))
    assert come_again(database, settle) == {"b"}
    assert judge.given_up == {"b": "judging it failed 3 times"}
    assert judge.attempts["b"] == 3


def test_while_something_is_away_the_message_comes_back_and_the_others_are_settled(
    database, settle, judge, monkeypatch
):
    # On a busy machine the four rounds may take longer than the first pause.
    monkeypatch.setattr("worker.usecases.moderation.settle_submissions.RETRY_SECONDS", (600.0, 600.0))
    judge.errors = {"b": UnavailableError("the media root is away"), "c": ZeroDivisionError("c")}
    for _ in range(4):
        with pytest.raises(UnavailableError):
            settle(what(*"abc"))
    assert judge.decided == {"a"}
    assert judge.attempts == {"a": 1, "b": 4, "c": 1}
    assert (rows(database)["b"].attempts, rows(database)["b"].claimed_by) == (0, None)
    judge.errors = {}
    settle(what(*"abc"))
    assert judge.decided == {"a", "b"}
    assert come_again(database, settle) == {"c"}
    assert judge.decided == set("abc")


STORE = "the object store uploads"


def known_since(database, **ago):
    """Let every submission be as old as that."""
    with database.transaction() as session:
        session.execute(update(SubmissionRow).values(created_at=utc_now() - timedelta(**ago)))


def test_what_an_unavailable_place_holds_waits_and_the_others_are_settled(database, settle, judge):
    away = SourceUnavailableError(STORE, "it says ExpiredToken", hint="see its credentials")
    judge.errors = dict.fromkeys("bd", away)
    settle(what(*"abcd"))
    assert judge.decided == set("ac")
    for _ in range(5):
        assert come_again(database, settle) == set("bd"), "however often, it is no failed attempt"
    waiting = [rows(database)[name] for name in "bd"]
    assert {(one.state, one.attempts, one.claimed_by) for one in waiting} == {("accepted", 0, None)}
    assert {(one.waits_for, one.error) for one in waiting} == {
        (STORE, "it says ExpiredToken (see its credentials)")
    }
    settle(what("b"))
    assert judge.attempts["b"] == 6, "a copy of the message is no attempt before its time"
    judge.errors = {}
    assert come_again(database, settle) == set("bd")
    assert judge.decided == set("abcd")
    assert {(one.waits_for, one.error) for one in rows(database).values()} == {(None, None)}


def test_what_waits_for_a_place_is_tried_less_often_the_older_it_is(database, settle, judge):
    judge.errors = {"a": SourceUnavailableError(STORE, "away")}
    for age, least, most in (({}, 3, 4), ({"seconds": 100}, 63, 64), ({"days": 3}, 255, 256)):
        settle(what("a"))
        known_since(database, **age)
        come_again(database, settle)
        pause = (rows(database)["a"].publish_at - utc_now()).total_seconds()
        assert least <= pause <= most


def test_many_that_wait_cost_few_statements(database, settle, judge):
    ids = [f"many-{n}" for n in range(64)]
    judge.errors = dict.fromkeys(ids, SourceUnavailableError(STORE, "away"))
    with statements(database) as few:
        settle(what(*ids[:2]))
    with statements(database) as many:
        settle(what(*ids[2:]))
    assert len(many) == len(few)


def test_what_a_worker_itself_lacks_is_named_and_its_message_comes_back(database, settle, judge):
    judge.errors = {"a": ResourceUnavailableError("the decoders", "no process can be started")}
    with pytest.raises(ResourceUnavailableError):
        settle(what("a"))
    row = rows(database)["a"]
    assert (row.waits_for, row.error, row.claimed_until) == (
        "the decoders",
        "no process can be started",
        None,
    )


def patient(settle, seconds=60):
    return replace(settle, missing_for=timedelta(seconds=seconds))


def test_a_missing_picture_is_looked_for_until_its_time_is_over(database, settle, judge):
    settle = patient(settle)
    judge.errors = dict.fromkeys("ab", SourceMissingError("there is no file"))
    settle(what("a", "b"))
    pauses = []
    for age in (0, 1, 3, 9, 33, 59):
        known_since(database, seconds=age)
        assert come_again(database, settle) == {"a", "b"}
        row = rows(database)["a"]
        pauses.append((row.publish_at - utc_now()).total_seconds())
        assert (row.attempts, row.waits_for, row.error) == (0, None, "its picture is not there yet")
    assert judge.given_up == {}
    assert [round(one) for one in pauses] == [1, 1, 2, 8, 27, 1]
    judge.errors.pop("b")
    known_since(database, seconds=61)
    come_again(database, settle)
    assert judge.decided == {"b"}
    assert judge.given_up == {"a": "there is no file"}


def test_another_process_goes_on_counting(database, judge):
    """Whoever looks next counts from when the ledger knew of it, not from its own first look."""
    judge.errors = {"a": SourceMissingError("there is no file")}
    patient(settling(judge, database, "ada"))(what("a"))
    known_since(database, seconds=61)
    come_again(database, patient(settling(judge, database, "eve")))
    assert judge.given_up == {"a": "there is no file"}


def test_the_database_s_clock_says_when_a_submission_was_first_known(database, settle, judge, monkeypatch):
    """A producer or worker whose clock is wrong shortens nobody's patience."""
    settle = patient(settle)
    judge.errors = {"a": SourceMissingError("there is no file")}
    wrong = column_types.utc_now() - timedelta(minutes=6)
    with monkeypatch.context() as patch:
        patch.setattr(SubmissionRow.__table__.c.created_at, "default", ColumnDefault(lambda _: wrong))
        settle(what("a"))
    assert rows(database)["a"].created_at - wrong > timedelta(minutes=5)


def test_without_patience_a_missing_picture_is_decided_at_once(settle, judge):
    judge.errors = {"a": SourceMissingError("there is no file")}
    settle(what("a"))
    assert judge.given_up == {"a": "there is no file"}


def test_while_the_database_is_away_nothing_is_judged(settle, judge):
    def unreachable(*_, **__):
        raise DatabaseUnavailableError("the database is away")

    away = replace(settle, claim_each=lambda arrivals: in_halves(unreachable, arrivals, "claiming"))
    with pytest.raises(DatabaseUnavailableError):
        away(what("a"))
    assert judge.attempts == {}


def test_a_policy_that_is_not_in_force_is_waited_for_and_the_others_are_judged(database, settle, judge):
    settle(what("a", policy="uploads") + what("b"))
    assert judge.refused == {}
    assert judge.decided == {"b"}
    assert (rows(database)["a"].error, rows(database)["a"].attempts) == ("there is no policy 'uploads'", 0)


def test_a_policy_that_never_comes_is_refused_after_its_time(database, settle, judge):
    settle(what("a", policy="uploads"))
    with database.transaction() as session:
        past = utc_now() - timedelta(seconds=1)
        session.execute(update(SubmissionRow).values(refuse_at=past))
    settle(what("a", policy="uploads"))
    assert judge.refused == {"a": "there is no policy 'uploads'"}


def test_an_unforeseen_error_while_claiming_concerns_its_own_submission_alone(database, settle, judge):
    break_rows(database, "id IN ('b', 'e')")
    failures = settle(what(*"abcdef"))
    assert [one.submission.id for one in failures] == ["b", "e"]
    assert all("index is corrupted" in str(one.error) for one in failures)
    assert judge.decided == set("acdf")
    assert set(rows(database)) == set("acdf")
    mend_rows(database)
    assert settle(what(*"abcdef")) == []
    assert judge.decided == set("abcdef")


def test_a_mistake_of_ours_before_the_claim_concerns_its_own_submission_alone(settle, judge):
    judge.errors = {"policy": KeyError("a mistake")}
    failures = settle(what("a", policy="uploads") + what("b"))
    assert [(one.submission.id, repr(one.error)) for one in failures] == [("a", "KeyError('a mistake')")]
    assert judge.decided == {"b"}


def test_a_claim_that_cannot_be_released_stops_no_other_and_is_released_later(database, judge):
    clock = SimpleNamespace(now=0.0)
    settle = settling(judge, database, clock=lambda: clock.now)
    judge.errors = {"b": UnavailableError("its store is away")}
    with pytest.raises(UnavailableError):
        settle(what("b"))
    judge.errors = {"b": ZeroDivisionError("b")}

    def break_release(submission):
        break_rows(database, "id = 'b'", statement="UPDATE")
        raise judge.errors[submission.id]

    judge.__class__ = type(
        "Breaking", (Failing,), {"__call__": lambda _, one, *__, **___: break_release(one)}
    )
    assert settle(what("b")) == []
    judge.__class__, judge.errors = Failing, {}
    assert settle(what(*"acd")) == []
    assert judge.decided == set("acd")
    settle.claim.renew()
    mend_rows(database)
    assert rows(database)["b"].claimed_by == "ada"
    settle.claim.renew()
    assert rows(database)["b"].claimed_by == "ada", "not before its time"
    clock.now = RELEASE_AGAIN_SECONDS
    settle.claim.renew()
    assert (rows(database)["b"].claimed_by, rows(database)["b"].attempts) == (None, 1)


def test_a_claim_that_cannot_be_renewed_lets_no_other_lease_run_out(database, settle):
    past = utc_now() - timedelta(seconds=1)
    inside = []

    def look(submission):
        with database.transaction() as session:
            session.execute(update(SubmissionRow).values(claimed_until=past))
        break_rows(database, "id = 'b'", statement="UPDATE")
        with pytest.raises(Exception, match="index is corrupted"):
            settle.claim.renew()
        mend_rows(database)
        inside.append({name: row.claimed_until > utc_now() for name, row in rows(database).items()})
        raise KeyboardInterrupt

    settle.moderate_image.__class__ = type(
        "L", (Failing,), {"__call__": lambda _, one, *__, **___: look(one)}
    )
    with pytest.raises(KeyboardInterrupt):
        settle(what(*"abc"))
    assert inside == [{"a": True, "b": False, "c": True}]


def test_a_panic_of_a_library_takes_nobody_along_and_stays_in_the_ledger(database, settle, judge):
    class Panic(BaseException):
        """What some libraries raise, which is no Exception."""

    judge.errors = {"b": Panic("a library's own")}
    assert settle(what(*"abc")) == []
    assert judge.decided == {"a", "c"}
    assert rows(database)["b"].claimed_by is None
    judge.errors = {}
    assert come_again(database, settle) == {"b"}


def test_a_policy_that_is_saved_between_two_attempts_decides_once(database, settle, judge):
    judge.errors = {"b": ZeroDivisionError("b")}
    settle(what("b"))
    judge.errors, judge.policy = {}, replace(POLICY, background=("an everyday scene", "a person"))
    assert rows(database)["b"].policy_digest == POLICY.digest
    come_again(database, settle)
    assert rows(database)["b"].policy_digest == judge.policy.digest


def test_what_cannot_be_begun_in_time_is_published_at_once_and_was_no_attempt(
    database, settle, judge, monkeypatch
):
    monkeypatch.setattr(settle_submissions, "BEGIN_SECONDS", 0)
    settle(what("a", "b"))
    assert judge.attempts == {}
    found = rows(database).values()
    assert {(one.attempts, one.claimed_by, one.publish_at <= utc_now()) for one in found} == {(0, None, True)}
    monkeypatch.undo()
    assert come_again(database, settle) == {"a", "b"}
    assert judge.decided == {"a", "b"}


def die(database, *ids):
    """Let a worker die with these in hand."""
    other = settling(Dying(), database, f"dead-{next(NUMBERS)}")
    with pytest.raises(KeyboardInterrupt):
        other(what(*ids))
    past = utc_now() - timedelta(seconds=1)
    with database.transaction() as session:
        dead = SubmissionRow.claimed_by.startswith("dead-")
        session.execute(update(SubmissionRow).where(dead).values(claimed_until=past, publish_at=past))


class Dying(Failing):
    def __init__(self) -> None:
        super().__init__(None)

    def __call__(self, *_, **__):
        raise KeyboardInterrupt


def test_suspects_are_judged_alone_and_the_others_before_them(database, judge):
    die(database, "b", "d")
    lock, inside = SharedLock(), []

    def look(submission):
        inside.append((submission.id, lock._is_exclusive, lock._shared_holders))
        return 1

    judge.__class__ = type("Looking", (Failing,), {"__call__": lambda _, one, *__, **___: look(one)})
    settling(judge, database, lock=lock)(what(*"abcd"))
    assert inside == [("a", False, 1), ("c", False, 1), ("b", True, 0), ("d", True, 0)]
    assert {one.crashes for one in rows(database).values()} == {0, 1}


def test_suspects_give_way_to_the_others_after_each_turn(database, settle, judge, monkeypatch):
    die(database, *"abc")
    monkeypatch.setattr(settle_submissions, "TURN_SECONDS", 1e-9)
    settle(what(*"abc"))
    assert judge.decided == set("abc")


def test_what_three_workers_died_of_is_in_quarantine_and_its_neighbours_are_judged(database, settle, judge):
    for ids in ("bd", "b", "b"):
        die(database, *ids)
    settle(what(*"abcd"))
    assert judge.quarantined == {"b": 3}
    assert judge.decided == set("acd")
    assert judge.attempts["b"] == 0
    assert come_again(database, settle) == set()


def test_of_a_message_of_many_what_is_in_hand_elsewhere_is_left_there(database, settle, judge):
    die(database, "b")
    with database.transaction() as session:
        still = utc_now() + timedelta(seconds=10)
        session.execute(update(SubmissionRow).values(claimed_until=still, publish_at=still))
    settle(what(*"abc"))
    assert judge.decided == set("ac")
    assert rows(database)["b"].claimed_by.startswith("dead-")


def test_another_picture_under_a_known_id_is_noted_and_not_judged(database, settle, judge, caplog):
    settle(what("a"))
    settle([Submission("a", ImageUrl(SIGNED))])
    assert judge.attempts == {"a": 1}
    assert "submission a is not judged: its id belongs to another submission" in caplog.text
    with database.reading() as session:
        (noted,) = session.scalars(select(SubmissionConflictRow)).all()
    assert "5ec7e7" not in str(noted.source)


def test_five_copies_at_once_are_judged_once(settle, judge):
    with ThreadPoolExecutor(5) as copies:
        for _ in copies.map(lambda _: settle(what(*"abc")), range(5)):
            pass
    assert judge.attempts == {"a": 1, "b": 1, "c": 1}


def test_a_second_judgement_that_is_refused_is_over_and_the_platform_is_notified(database, settle, judge):
    settle(what("a"))
    judge.policy = replace(POLICY, background=("an everyday scene", "a person"))
    judge.errors = {"a": InvalidSubmissionError("its source is no longer allowed")}
    callback = WebhookCallback("https://platform.example/moderated")
    refusing = replace(settle, refuse=RefuseSubmission(database, callback))
    for _ in range(2):
        refusing(what("a", again="since-the-edit"))
    assert judge.attempts == {"a": 2}
    assert come_again(database, refusing) == set()
    with database.reading() as session:
        (news,) = session.scalars(select(OutboxRow)).all()
    assert (news.kind, news.problem) == ("submission.refused", "its source is no longer allowed")
    assert (news.action, news.decided_by, news.sequence) == (Action.ALLOW, "policy", 1)
