"""A person is shown the bytes that were judged or none, and an answer without them is inherited by nothing."""

import pytest
from moderation_client.submission import LocalFile, Submission
from sqlalchemy import select
from starlette.testclient import TestClient
from support.decided_submission import add_decided
from support.desk import POLICY, POLICY_TEXT, desk_rows, picture, scores
from support.desk_browser import Browser, held_token, picture_address
from support.pictures import encoded
from support.web_api import make_key

from worker.domain.accounts.reviewer import Reviewer, Role
from worker.domain.moderation.decision import decide_undecodable, decide_unreadable
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ReviewKind, place_in_queue
from worker.domain.reviews.verdict import Answer
from worker.errors import ReviewConflictError, UndecodablePictureError
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import AuditLogRow, DecisionRow, ReviewRow, VerdictRow
from worker.store.reviews import golden_items, in_force, review_statistics, reviews, verdicts
from worker.web.api.service import open_web_service
from worker.web.app import create_app

LEA = Reviewer("lea", Role.LEAD)
CHANGED = "The picture changed after it was judged"
SAME_VECTOR = [1.0] + [0.0] * 15


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
def app(service):
    return create_app(service)


def signed_in(app, name):
    browser = Browser(app)
    assert browser.login(name).status_code == 303
    return browser


@pytest.fixture
def ada(app):
    return signed_in(app, "ada")


@pytest.fixture
def lea(app):
    return signed_in(app, "lea")


@pytest.fixture
def api(rows, app):
    client = TestClient(app)
    client.headers["Authorization"] = f"Bearer {make_key(rows.database)}"
    return client


def overwrite(rows, name, seed=77):
    """Put other bytes in the place of a picture that was judged."""
    (rows.settings.media_root / f"{name}.png").write_bytes(encoded(picture(seed), "PNG"))


def to_inherit(rows, name):
    """Return the verdict that the same bytes would inherit."""
    with rows.database.reading() as session:
        decision = session.scalars(select(DecisionRow).where(DecisionRow.submission_id == name)).one()
        judged = (decision.sha256 or "", decision.policy_digest)
        return verdicts.to_inherit(session, [judged]).get(judged)


def recorded(rows):
    with rows.database.reading() as session:
        return session.scalars(select(VerdictRow).order_by(VerdictRow.id)).all()


def test_other_bytes_are_never_shown_and_the_page_and_the_queue_say_that_it_changed(rows, ada):
    rows.item("one")
    number, page = ada.take()
    overwrite(rows, "one")
    for way in ("veiled", "clear"):
        answer = ada.get(picture_address(page, way))
        assert answer.status_code == 409
        assert "the picture changed after it was judged" in answer.text
    page = ada.get(f"/review/items/{number}")
    assert CHANGED in page.text
    assert "/pictures/" not in page.text
    assert "picture changed" in ada.get("/review/").text
    with rows.database.reading() as session:
        (noted,) = session.scalars(select(AuditLogRow).where(AuditLogRow.what == "picture.changed"))
    assert noted.details["judged"] != noted.details["found"]


def test_the_judged_bytes_that_were_shown_already_stay_what_is_shown(rows, ada):
    rows.item("one")
    number, page = ada.take()
    before = ada.get(picture_address(page)).content
    overwrite(rows, "one")
    assert ada.get(picture_address(page)).content == before
    sent = {"token": held_token(page), "action": "allow"}
    assert ada.send(f"/review/items/{number}/verdict", sent).status_code == 303
    assert [one.picture_seen for one in recorded(rows)] == [True]


@pytest.mark.parametrize("looks_first", [True, False])
def test_a_reviewer_cannot_lift_a_flag_from_what_changed_and_a_lead_can_with_a_reason(
    rows, ada, lea, looks_first
):
    rows.item("one")
    number, page = ada.take()
    overwrite(rows, "one")
    if looks_first:
        ada.get(picture_address(page))
    sent = {"token": held_token(page), "action": "allow"}
    refused = ada.send(f"/review/items/{number}/verdict", sent)
    assert refused.status_code == 409
    assert "only a lead can allow it" in refused.text
    assert CHANGED in refused.text
    assert recorded(rows) == []
    escalated = ada.send(
        f"/review/items/{number}/escalate", {"token": held_token(page), "reason": "it was replaced"}
    )
    assert escalated.status_code == 303
    _, page = lea.take()
    sent = {"token": held_token(page), "action": "allow"}
    assert lea.send(f"/review/items/{number}/verdict", sent).status_code == 422
    assert lea.send(f"/review/items/{number}/verdict", sent | {"reason": "seen"}).status_code == 303
    (verdict,) = recorded(rows)
    assert (verdict.action, verdict.picture_seen, verdict.effective) == (Action.ALLOW, False, True)
    assert to_inherit(rows, "one") is None


def test_putting_the_judged_bytes_back_before_the_answer_changes_nothing(rows, ada):
    rows.item("one")
    number, page = ada.take()
    judged = (rows.settings.media_root / "one.png").read_bytes()
    overwrite(rows, "one")
    assert ada.get(picture_address(page)).status_code == 409
    (rows.settings.media_root / "one.png").write_bytes(judged)
    sent = {"token": held_token(page), "action": "allow"}
    assert ada.send(f"/review/items/{number}/verdict", sent).status_code == 409
    assert to_inherit(rows, "one") is None


def test_a_block_of_what_changed_holds_for_the_submission_and_measures_nothing(rows, ada):
    rows.item("one")
    number, page = ada.take()
    overwrite(rows, "one")
    sent = {"token": held_token(page), "action": "block"}
    assert ada.send(f"/review/items/{number}/verdict", sent).status_code == 303
    with rows.database.reading() as session:
        assert in_force.of(session, "one").action is Action.BLOCK
        assert review_statistics.labels(session, utc_now().replace(year=2000)) == []
        assert not verdicts.latest_of(session, ["one"])["one"].picture_seen
    assert to_inherit(rows, "one") is None


def test_an_allowed_picture_that_was_drawn_for_the_audit_can_be_closed_by_anybody(rows, ada):
    rows.item("one", scores(), kind=ReviewKind.AUDIT)
    number, page = ada.take()
    overwrite(rows, "one")
    sent = {"token": held_token(page), "action": "allow"}
    assert ada.send(f"/review/items/{number}/verdict", sent).status_code == 303
    assert [one.picture_seen for one in recorded(rows)] == [False]
    assert to_inherit(rows, "one") is None


def test_one_of_a_group_that_changed_is_named_and_stops_the_allow_of_all(rows, ada):
    for n, name in enumerate(("one", "two", "three")):
        rows.item(name, data=encoded(picture(5), "PNG", compress_level=n + 1), vector=SAME_VECTOR)
    number, page = ada.take()
    tokens = [held_token(page), *_beside(page)]
    assert len(tokens) == 3
    others = [name for name in ("one", "two", "three") if f"post-{name}</span>" in page.text]
    overwrite(rows, others[0])
    refused = ada.send(f"/review/items/{number}/verdict", {"token": tokens, "action": "allow"})
    assert refused.status_code == 409
    assert recorded(rows) == []
    refused = ada.send(
        f"/review/items/{number}/verdict",
        {"token": tokens, "action": "allow", "with": ".".join(t.split(".")[0] for t in tokens[1:])},
    )
    assert refused.text.count(" checked>") == 1
    assert "It changed after it was judged" in refused.text
    blocked = ada.send(f"/review/items/{number}/verdict", {"token": tokens, "action": "block"})
    assert blocked.status_code == 303
    seen = {one.submission_id: one.picture_seen for one in recorded(rows)}
    assert seen == {name: name != others[0] for name in ("one", "two", "three")}


def _beside(page):
    return [part.split('"')[0] for part in page.text.split('name="beside" value="')[1:]][:2]


def test_what_cannot_be_read_any_more_is_answered_for_the_submission_alone(rows, ada):
    rows.item("one")
    number, page = ada.take()
    (rows.settings.media_root / "one.png").unlink()
    assert ada.get(picture_address(page)).status_code == 410
    sent = {"token": held_token(page), "action": "allow"}
    assert ada.send(f"/review/items/{number}/verdict", sent).status_code == 303
    assert [one.picture_seen for one in recorded(rows)] == [False]
    assert to_inherit(rows, "one") is None


def test_the_api_compares_too_and_says_so(rows, api):
    rows.item("one")
    (review,) = claimed(api)
    assert review["picture_changed_at"] is None
    overwrite(rows, "one")
    refused = api.post("/v1/reviews/verdict", json=answer(review, "allow"))
    assert refused.status_code == 409
    assert "changed after it was judged" in refused.json()["detail"]
    assert api.get("/v1/reviews").json()["reviews"][0]["picture_changed_at"]
    blocked = api.post("/v1/reviews/verdict", json=answer(review, "block"))
    assert [one["picture_seen"] for one in blocked.json()["verdicts"]] == [False]
    assert to_inherit(rows, "one") is None


def test_a_desk_of_the_platforms_own_says_what_it_showed(rows, api):
    rows.item("one")
    rows.item("two")
    first, second = claimed(api)[0], None
    overwrite(rows, "one")
    overwrite(rows, "two")
    said = answer(first, "allow", sha256=first["decision"]["sha256"])
    assert api.post("/v1/reviews/verdict", json=said).json()["verdicts"][0]["picture_seen"]
    (second,) = claimed(api)
    said = answer(second, "allow", sha256="0" * 64)
    assert api.post("/v1/reviews/verdict", json=said).status_code == 409
    assert api.post("/v1/reviews/verdict", json=answer(second, "allow", sha256="x")).status_code == 422


def claimed(api):
    return api.post("/v1/reviews/claim", json={"reviewer": {"name": "ada"}}).json()["reviews"]


def answer(review, action, **claim):
    claims = [{"review": review["review"], "claim": review["claim"], **claim}]
    return {"reviewer": {"name": "ada"}, "claims": claims, "action": action}


@pytest.mark.parametrize(
    ("said", "action", "answered"),
    [("a", "block", True), ("b", "block", False), ("b", "allow", None), ("a", "allow", True)],
)
def test_what_was_shown_of_no_picture_is_compared_with_the_bytes_on_record(rows, api, said, action, answered):
    """The decision has no digest, since nothing was judged; the submission has that of what was refused."""
    undecided_item(
        rows, "one", decide_undecodable(POLICY, UndecodablePictureError("it is no picture")), "a" * 64
    )
    (review,) = claimed(api)
    given = api.post("/v1/reviews/verdict", json=answer(review, action, sha256=said * 64))
    if answered is None:
        assert given.status_code == 409
    else:
        assert [one["picture_seen"] for one in given.json()["verdicts"]] == [answered]


def test_what_was_shown_counts_as_not_judged_if_no_bytes_are_on_record(rows, api):
    undecided_item(rows, "one", decide_unreadable(POLICY, "there is no file"), None)
    (review,) = claimed(api)
    given = api.post("/v1/reviews/verdict", json=answer(review, "allow", sha256="b" * 64))
    assert [one["picture_seen"] for one in given.json()["verdicts"]] == [False]


def test_labels_are_measured_by_whoever_saw_the_judged_bytes_though_the_source_changed(rows, api):
    rows.item("one")
    (review,) = claimed(api)
    overwrite(rows, "one")
    assert api.post("/v1/reviews/verdict", json=answer(review, "allow")).status_code == 409
    said = answer(review, "allow", sha256=review["decision"]["sha256"])
    assert api.post("/v1/reviews/verdict", json=said).json()["verdicts"][0]["picture_seen"]
    with rows.database.reading() as session:
        (measured,) = review_statistics.labels(session, utc_now().replace(year=2000))
    assert (measured.label, measured.flagged, measured.right) == ("weapons", 1, 0)


def test_what_cannot_be_read_any_more_measures_no_label(rows, api):
    rows.item("one")
    (review,) = claimed(api)
    (rows.settings.media_root / "one.png").unlink()
    given = api.post("/v1/reviews/verdict", json=answer(review, "block"))
    assert not given.json()["verdicts"][0]["picture_seen"]
    with rows.database.reading() as session:
        assert review_statistics.labels(session, utc_now().replace(year=2000)) == []


@pytest.mark.parametrize("kind", [ReviewKind.APPEAL, ReviewKind.SECOND])
def test_appeals_and_second_looks_are_held_to_the_same(rows, ada, kind):
    rows.item("one", kind=kind)
    number, page = ada.take()
    overwrite(rows, "one")
    assert ada.get(picture_address(page)).status_code == 409
    assert ada.send(
        f"/review/items/{number}/verdict", {"token": held_token(page), "action": "allow"}
    ).status_code == (409)


def golden_item(rows, service, lea):
    """Make a golden item that comes next for ada."""
    rows.item("known")
    number, page = lea.take()
    assert lea.get(picture_address(page)).status_code == 200
    lea.send(f"/review/items/{number}/verdict", {"token": held_token(page), "action": "block"})
    service.desk.work.golden.add(LEA, "known", Answer(Action.BLOCK, frozenset({"weapons"})))
    rows.item("other")
    with service.intake.database.transaction() as session:
        (item,) = golden_items.everything(session)
        session.add(
            ReviewRow(
                decision_id=item.decision_id,
                kind="golden",
                state="open",
                priority=9.0,
                golden_id=item.id,
                meant_for="ada",
            )
        )


@pytest.mark.parametrize("is_readable", [True, False])
def test_an_answer_to_a_golden_item_counts_if_its_picture_was_seen(rows, service, lea, is_readable):
    golden_item(rows, service, lea)
    if not is_readable:
        (rows.settings.media_root / "known.png").unlink()
    with open_web_service(rows.settings) as other:
        ada = signed_in(create_app(other), "ada")
        number, page = ada.take()
        sent = {"token": held_token(page), "action": "block"}
        assert ada.send(f"/review/items/{number}/verdict", sent).status_code == 303
    with rows.database.reading() as session:
        assert golden_items.everything(session)[0].retired_at is None
        counted = review_statistics.golden_answers(session, utc_now().replace(year=2000))
    assert len(counted) == is_readable


def test_a_golden_item_whose_picture_changed_is_retired_and_no_answer_to_it_counts(rows, service, lea):
    golden_item(rows, service, lea)
    ada = signed_in(create_app(service), "ada")
    number, page = ada.take()
    assert "post-known" in page.text
    overwrite(rows, "known")
    # Not from the pictures that were shown lately: this is another process.
    with open_web_service(rows.settings) as other:
        elsewhere = Browser(create_app(other))
        elsewhere.client.cookies.update(dict(ada.client.cookies))
        assert elsewhere.get(picture_address(page)).status_code == 409
    sent = {"token": held_token(page), "action": "block"}
    assert ada.send(f"/review/items/{number}/verdict", sent).status_code == 303
    with rows.database.reading() as session:
        (item,) = golden_items.everything(session)
        assert item.retired_at is not None
        assert review_statistics.golden_answers(session, utc_now().replace(year=2000)) == []


def test_nothing_becomes_a_golden_item_whose_picture_changed(rows, service, lea):
    rows.item("one")
    number, page = lea.take()
    lea.send(f"/review/items/{number}/verdict", {"token": held_token(page), "action": "block"})
    overwrite(rows, "one")
    with pytest.raises(ReviewConflictError, match="cannot be a golden item: the picture changed"):
        service.desk.work.golden.add(LEA, "one", Answer(Action.BLOCK, frozenset({"weapons"})))


def undecided_item(rows, name, decision, sha256):
    """Write a decision without a judged picture, as a worker does, and its review."""
    made = Submission(name, LocalFile(f"{name}.png"))
    with rows.database.transaction() as session:
        source = {"kind": "file", "path": f"{name}.png"}
        decision_id = add_decided(
            session, made, POLICY, decision, sha256=sha256, source=source, text=POLICY_TEXT
        )
        return reviews.ask(
            session, decision_id, ReviewKind.DECISION, place_in_queue(POLICY, decision, utc_now())
        )


def test_what_could_not_be_read_when_it_was_judged_is_shown_as_what_is_there_now(rows, ada):
    undecided_item(rows, "one", decide_unreadable(POLICY, "there is no file"), None)
    overwrite(rows, "one")
    number, page = ada.take()
    assert "this is what its source has now" in page.text
    assert ada.get(picture_address(page)).status_code == 200
    assert ada.send(
        f"/review/items/{number}/verdict", {"token": held_token(page), "action": "allow"}
    ).status_code == (303)
    assert [one.picture_seen for one in recorded(rows)] == [False]


def test_what_was_no_picture_when_it_was_judged_has_changed_if_it_is_one_now(rows, ada):
    undecided_item(
        rows, "one", decide_undecodable(POLICY, UndecodablePictureError("it is no picture")), "a" * 64
    )
    overwrite(rows, "one")
    _, page = ada.take()
    assert ada.get(picture_address(page)).status_code == 409
