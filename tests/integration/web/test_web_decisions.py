"""Decisions as the API lists them: filtered, newest first, nothing twice and nothing left out."""

from dataclasses import replace
from datetime import timedelta

import pytest
from moderation_client.submission import LocalFile, Submission
from sqlalchemy import update
from support.decided_submission import add_decided
from support.deployment import deploy
from support.web_api import Api, make_key, serving_api

from worker.domain.moderation.decision import Decision
from worker.domain.moderation.scoring import LabelScore
from worker.domain.moderation.view import View
from worker.domain.policies.policy import Action, Label, Policy
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import DecisionRow

WEAPONS = LabelScore("weapons", 0.75, "a handgun", 0.3, "an everyday scene", 0.25, view=View(frame=1))
POLICY = Policy("default", ("an everyday scene",), (Label("weapons", ("a handgun",), severity=4),))
STRICT = replace(POLICY, name="strict")
REVIEW = Decision(Action.REVIEW, "weapons 0.75", (WEAPONS,), ("weapons",), severity=4)
ALLOW = Decision(Action.ALLOW, "nothing", (WEAPONS,))


@pytest.fixture
def deployment(tmp_path, redis_url, database_url):
    made = deploy(tmp_path, redis_url, database_url)
    yield made
    made.database.dispose()


@pytest.fixture
def database(deployment):
    return deployment.database


@pytest.fixture
def api(deployment):
    with serving_api(deployment.settings) as (url, _):
        yield Api(url, make_key(deployment.database))


def record(database, number, policy=POLICY, decision=REVIEW):
    what = Submission(f"upload-{number}", LocalFile("a.png"), reference=f"post-{number % 3}")
    with database.transaction() as session:
        return add_decided(session, what, policy, decision)


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [decision["id"] for decision in answer.json()["decisions"]]


def test_pages_show_everything_once_newest_first(database, api):
    made = [record(database, number) for number in range(7)]
    with database.transaction() as session:
        # Several within one moment, which only the id tells apart.
        session.execute(update(DecisionRow).values(created_at=utc_now()))
    pages, cursor = [], None
    while cursor or not pages:
        answer = api.get("/v1/decisions", params={"limit": 3, "cursor": cursor})
        pages.append(ids(answer))
        cursor = answer.json()["next_cursor"]
        record(database, 100 + len(pages))
    assert pages == [made[:3:-1], made[3:0:-1], made[:1]]


def test_filters_leave_what_they_say(database, api):
    weapons, strict = record(database, 0), record(database, 1, STRICT)
    allowed = record(database, 2, decision=ALLOW)
    now = utc_now()
    assert ids(api.get("/v1/decisions")) == [allowed, strict, weapons]
    for parameters, expected in [
        ({"action": "allow"}, [allowed]),
        ({"label": "weapons"}, [strict, weapons]),
        ({"policy": "strict"}, [strict]),
        ({"reference": "post-1"}, [strict]),
        ({"label": "weapons", "reference": "post-0"}, [weapons]),
        ({"since": (now - timedelta(hours=1)).isoformat()}, [allowed, strict, weapons]),
        ({"until": (now - timedelta(hours=1)).isoformat()}, []),
        ({"since": (now + timedelta(hours=1)).isoformat()}, []),
        ({"label": "\0"}, []),
    ]:
        assert ids(api.get("/v1/decisions", params=parameters)) == expected, parameters


def test_a_decision_tells_all_that_is_recorded(database, api):
    record(database, 0)
    (decision,) = api.get("/v1/decisions").json()["decisions"]
    assert decision["scores"] == [
        {
            "label": "weapons",
            "score": 0.75,
            "prompt": "a handgun",
            "prompt_cosine": 0.3,
            "background": "an everyday scene",
            "background_cosine": 0.25,
            "frame": 1,
            "on_black": False,
            "part": 0,
            "text_added": 0.0,
        }
    ]
    assert (decision["action"], decision["labels"], decision["severity"]) == ("review", ["weapons"], 4)
    seen = api.get("/v1/submissions/upload-0").json()
    in_force = {"decided_by": "policy", "sequence": 0, "policy_action": "review"}
    assert seen["decision"] | in_force == decision
    assert seen["earlier_decisions"] == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"action": "burn"},
        {"limit": 0},
        {"limit": 201},
        {"limit": "many"},
        {"since": "yesterday"},
        {"since": "2026-07-01T12:00:00"},
        {"until": "0001-01-01T00:00:00+14:00"},
        {"cursor": "!"},
        {"cursor": "ä"},
        {"cursor": "WyJ4IiwgMV0"},
        {"label": "x" * 201},
    ],
)
def test_what_does_not_fit_is_a_problem_that_names_it(api, parameters):
    answer = api.get("/v1/decisions", params=parameters)
    assert answer.status_code == 422
    (name,) = parameters
    assert name in answer.json()["detail"]
