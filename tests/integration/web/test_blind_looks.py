"""Nobody at the desk or behind the API finds out that a review is a blind second look or a golden item."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from starlette.testclient import TestClient
from support.desk import desk_rows, scores
from support.desk_browser import Browser, held_token
from support.web_api import make_key

from worker.domain.accounts.reviewer import Reviewer, Role
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ReviewKind
from worker.domain.reviews.verdict import Answer
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import DecisionRow, ReviewRow, SubmissionRow
from worker.store.reviews import review_counts, review_search, reviews
from worker.web.api.service import open_web_service
from worker.web.app import create_app

LEA = Reviewer("lea", Role.LEAD)
HOURS_AGO = timedelta(hours=5)


@pytest.fixture
def rows(tmp_path):
    with desk_rows(tmp_path) as made:
        for name, role in (("ada", Role.REVIEWER), ("bob", Role.REVIEWER), ("lea", Role.LEAD)):
            made.person(name, role)
        yield made


@pytest.fixture
def service(rows):
    with open_web_service(rows.settings) as opened:
        yield opened


@pytest.fixture
def api(rows, service):
    client = TestClient(create_app(service))
    client.headers["Authorization"] = f"Bearer {make_key(rows.database)}"
    return client


def signed_in(service, name):
    browser = Browser(create_app(service))
    assert browser.login(name).status_code == 303
    return browser


def second_look(rows, service, name="twice", **kind):
    """Have bob answer a review of some hours ago, and a second person be asked; return both reviews' numbers."""
    first = rows.item(name, **kind)
    with rows.database.transaction() as session:
        session.execute(update(DecisionRow).values(created_at=utc_now() - HOURS_AGO))
        session.execute(update(SubmissionRow).values(created_at=utc_now() - HOURS_AGO))
        session.execute(update(ReviewRow).values(created_at=utc_now() - HOURS_AGO))
    claim = service.desk.work.claim(Reviewer("bob"), review_id=first)
    service.desk.work.settle(Reviewer("bob"), [claim.review.token], Answer(Action.BLOCK))
    with rows.database.transaction() as session:
        decision = session.scalars(select(ReviewRow.decision_id).where(ReviewRow.id == first)).one()
        review = reviews.find(session, first)
        place = reviews.PlaceInQueue(review.queue, review.priority, review.deadline_at)
        return first, reviews.ask(session, decision, ReviewKind.SECOND, place)


def golden_item(rows, service, name="known", of=None):
    """Make a golden item of a decision of long ago."""
    number = rows.item(name, of)
    claim = service.desk.work.claim(Reviewer("bob"), review_id=number)
    service.desk.work.settle(Reviewer("bob"), [claim.review.token], Answer(Action.BLOCK))
    with rows.database.transaction() as session:
        session.execute(update(DecisionRow).values(created_at=utc_now() - timedelta(days=90)))
    service.desk.work.golden.add(LEA, name, Answer(Action.BLOCK, frozenset({"weapons"})))
    return number


@pytest.mark.parametrize("made_by", ["decision", "audit", "quarantine"])
def test_every_filter_shows_a_second_look_as_what_the_first_was(rows, service, made_by):
    kind = ReviewKind(made_by)
    _, second = second_look(rows, service, of=scores() if made_by == "audit" else None, kind=kind)
    if made_by == "quarantine":
        with rows.database.transaction() as session:
            session.execute(
                update(DecisionRow).values(reason="not judged, it is in quarantine: 3 workers died")
            )
    for asked in ReviewKind:
        with rows.database.reading() as session:
            found = review_search.page(session, review_search.ReviewFilters(kind=asked), limit=9)
        wanted = [second] if asked in {kind, ReviewKind.SECOND} else []
        assert [one.id for one in found] == wanted, asked
    with rows.database.reading() as session:
        assert review_counts.waiting(session, utc_now()).kinds == {made_by: 1}
        assert reviews.find(session, second).blinded.kind is kind
    ada = signed_in(service, "ada")
    assert "post-twice" in ada.get("/review/", params={"kind": made_by}).text
    number, page = ada.take()
    assert number == second
    assert "second" not in page.text


@pytest.mark.parametrize("more", [{}, {"queue": "default"}, {"label": "weapons"}, {"severity": 5}])
def test_the_api_and_the_desk_find_a_second_look_among_the_first_ones(rows, service, api, more):
    second_look(rows, service)
    rows.item("once")
    for kind in (None, "decision", "audit", "quarantine", "appeal"):
        asked = more | ({"kind": kind} if kind else {})
        pages = [api.get("/v1/reviews", params=asked | {"limit": 1}).json()]
        while cursor := pages[-1]["next_cursor"]:
            pages.append(api.get("/v1/reviews", params=asked | {"limit": 1, "cursor": cursor}).json())
        found = {one["decision"]["reference"] for page in pages for one in page["reviews"]}
        assert found == ({"post-twice", "post-once"} if kind in {None, "decision"} else set()), kind
    page = signed_in(service, "ada").get("/review/", params={"kind": "decision"}).text
    assert "post-twice" in page
    assert "post-once" in page


def test_no_time_tells_a_second_look_from_a_first_one(rows, service, api):
    second_look(rows, service)
    rows.item("once")
    rows.item("seldom", scores(), kind=ReviewKind.AUDIT)
    with rows.database.transaction() as session:
        # As a worker does: the decision comes first.
        for decision in session.scalars(select(DecisionRow)):
            decision.created_at -= timedelta(milliseconds=3)
    listed = api.get("/v1/reviews").json()["reviews"]
    assert {one["decision"]["reference"] for one in listed} == {"post-twice", "post-once", "post-seldom"}
    for one in listed:
        assert one["decision"]["decided_at"] == one["created_at"]
    ada = signed_in(service, "ada")
    for _ in listed:
        number, page = ada.take()
        name = re.search(r"post-(twice|once|seldom)", page.text)[1]
        history = ada.get(f"/review/submissions/{name}").text
        times = re.findall(r'datetime="([^"]+)"', history)
        assert all(re.fullmatch(r"[-\d]+T\d\d:\d\d\+00:00", one) for one in times), times
        ada.send(f"/review/items/{number}/skip", {"token": held_token(page), "reason": "later"})


def test_the_api_tells_no_blind_kind_and_no_time_that_gives_it_away(rows, service, api):
    second_look(rows, service)
    for kind in ("second", "golden"):
        assert api.get("/v1/reviews", params={"kind": kind}).status_code == 422
    (listed,) = api.get("/v1/reviews", params={"kind": "decision"}).json()["reviews"]
    claimed = api.post("/v1/reviews/claim", json={"reviewer": {"name": "ada"}}).json()["reviews"][0]
    for seen in (listed, claimed):
        assert seen["kind"] == "decision"
        assert seen["decision"]["decided_at"] == seen["created_at"]


def test_the_first_review_is_unknown_to_whoever_never_had_it(rows, service, api):
    first, second = second_look(rows, service)
    ada = signed_in(service, "ada")
    for _ in range(2):
        unknown, never = ada.get(f"/review/items/{first}"), ada.get("/review/items/999")
        assert unknown.status_code == never.status_code == 404
        assert _without_ids(unknown.text) == _without_ids(never.text)
        for number in (first, 999):
            answer = ada.send(f"/review/items/{number}/claim")
            assert (answer.status_code, "bob" in answer.text) == (404, False)
            sent = {"token": f"{number}.1", "action": "allow"}
            assert ada.send(f"/review/items/{number}/verdict", sent).status_code == 404
            body = {"reviewer": {"name": "ada"}, "review": number}
            assert api.post("/v1/reviews/claim", json=body).json()["detail"] == f"there is no review {number}"
        assert ada.take()[0] == second
    # Bob had it, and a lead oversees it.
    assert signed_in(service, "bob").get(f"/review/items/{first}").status_code == 409
    assert signed_in(service, "lea").get(f"/review/items/{first}").status_code == 409


def _without_ids(text):
    return re.sub(r"Request \w+|\b\d+\b|value=\"\w{64}\"", "", text)


def test_the_history_of_what_is_in_hand_looks_like_that_of_a_first_look(rows, service):
    second_look(rows, service)
    rows.item("once", scores(alcohol=0.7))
    ada = signed_in(service, "ada")
    assert ada.take()[1].text.count("post-twice")
    blind = ada.get("/review/submissions/twice")
    assert "bob" not in blind.text
    times = re.findall(r'datetime="([^"]+)"', blind.text)
    assert len(set(times)) == 1
    happened = re.findall(r"<b>([^<]+)</b>", blind.text)
    ada.send("/review/items/1/skip")
    assert happened == re.findall(r"<b>([^<]+)</b>", ada.get("/review/submissions/once").text)


@pytest.mark.parametrize("of", [scores(weapons=0.81), scores(weapons=0.97), scores()])
def test_a_golden_item_has_waited_as_long_as_what_it_stands_for(rows, service, of):
    old = golden_item(rows, service, of=of)
    rows.item("other", scores(weapons=0.7))
    with rows.database.transaction() as session:
        session.execute(
            update(ReviewRow).where(ReviewRow.state == "open").values(created_at=utc_now() - HOURS_AGO)
        )
    claim = service.desk.work.claim
    golden = type(claim)(claim.database, claim.lease, claim.group_cosine, 1.0)(Reviewer("ada"))
    review, told = golden.review, golden.review.blinded
    assert review.kind is ReviewKind.GOLDEN
    assert told.kind is (ReviewKind.AUDIT if of == scores() else ReviewKind.DECISION)
    assert told.decision.action is not Action.BLOCK
    assert timedelta() <= (utc_now() - HOURS_AGO) - told.created_at < timedelta(minutes=1)
    assert told.decision.created_at == told.created_at
    # Each weapon is due within the hour, this one too.
    due = told.created_at + timedelta(hours=1) if told.decision.flagged else None
    assert told.deadline_at == due
    ada = signed_in(service, "ada")
    assert ada.get(f"/review/items/{old}").status_code == 404
    page = ada.get(f"/review/items/{review.id}")
    assert "5 h ago" in page.text
    assert "90 days" not in page.text


def test_a_claimed_golden_item_is_listed_like_any_claimed_review(rows, service, api):
    golden_item(rows, service)
    other = rows.item("other")
    with rows.database.transaction() as session:
        session.execute(
            update(ReviewRow).where(ReviewRow.state == "open").values(created_at=utc_now() - HOURS_AGO)
        )
    claim = service.desk.work.claim
    golden = type(claim)(claim.database, claim.lease, claim.group_cosine, 1.0)(Reviewer("ada")).review
    assert golden.kind is ReviewKind.GOLDEN
    lea, ada = signed_in(service, "lea"), signed_in(service, "ada")
    assert claim(LEA, review_id=other)
    listed = {one["review"]: one for one in api.get("/v1/reviews").json()["reviews"]}
    assert {number: one["claimed_by"] for number, one in listed.items()} == {golden.id: "ada", other: "lea"}
    assert len({one["created_at"] for one in listed.values()}) == 2
    assert {(one["kind"], one["action"], one["decided_by"]) for one in listed.values()} == {
        ("decision", "review", "policy")
    }
    (backlog,) = api.get("/v1/reviews/statistics").json()["backlog"]
    assert (backlog["open"], backlog["claimed"]) == (2, 2)
    for browser in (lea, ada):
        for query in ({}, {"kind": "decision"}):
            page = browser.get("/review/", params=query).text
            assert ("post-known" in page, "post-other" in page, "<b>2</b> waiting" in page) == (True,) * 3
    # Each is in the hands of another, and the pages about it are the same but for the name.
    cleo = signed_in(service, rows.person("cleo").name)
    pages = [cleo.get(f"/review/items/{one}") for one in (golden.id, other)]
    claims = [cleo.send(f"/review/items/{one}/claim") for one in (golden.id, other)]
    for answers in (pages, claims):
        assert [one.status_code for one in answers] == [409, 409]
        told = [_without_ids(one.text).replace("lea", "ada") for one in answers]
        told = [re.sub(r"\d\d:\d\d(:\d\d)?", "", one) for one in told]
        assert told[0] == told[1]
    assert "90 days" not in cleo.get("/review/submissions/known").text
    # Given back, it stays in ada's list, who alone can have it, and in no other.
    service.desk.work.claims.release(Reviewer("ada"), [golden.token])
    assert "post-known" in ada.get("/review/").text
    assert "post-known" not in cleo.get("/review/").text
    assert [one["review"] for one in api.get("/v1/reviews").json()["reviews"]] == [other]
    assert cleo.get(f"/review/items/{golden.id}").status_code == 404
    assert ada.send(f"/review/items/{golden.id}/claim").status_code == 303


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("gap", [timedelta(milliseconds=10), timedelta(seconds=10), timedelta(hours=1)])
def test_a_golden_item_seems_to_be_asked_between_two_others(rows, service, chance, gap):
    golden_item(rows, service)
    numbers = [rows.item(name) for name in ("first", "second")]
    times = [utc_now().replace(microsecond=0) - HOURS_AGO + n * gap for n in range(2)]
    with rows.database.transaction() as session:
        for number, at in zip(numbers, times, strict=True):
            values = {"created_at": at, "priority": 5 + 0.1 * number}
            session.execute(update(ReviewRow).where(ReviewRow.id == number).values(values))
    claim = service.desk.work.claim
    drawn = iter([0.0, chance])
    ask = type(claim)(claim.database, claim.lease, claim.group_cosine, 1.0, lambda: next(drawn))
    golden = ask(Reviewer("ada"), grouped=False).review
    assert golden.kind is ReviewKind.GOLDEN
    assert times[0] < golden.created_at < times[1]
    assert golden.created_at.microsecond % 1000 == 0
    assert golden.deadline_at == golden.created_at + timedelta(hours=1)


def test_an_escalated_golden_item_is_told_like_any_other(rows, service):
    golden_item(rows, service)
    rows.item("other")
    claim = service.desk.work.claim
    golden = type(claim)(claim.database, claim.lease, claim.group_cosine, 1.0)(Reviewer("ada")).review
    ada = signed_in(service, "ada")
    page = ada.get(f"/review/items/{golden.id}")
    sent = {"token": held_token(page), "reason": "what is this?"}
    ada.send(f"/review/items/{golden.id}/escalate", sent)
    number, page = ada.take()
    ada.send(f"/review/items/{number}/escalate", {"token": held_token(page), "reason": "what is this?"})
    pages = [ada.get(f"/review/items/{one}") for one in (golden.id, number)]
    assert [one.status_code for one in pages] == [409, 409]
    assert len({_without_ids(one.text) for one in pages}) == 1
    claims = [ada.send(f"/review/items/{one}/claim") for one in (golden.id, number)]
    assert [one.status_code for one in claims] == [403, 403]
    assert len({_without_ids(one.text) for one in claims}) == 1


def test_what_others_said_of_the_same_bytes_is_not_told_to_whoever_answers_blindly(rows, service):
    _, second = second_look(rows, service)
    data = (rows.settings.media_root / "twice.png").read_bytes()
    again = rows.item("again", data=data)
    claim = service.desk.work.claim(Reviewer("bob"), review_id=again)
    service.desk.work.settle(Reviewer("bob"), [claim.review.token], Answer(Action.BLOCK))
    with rows.database.reading() as session:
        blind = reviews.find(session, second)
        seen = reviews.find(session, again)
    (dossier,), (other,) = service.desk.parts.look([blind]), service.desk.parts.look([seen])
    assert [one.by_person for one in dossier.earlier] == [False]
    assert [one.by_person for one in other.earlier] == [True]
