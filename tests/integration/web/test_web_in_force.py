"""Every answer has one `action`: what is in force now, who decided it, and how new that is."""

import pytest
from support.deployment import deploy
from support.review_desk import ADA, BOB, Desk
from support.web_api import Api, make_key, serving_api

from worker.domain.policies.policy import Action
from worker.domain.reviews.verdict import Answer
from worker.store.submissions import outcomes, submissions

ALLOW = Answer(Action.ALLOW)
BLOCK = Answer(Action.BLOCK, frozenset({"weapons"}))
FILE = {"kind": "file", "path": "cat.jpg"}


@pytest.fixture(scope="module")
def served(kept_database, tmp_path_factory, redis_url):
    made = deploy(
        tmp_path_factory.mktemp("in_force"),
        redis_url,
        kept_database.address.url.render_as_string(hide_password=False),
        web_requests_per_minute=10**6,
    )
    with serving_api(made.settings) as (url, _):
        yield url
    made.database.dispose()


@pytest.fixture
def desk(emptied_database):
    return Desk(emptied_database)


@pytest.fixture
def api(served, desk):
    return Api(served, make_key(desk.database))


def state(answer):
    return answer["action"], answer["decided_by"], answer["sequence"]


def submission(api):
    return api.get("/v1/submissions/upload-1").json()


def listed(api):
    (decision,) = api.get("/v1/decisions").json()["decisions"]
    return decision


def test_a_submission_and_a_list_say_what_is_in_force_after_each_change(desk, api):
    desk.decide(weapons=0.8)
    for change, expected in (
        (lambda: None, ("review", "policy", 1)),
        (lambda: desk.answer(ADA, BLOCK), ("block", "reviewer", 2)),
        (lambda: desk.reverse(ADA, 1), ("review", "policy", 3)),
        (lambda: desk.answer_held(ADA, ALLOW), ("allow", "reviewer", 4)),
    ):
        change()
        assert state(submission(api)) == expected
        assert state(listed(api)) == expected
        # What the policy said stays to be read.
        assert submission(api)["decision"]["action"] == listed(api)["policy_action"] == "review"


def test_an_appeal_says_what_is_in_force_and_what_was_answered(desk, api):
    decision_id = desk.decide(weapons=0.999)
    opened = api.post("/v1/appeals", json={"decision": decision_id, "statement": "art"}).json()
    assert (state(opened), opened["answer"]) == (("block", "policy", 1), None)
    verdict_id = desk.answer(BOB, ALLOW)
    answered = api.get(f"/v1/appeals/{opened['id']}").json()
    assert (state(answered), answered["answer"]) == (("allow", "appeal", 3), "allow")
    desk.reverse(BOB, verdict_id)
    undone = api.get(f"/v1/appeals/{opened['id']}").json()
    assert (state(undone), undone["answer"]) == (("block", "policy", 4), None)


def test_inherited_bytes_say_so(desk, api):
    desk.decide(weapons=0.8, sha256="d" * 64)
    desk.answer(ADA, ALLOW)
    desk.decide(weapons=0.8, sha256="d" * 64)
    inherited = api.get("/v1/submissions/upload-2").json()
    assert state(inherited) == ("allow", "inherited_verdict", 2)
    assert {one["submission"]: state(one) for one in api.get("/v1/decisions").json()["decisions"]} == {
        "upload-1": ("allow", "reviewer", 2),
        "upload-2": ("allow", "inherited_verdict", 2),
    }


def test_what_is_undecided_or_refused_has_no_action(desk, api):
    accepted = api.post("/v1/submissions", json={"id": "upload-7", "source": FILE})
    assert (accepted.status_code, state(accepted.json())) == (202, (None, None, 0))
    with desk.database.transaction() as session:
        outcomes.abandon(session, "upload-7", "the ledger's entry cannot be read")
    refused = api.get("/v1/submissions/upload-7").json()
    assert (refused["state"], state(refused)) == ("refused", (None, None, 0))


def test_a_batch_says_it_of_what_is_known(desk, api):
    api.post("/v1/submissions", json={"id": "upload-1", "source": FILE})
    with desk.database.reading() as session:
        fingerprint = submissions.find(session, "upload-1").fingerprint
    desk.decide(weapons=0.8, submission_id="upload-1")
    desk.answer(ADA, ALLOW)
    with desk.database.reading() as session:
        assert submissions.find(session, "upload-1").fingerprint == fingerprint
    entries = [
        {"id": "upload-1", "source": FILE},
        {"id": "upload-8", "source": FILE},
        {"id": "upload-9", "source": {}},
    ]
    known, fresh, bad = api.post("/v1/submissions/batch", json={"submissions": entries}).json()["items"]
    assert (known["status"], state(known)) == (200, ("allow", "reviewer", 2))
    assert (fresh["status"], state(fresh)) == (202, (None, None, 0))
    assert (bad["status"], state(bad)) == (422, (None, None, None))


def test_an_open_review_says_what_is_in_force(desk, api):
    desk.decide(weapons=0.8)
    decision_id = desk.decide(weapons=0.999)
    api.post("/v1/appeals", json={"decision": decision_id, "statement": "art"})
    assert {
        one["decision"]["submission"]: (one["action"], one["decided_by"])
        for one in api.get("/v1/reviews").json()["reviews"]
    } == {"upload-1": ("review", "policy"), "upload-2": ("block", "policy")}


def test_a_second_look_shows_no_verdict(desk, api):
    desk.decide(twice=0.8)
    desk.answer(ADA, Answer(Action.BLOCK, frozenset({"twice"})))
    assert state(submission(api)) == ("block", "reviewer", 2)
    (second,) = api.get("/v1/reviews").json()["reviews"]
    assert (second["action"], second["decided_by"]) == ("review", "policy")
    claimed = api.post("/v1/reviews/claim", json={"reviewer": {"name": "bob"}}).json()["reviews"]
    assert [(one["action"], one["decided_by"]) for one in claimed] == [("review", "policy")]
    assert "sequence" not in second
