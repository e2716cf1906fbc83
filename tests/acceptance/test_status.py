"""`moderate status`: all is well, or what is not and what to run; the other half where one is away."""

import json
from datetime import timedelta

import numpy as np
import pytest
from moderation_client import LocalFile
from moderation_client.submission import Submission
from sqlalchemy import update
from support.deployment import deploy

from worker.domain.policies.policy_state import PolicyState
from worker.domain.reviews.review import ReviewKind
from worker.stage.redis_server import running_redis
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import LabelActivityRow, SubmissionConflictRow, SubmissionRow
from worker.store.policies import policy_states
from worker.store.submissions import accepting

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture(scope="module")
def own_redis_url(tmp_path_factory):
    """Yield the URL of a Redis of this file: what other tests leave unacknowledged counts on theirs."""
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def deployment(tmp_path, own_redis_url):
    made = deploy(tmp_path, own_redis_url)
    yield made
    made.database.dispose()


@pytest.fixture
def status(moderate, deployment):
    def look(*arguments, **settings):
        usual = {name: getattr(deployment.settings, name) for name in ("database_url", "broker_url", "queue")}
        return moderate("status", *arguments, **(usual | settings))

    return look


@pytest.fixture
def alive(deployment):
    """Say that two workers live."""
    state = PolicyState("stickers", "1" * 64, in_force_since=utc_now())
    with deployment.database.transaction() as session:
        for host in ("web1", "web2"):
            policy_states.replace(session, f"{host}:7:20260101T120000Z", [state])


@pytest.mark.usefixtures("alive")
def test_all_is_well(status, deployment):
    result = status()
    assert result.exit_code == 0, result.err
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert lines[0] == "all is well"
    assert f"broker {deployment.settings.broker_url}" in lines
    assert f"queue {deployment.settings.queue}: 0 waiting, 0 unacknowledged" in lines
    assert "workers 2 alive: web1:7, web2:7" in lines
    assert "policies stickers 111111111111" in lines
    assert "undecided submissions 0 allow 0 0" in lines


def test_without_a_worker_what_waits_is_told_and_how_to_start_one(status, deployment):
    with deployment.client() as client:
        client.submit_many([Submission(f"upload-{n}", LocalFile("cat.jpg")) for n in range(3)])
        client.submit(LocalFile("cat.jpg"))
    result = status()
    assert result.exit_code == 1
    assert result.out.startswith("not well  no worker is alive, 2 messages on the queue")
    assert "start one: moderate worker" in result.out.splitlines()[1]


@pytest.mark.usefixtures("alive")
def test_json_has_every_figure_and_every_concern(status, deployment):
    with deployment.database.transaction() as session:
        for name in ("upload-1", "upload-2"):
            one = Submission(name, LocalFile("cat.jpg"))
            accepting.accept(session, one, None, {"kind": "file", "path": "cat.jpg"})
        session.execute(update(SubmissionRow).values(created_at=utc_now() - timedelta(hours=1)))
        session.add(SubmissionConflictRow(submission_id="upload-1", fingerprint="f" * 64, reference=""))
    result = status("--json")
    assert result.exit_code == 1
    told = json.loads(result.out)
    assert told["well"] is False
    assert [one["what"] for one in told["concerns"]] == [
        "2 submissions undecided, the oldest for 60 min",
        "1 submission came within the hour with the id of another picture",
    ]
    assert "moderate explain upload-1" in told["concerns"][1]["way_out"]
    assert (told["broker"]["waiting"], told["broker"]["unacknowledged"]) == (0, 0)
    database = told["database"]
    assert database["workers"] == ["web1:7:20260101T120000Z", "web2:7:20260101T120000Z"]
    assert (database["undecided"]["count"], database["conflicts"]["last_day"]) == (2, 1)
    assert database["outbox"] == {"count": 0, "oldest_seconds": 0.0, "left_to_others": 0, "given_up": 0}
    assert set(database["reviews"]) == {kind.value for kind in ReviewKind}
    assert database["decisions"]["allow"] == {"last_hour": 0, "last_day": 0}


@pytest.mark.usefixtures("alive")
def test_where_the_broker_is_away_the_database_is_still_shown(status):
    result = status(broker_url="redis://:secret@127.0.0.1:1/0")
    assert result.exit_code == 3
    assert result.out.startswith("not usable  the broker at redis://")
    assert "MODERATION_BROKER_URL" in result.out
    assert "2 alive" in result.out
    assert "secret" not in result.out + result.err


def test_where_the_database_is_away_the_broker_is_still_shown(status):
    away = "postgresql://moderator:secret@127.0.0.1:1/uploads"
    result = status(database_url=away)
    assert result.exit_code == 3
    assert "0 waiting" in result.out
    assert "PostgreSQL 127.0.0.1:1/uploads" in result.out
    assert "secret" not in result.out + result.err
    told = json.loads(status("--json", database_url=away, broker_url=NOWHERE).out)
    assert [one["is_outage"] for one in told["concerns"]] == [True, True]


def test_tables_of_another_version_name_the_command(status, tmp_path):
    result = status(database_url=f"sqlite:///{tmp_path}/none.db")
    assert result.exit_code == 3
    assert "moderate db upgrade" in result.out


@pytest.mark.usefixtures("alive")
def test_a_label_that_suddenly_flags_a_lot_is_named_with_its_share_and_what_to_run(status, deployment):
    now = utc_now().replace(minute=0, second=0, microsecond=0)
    with deployment.database.transaction() as session:
        for ago in range(9 * 24):
            flagged = 180 if ago < 36 else 10
            counts = np.array([flagged, 1000 - flagged, *[0] * 18, flagged], "<u4").tobytes()
            what = {
                "policy_digest": "1" * 64,
                "policy": "stickers",
                "uploads": 1000,
                "labels": ["explosives"],
            }
            session.add(LabelActivityRow(hour=now - timedelta(hours=ago), counts=counts, **what))
    since = now - timedelta(hours=35)
    result = status()
    assert result.exit_code == 1
    said, way_out = (" ".join(line.split()) for line in result.out.splitlines()[:2])
    assert said == (
        f"not well policy stickers: explosives flags 18% of uploads since {since:%A %H:%M} UTC, 1% before"
    )
    assert way_out.startswith("-> see what it flags: moderate decisions --label explosives")
    told = json.loads(status("--json").out)
    assert told["concerns"][0]["what"] in said
    (drift,) = told["database"]["drifts"]
    assert (drift["kind"], drift["label"], drift["since"]) == ("more", "explosives", since.isoformat())
    assert (drift["share"], drift["share_before"], drift["by_version"]) == (0.18, 0.01, False)


@pytest.mark.usefixtures("alive")
def test_watching_looks_again_until_stopped(status, monkeypatch):
    pauses = iter([None, KeyboardInterrupt])

    def sleep(_seconds):
        if stop := next(pauses):
            raise stop

    monkeypatch.setattr("worker.cli.operations.status.time.sleep", sleep)
    result = status("--watch", 5)
    assert result.exit_code == 0
    assert result.out.count("all is well") == 2
