"""Values that no database, number or encoding takes: every route of the API and the desk refuses them in words."""

import json
import re
from itertools import chain

import pytest
from starlette.testclient import TestClient
from support.deployment import deploy
from support.desk import DeskRows
from support.desk_browser import HTML, Browser, form_token, held_token
from support.web_api import make_key

from worker.domain.accounts.reviewer import Role
from worker.web.api import decisions, operations, submissions
from worker.web.api.reviews import appeals, reviews
from worker.web.api.service import open_web_service
from worker.web.app import create_app
from worker.web.desk.application import PAGES

#: As they stand in an address.
CROOKED = ["a%00b", "%ff%fe", "9" * 20, "9" * 5000, "-1", "1e400", "NaN", "%D9%A3"]
#: Those that the drivers of SQLite and PostgreSQL take differently; the others are refused before either.
CROOKED_FOR_DRIVERS = ["a%00b", "%ff%fe", "9" * 20]
#: As they stand in JSON, wherever a value can be.
CROOKED_JSON = [
    '"a\\u0000b"',
    '"\\ud800"',
    "9" * 20,
    "9" * 5000,
    "1e400",
    "NaN",
    '{"zoom": NaN}',
    '{"\\u0000": ["\\u0000"]}',
    '{"a":' * 500 + "1" + "}" * 500,
]
DESK_QUERIES = "queue label kind age days with shown frame next until key".split()
API_PARTS = (appeals, decisions, operations, reviews, submissions)
BODIES = {
    "/v1/submissions": {
        "id": "a",
        "source": {"kind": "file", "path": "a.png"},
        "policy": "stickers",
        "reference": "r",
        "sha256": "a" * 64,
        "context": {"a": 1},
        "callback": {"url": "https://a.example/"},
    },
    "/v1/submissions/batch": {"submissions": [{"id": "a", "source": {"kind": "file", "path": "a.png"}}]},
    "/v1/reviews/claim": {
        "reviewer": {"name": "eve", "role": "reviewer", "opt_outs": ["weapons"], "severe_per_day": 5},
        "review": 1,
        "queue": "q",
        "label": "l",
        "policy": "p",
        "severity": 1,
        "grouped": True,
    },
    "/v1/appeals": {"decision": 1, "statement": "no"},
    "/v1/reviews/reverse": {"reviewer": {"name": "eve"}, "verdict": 1, "whole_group": True, "reason": "r"},
    "/v1/reviews/verdict": {
        "reviewer": {"name": "eve"},
        "claims": [{"review": 1, "claim": 1, "sha256": "a" * 64}],
        "action": "allow",
        "labels": ["weapons"],
        "reason": "r",
        "note": "n",
        "shown": {"zoom": 1},
    },
}
for _what in ("renew", "release", "skip", "escalate"):
    BODIES[f"/v1/reviews/{_what}"] = {
        "reviewer": {"name": "eve"},
        "claims": [{"review": 1, "claim": 1}],
        "reason": "r",
    }


@pytest.fixture
def rows(tmp_path, redis_url, database_url):
    made = deploy(tmp_path, redis_url, database_url, web_requests_per_minute=10**6, decoder_processes=1)
    found = DeskRows(made.settings, made.database)
    found.person("lea", Role.LEAD)
    for name in ("one", "two", "three"):
        found.item(name)
    yield found
    made.database.dispose()


@pytest.fixture
def app(rows):
    with open_web_service(rows.settings) as service:
        yield create_app(service)


@pytest.fixture
def api(rows, app):
    client = TestClient(app, raise_server_exceptions=False)
    client.headers["Authorization"] = f"Bearer {make_key(rows.database)}"
    return client


@pytest.fixture
def lea(app):
    browser = Browser(app)
    browser.client = TestClient(
        app,
        base_url="http://127.0.0.1",
        client=("127.0.0.1", 50000),
        follow_redirects=False,
        raise_server_exceptions=False,
    )
    assert browser.login("lea").status_code == 303
    return browser


def routes(parts, method):
    return [route for part in parts for route in part.router.routes if method in route.methods]


def paths(parts, method, prefix=""):
    return sorted({prefix + route.path for route in routes(parts, method)})


@pytest.fixture
def crooked(rows):
    """Return the values for addresses: all on PostgreSQL, and on SQLite those that its driver takes differently."""
    return CROOKED_FOR_DRIVERS if rows.database.engine.dialect.name == "sqlite" else CROOKED


def crooked_addresses(path, queries, crooked):
    """Yield the path with each crooked value in the place of each of its parameters, then behind each query name."""
    names = re.findall(r"\{\w+\}", path)
    filled = re.sub(r"\{\w+\}", "1", path)
    for name in names:
        for value in crooked:
            yield re.sub(r"\{\w+\}", "1", path.replace(name, value))
    for name in queries:
        for value in crooked:
            yield f"{filled}?{name}={value}"


def places(value, at=()):
    """Yield where in a JSON value something else can be put."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*at, key)
        yield from places(one, (*at, key))


def with_crooked(body, place, text):
    changed = json.loads(json.dumps(body))
    at = changed
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = "PUT HERE"
    return json.dumps(changed).replace('"PUT HERE"', text).encode()


def test_no_address_of_the_api_fails_us(api, crooked):
    for route in routes(API_PARTS, "GET"):
        queries = [one.alias for one in route.dependant.query_params]
        for address in crooked_addresses(route.path, queries, crooked):
            answer = api.get(address)
            assert answer.status_code < 500, (address, answer.text)


@pytest.mark.exhaustive
def test_no_body_of_the_api_fails_us(api):
    assert set(paths(API_PARTS, "POST")) == set(BODIES)
    headers = {"Content-Type": "application/json"}
    for path, body in BODIES.items():
        for place in places(body):
            for text in CROOKED_JSON:
                answer = api.post(path, content=with_crooked(body, place, text), headers=headers)
                assert answer.status_code < 500, (path, place, text[:80], answer.text)


def test_what_was_shown_is_kept_whatever_it_says(api):
    claimed = api.post("/v1/reviews/claim", json={"reviewer": {"name": "eve"}}).json()["reviews"][0]
    body = {
        "reviewer": {"name": "eve"},
        "claims": [{"review": claimed["review"], "claim": claimed["claim"]}],
        "action": "allow",
        "shown": {"zoom": 1, "title": "a\0b"},
    }
    assert api.post("/v1/reviews/verdict", json=body).status_code == 200


@pytest.mark.exhaustive
def test_no_address_of_the_desk_fails_us(lea, crooked):
    lea.take()
    for path in paths(PAGES, "GET", "/review"):
        for address in crooked_addresses(path, DESK_QUERIES, crooked):
            answer = lea.client.get(address, headers=HTML)
            assert answer.status_code < 500, (address, answer.text[-600:])


@pytest.mark.exhaustive
def test_no_form_of_the_desk_fails_us(lea, crooked):
    number, page = lea.take()
    sent = {"form_token": form_token(page), "token": held_token(page), "action": "allow"}
    fields = (
        "action label token beside ahead with shown next reason note verdict pictures here name password filter-queue"
        " filter-label filter-policy filter-kind filter-age"
    ).split()
    for path in paths(PAGES, "POST", "/review"):
        if path.endswith(("/logout", "/login")):
            continue
        addresses = chain(
            (re.sub(r"\{\w+\}", value, path) for value in crooked),
            [re.sub(r"\{\w+\}", str(number), path)],
        )
        for address in addresses if "{" in path else [path]:
            answer = lea.client.post(address, data=sent, headers=HTML)
            assert answer.status_code < 500, (address, answer.text[-600:])
        number, page = lea.take()
        sent = {"form_token": form_token(page), "token": held_token(page), "action": "allow"}
        for name in fields:
            for value in (*crooked, "9" * 18 + ".1", f"{number}.{'9' * 18}"):
                body = "&".join(f"{k}={v}" for k, v in (sent | {name: value}).items())
                headers = HTML | {"Content-Type": "application/x-www-form-urlencoded"}
                answer = lea.client.post(re.sub(r"\{\w+\}", str(number), path), content=body, headers=headers)
                assert answer.status_code < 500, (path, name, value, answer.text[-600:])
        lea.login("lea")
        number, page = (
            lea.take() if "/items/" in lea.send("/review/next").headers["Location"] else (number, page)
        )
