"""Two hosts whose clocks are six minutes apart, or more, agree on leases, sessions, windows and ages."""

import ast
from datetime import timedelta
from pathlib import Path

import pytest
from support.host_clock import host_clock_off_by
from support.review_desk import ADA, BOB, Desk

import worker
from worker.domain.accounts.reviewer import Reviewer
from worker.domain.policies.policy import Action
from worker.domain.policies.policy_state import PolicyState
from worker.domain.reviews.verdict import Answer
from worker.errors import ReviewConflictError
from worker.store.accounts import desk_sessions, login_failures, reviewers
from worker.store.decisions import decision_search
from worker.store.engine import column_types
from worker.store.engine.clock import database_now
from worker.store.operations import overview
from worker.store.policies import policy_states
from worker.usecases.reviews.last_verdict import LastVerdict

OFF = timedelta(minutes=6)
HOURS_OFF = timedelta(hours=13)
#: What may ask the host: for what it logs, shows or names, and compares with nothing of another host.
MAY_ASK_THE_HOST = {
    "client/client.py",  # when a message was sent, for the age that metrics show
    "client/redis_transport.py",  # as kombu scores what is unacknowledged
    "images/sources/uploads.py",  # the folder of a day; the age of a file on a disk
    "notifications/webhook.py",  # signs the time of day, as Standard Webhooks says
    "policy_files/intake.py",  # beside a file's own time
    "policy_files/library.py",  # since when, in this process
    "store/engine/column_types.py",
    "usecases/moderation/moderate_image.py",  # the age of a decision, for metrics and logs
    "usecases/policies/report_policies.py",  # a process's name
    "usecases/policies/run_policy_tests.py",
    "usecases/operations/send_test_event.py",
    "usecases/operations/survey_deployment.py",  # the time at the head of `moderate status`
    "web/desk/rendering/pages.py",  # pages that show no time of the database's
    "wiring/policies.py",
}


@pytest.fixture
def desk(emptied_database):
    return Desk(emptied_database)


@pytest.mark.parametrize("off", [OFF, -OFF])
def test_one_review_is_not_handed_out_twice(desk, off):
    desk.decide(weapons=0.8)
    with host_clock_off_by(-off):
        held = desk.claim(ADA).review
    with host_clock_off_by(off):
        assert desk.claim(BOB) is None
        with pytest.raises(ReviewConflictError, match="claimed by ada"):
            desk.claim(BOB, review_id=held.id)
        assert desk.renew(ADA, [held.token]) > held.claimed_until
        assert desk.claim(BOB) is None
        desk.settle(ADA, [held.token], Answer(Action.ALLOW))


@pytest.mark.parametrize("off", [HOURS_OFF, -HOURS_OFF])
def test_a_session_begun_on_one_host_is_valid_on_the_other(desk, off):
    with desk.database.transaction() as session:
        reviewers.add(session, Reviewer("ada"), None)
        with host_clock_off_by(-off):
            token = desk_sessions.begin(session, "ada", by_proxy=False)
    with host_clock_off_by(off), desk.database.transaction() as session:
        found = desk_sessions.find(session, token)
        assert found is not None
        assert not desk_sessions.seen_is_stale(session, found.id)
        desk_sessions.forget_ended(session, limit=10)
        assert desk_sessions.find(session, token) is not None


@pytest.mark.parametrize("off", [HOURS_OFF, -HOURS_OFF])
def test_failed_logins_count_on_every_host(desk, off):
    with desk.database.transaction() as session:
        for n in range(login_failures.MAX_OF_NAME_AND_ADDRESS):
            with host_clock_off_by(off if n % 2 else -off):
                login_failures.note(session, "ada", "192.0.2.1")
                login_failures.forget_old(session, limit=10)
        session.flush()
        assert login_failures.too_many(session, "ada", "192.0.2.1")


@pytest.mark.parametrize("off", [HOURS_OFF, -HOURS_OFF])
def test_a_verdict_can_be_undone_as_long_on_every_host(desk, off):
    desk.decide(weapons=0.8)
    with host_clock_off_by(-off):
        desk.settle(ADA, [desk.claim(ADA).review.token], Answer(Action.ALLOW))
    with host_clock_off_by(off):
        assert LastVerdict(desk.database)(ADA.name) is not None


@pytest.mark.parametrize("off", [HOURS_OFF, -HOURS_OFF])
def test_what_a_wrong_host_records_has_the_databases_time(desk, off):
    state = PolicyState("default", "d" * 64, False, None, None, None)
    with host_clock_off_by(off):
        desk.decide(weapons=0.8)
        with desk.database.transaction() as session:
            policy_states.replace(session, "host:1:x", [state])
    with desk.database.reading() as session:
        now = database_now(session)
        (decision,) = decision_search.latest(session, limit=5)
        (report,) = policy_states.all_states(session)
        assert abs(now - decision.created_at) < timedelta(minutes=5)
        assert not report.is_silent(now)
        with host_clock_off_by(off):
            assert overview.backlog(session).workers == 1
            assert sum(one.last_hour for one in overview.happenings(session).decisions.values()) == 1


def test_the_clock_of_the_tests_goes_wrong():
    before = column_types.utc_now()
    with host_clock_off_by(OFF):
        assert column_types.utc_now() - before >= OFF


def test_nothing_else_asks_the_host_for_the_time():
    root = Path(worker.__file__).parent
    asking = {
        str(file.relative_to(root))
        for file in root.rglob("*.py")
        if "training" not in file.parts and _asks(ast.parse(file.read_text(encoding="utf-8")))
    }
    assert asking <= MAY_ASK_THE_HOST


def _asks(tree: ast.Module) -> bool:
    asked = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return (
        bool(asked & {"datetime.now", "datetime.utcnow", "time.time", "time.time_ns"}) or "utc_now" in names
    )
