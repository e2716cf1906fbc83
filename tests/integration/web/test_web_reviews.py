"""The review queue and appeals by HTTP: a platform's own desk can do all that ours can."""

import pytest
from support.deployment import deploy
from support.review_desk import LEA, Desk
from support.web_api import Api, make_key, serving_api

from worker.domain.accounts.api_key import Scope
from worker.domain.policies.policy import Action
from worker.domain.reviews.verdict import Answer
from worker.usecases.reviews.golden_items import GoldenItems

BLOCK = Answer(Action.BLOCK, frozenset({"weapons"}))


@pytest.fixture(scope="module")
def served(kept_database, tmp_path_factory, redis_url):
    """Serve the API of one database to all tests of this file; golden items come whenever there are some."""
    made = deploy(
        tmp_path_factory.mktemp("reviews"),
        redis_url,
        kept_database.address.url.render_as_string(hide_password=False),
        web_requests_per_minute=10**6,
        review_golden_share=1.0,
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


def post(api, what, name="ada", **body):
    reviewer = body.pop("reviewer", {"name": name})
    return api.post(f"/v1/reviews/{what}", json={"reviewer": reviewer, **body})


def claim(api, name="ada", **body):
    answer = post(api, "claim", name, **body)
    assert answer.status_code == 200, answer.text
    return answer.json()["reviews"]


def held(*found):
    return [{"review": review["review"], "claim": review["claim"]} for review in found]


def test_a_review_is_listed_claimed_renewed_and_answered(desk, api):
    decision_id = desk.decide(weapons=0.8)
    (listed,) = api.get("/v1/reviews").json()["reviews"]
    assert (listed["decision"]["id"], listed["kind"], listed["claimed_by"]) == (decision_id, "decision", None)
    (mine,) = claim(api)
    assert (mine["review"], mine["claimed_by"]) == (listed["review"], "ada")
    assert claim(api, "bob") == []
    renewed = post(api, "renew", claims=held(mine)).json()
    assert renewed["claimed_until"] >= mine["claimed_until"]
    answer = post(api, "verdict", claims=held(mine), action="block", labels=["weapons"], shown={"a": "\0"})
    (verdict,) = answer.json()["verdicts"]
    assert verdict["submission"] == "upload-1"
    late = post(api, "verdict", "bob", claims=held(mine), action="allow")
    assert late.status_code == 409
    assert f"review {mine['review']} was settled by ada at 20" in late.json()["detail"]
    assert post(api, "reverse", "bob", verdict=verdict["verdict"]).status_code == 403
    undone = post(api, "reverse", verdict=verdict["verdict"]).json()
    assert undone["verdicts"] == [verdict["verdict"]]
    assert undone["reopened"][0]["claimed_by"] == "ada"
    assert post(api, "release", claims=held(undone["reopened"][0])).status_code == 204
    (again,) = claim(api, "bob")
    assert post(api, "skip", "bob", claims=held(again), reason="no time").status_code == 204
    (again,) = claim(api)
    assert post(api, "escalate", claims=held(again), reason="art?").status_code == 204
    assert claim(api) == []
    (for_lead,) = claim(api, reviewer={"name": "lea", "role": "lead"})
    assert for_lead["escalation"] == "art?"


def test_what_looks_the_same_is_answered_at_once(desk, api):
    for _ in range(3):
        desk.decide(weapons=0.8, vector=[1.0, 0.0])
    found = claim(api)
    assert len(found) == 3
    settled = post(api, "verdict", claims=held(*found), action="allow").json()["verdicts"]
    undone = post(api, "reverse", verdict=settled[0]["verdict"], whole_group=True).json()
    assert sorted(undone["verdicts"]) == sorted(one["verdict"] for one in settled)


def test_opt_outs_the_cap_and_filters_are_kept(desk, api):
    desk.decide(gore=0.8)
    desk.decide(weapons=0.8)
    desk.decide(alcohol=0.8)
    careful = {"name": "ada", "opt_outs": ["gore"], "severe_per_day": 0}
    (found,) = claim(api, reviewer=careful)
    assert found["decision"]["labels"] == ["alcohol"]
    assert claim(api, reviewer=careful) == []
    (found,) = claim(api, "bob", label="weapons")
    assert found["decision"]["labels"] == ["weapons"]
    (found,) = claim(api, "bob", queue="urgent")
    assert found["decision"]["labels"] == ["gore"]
    pages, cursor = [], None
    while cursor or not pages:
        page = api.get("/v1/reviews", params={"limit": 2, "cursor": cursor}).json()
        pages += [review["decision"]["labels"][0] for review in page["reviews"]]
        cursor = page["next_cursor"]
    assert pages == ["gore", "weapons", "alcohol"]


def test_a_golden_item_looks_like_any_other(desk, api):
    desk.decide(weapons=0.8)
    desk.answer(LEA, BLOCK)
    GoldenItems(desk.database).add(LEA, "upload-1", BLOCK)
    desk.decide(weapons=0.8)
    (found,) = claim(api)
    assert (found["kind"], found["decision"]["submission"]) == ("decision", "upload-1")
    listed = api.get("/v1/reviews").json()["reviews"]
    assert [(one["kind"], one["claimed_by"]) for one in listed] == [("decision", None), ("decision", "ada")]
    seen = [one | {"sha256": found["decision"]["sha256"]} for one in held(found)]
    post(api, "verdict", claims=seen, action="allow")
    told = api.get("/v1/reviews/statistics").json()
    assert told["golden_by_reviewer"] == {"ada": {"asked": 1, "right": 0, "accuracy": 0.0}}
    assert told["backlog"][0]["open"] == 1
    assert api.get("/v1/submissions/upload-1").json()["verdict"]["action"] == "block"


def test_an_appeal_is_opened_once_and_tells_its_answer_without_names(desk, api):
    decision_id = desk.decide(weapons=0.995)
    body = {"decision": decision_id, "statement": "it is a toy"}
    opened = api.post("/v1/appeals", json=body)
    assert opened.status_code == 201
    appeal = opened.json()
    assert (appeal["state"], appeal["appealed_action"], appeal["outcome"]) == ("open", "block", None)
    again = api.post("/v1/appeals", json=body)
    assert (again.status_code, again.json()) == (200, appeal)
    assert api.post("/v1/appeals", json={"decision": decision_id}).status_code == 409
    assert api.post("/v1/appeals", json={"decision": decision_id + 1}).status_code == 404
    (found,) = claim(api)
    assert (found["kind"], found["statement"]) == ("appeal", "it is a toy")
    post(api, "verdict", claims=held(found), action="allow", reason="a toy", note="plainly")
    known = api.get(f"/v1/appeals/{appeal['id']}")
    assert (known.json()["state"], known.json()["outcome"]) == ("answered", "overturned")
    assert "ada" not in known.text
    assert "plainly" not in known.text
    submission = api.get("/v1/submissions/upload-1")
    assert submission.json()["verdict"]["action"] == "allow"
    assert submission.json()["decision"]["action"] == "block"
    assert "ada" not in submission.text
    assert api.get("/v1/appeals/99").status_code == 404


def test_each_door_needs_its_scope(desk, api):
    reader = Api(api.url, make_key(desk.database, Scope.READ, Scope.SUBMIT))
    assert reader.get("/v1/reviews").status_code == 403
    assert post(reader, "claim").status_code == 403
    assert reader.post("/v1/appeals", json={"decision": 1}).status_code == 403
    reviewing = Api(api.url, make_key(desk.database, Scope.REVIEWS))
    assert reviewing.get("/v1/reviews").status_code == 200
    assert reviewing.get("/v1/decisions").status_code == 403
    assert reviewing.get("/v1/appeals/1").status_code == 403


@pytest.mark.parametrize(
    ("what", "body", "where"),
    [
        ("claim", {"severity": 6}, "body.severity"),
        ("claim", {"reviewer": {"name": ""}}, "body.reviewer.name"),
        ("claim", {"reviewer": {"name": "a\nb"}}, "body.reviewer.name"),
        ("claim", {"reviewer": {"name": "ada", "role": "king"}}, "body.reviewer.role"),
        ("claim", {"colour": "red"}, "body.colour"),
        ("skip", {"claims": [{"review": 1, "claim": 1}], "reason": " "}, "body.reason"),
        ("verdict", {"claims": [], "action": "allow"}, "body.claims"),
        ("verdict", {"claims": [{"review": 1, "claim": 1}], "action": "review"}, "body.action"),
    ],
)
def test_what_does_not_fit_is_named(api, what, body, where):
    answer = post(api, what, **body)
    assert answer.status_code == 422
    assert where in answer.json()["detail"]


def test_bodies_that_are_none_are_refused(api):
    assert (
        api.post("/v1/reviews/claim", data="{", headers={"Content-Type": "application/json"}).status_code
        == 400
    )
    assert api.post("/v1/reviews/claim", data="a=b").status_code == 415
    assert post(api, "verdict", claims=[{"review": 9, "claim": 1}], action="allow").status_code == 404
