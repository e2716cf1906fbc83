"""Whoever is outside gets nothing from the review desk, and whoever is inside no more than is theirs."""

import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import pytest
from moderation_client.messages import unrecorded_source
from moderation_client.submission import InlineBytes
from PIL import Image
from sqlalchemy import select, update
from support.desk import PASSWORD, desk_rows, picture, scores
from support.desk_browser import HTML, Browser, form_token, held_token, picture_address
from support.pictures import encoded

from worker.domain.accounts.reviewer import Role
from worker.encoder.explaining.protocol import Method
from worker.errors import UnavailableError
from worker.store.accounts import passwords, reviewers
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import AuditLogRow, DeskSessionRow, LoginFailureRow
from worker.store.reviews import review_claims, review_search, review_sources
from worker.usecases.reviews import held_claims
from worker.usecases.reviews.draw_heat_map import DrawHeatMap, DrawnHeatMap
from worker.web.api.service import open_web_service
from worker.web.app import create_app
from worker.web.desk.application import PAGES

SCRIPT = "<script>alert(1)</script>"


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


@contextmanager
def app_with(rows, **settings):
    changed = rows.settings.model_copy(update=settings)
    with open_web_service(changed) as service:
        yield create_app(service)


@pytest.fixture
def ada(app):
    browser = Browser(app)
    assert browser.login("ada").status_code == 303
    return browser


@pytest.fixture
def bob(app):
    browser = Browser(app)
    assert browser.login("bob").status_code == 303
    return browser


def routes():
    """Yield every route of the desk but those that are for everybody, with numbers for its parameters."""
    for route in [route for part in PAGES for route in part.router.routes]:
        path = "/review" + re.sub(r"\{(\w+)\}", lambda m: "veiled" if m[1] == "variant" else "1", route.path)
        for method in sorted(set(route.methods) - {"HEAD"}):
            if not path.startswith(("/review/static/", "/review/login")):
                yield method, path


# ---------------------------------------------------------------- nobody


def test_without_a_session_every_page_leads_to_the_login_and_nothing_else_answers(rows, app):
    rows.item("one")
    seen = list(routes())
    assert len(seen) >= 15
    for method, path in seen:
        answer = Browser(app).get(path) if method == "GET" else Browser(app).post(path)
        if path.startswith("/review/pictures/"):
            assert answer.status_code in {303, 401, 404}, (method, path)
            continue
        if method == "GET":
            assert answer.status_code == 303, (method, path)
            assert answer.headers["Location"].startswith("/review/login?next="), (method, path)
        else:
            assert answer.status_code == 401, (method, path)
        assert "post-one" not in answer.text


def test_every_form_is_refused_without_the_token_of_this_very_session(rows, ada, bob):
    rows.item("one")
    strange = form_token(bob.get("/review/"))
    own = form_token(ada.get("/review/"))
    for method, path in routes():
        if method != "POST":
            continue
        for token in ("", "0" * 64, strange):
            assert ada.post(path, {"form_token": token}).status_code == 403, (path, token)
        elsewhere = ada.post(path, {"form_token": own}, headers={"Sec-Fetch-Site": "cross-site"})
        assert elsewhere.status_code == 403, path
    assert ada.get("/review/").status_code == 200


def test_a_form_of_another_kind_or_too_large_a_one_is_refused(ada):
    as_json = ada.client.post("/review/next", json={}, headers=HTML)
    assert as_json.status_code == 415
    assert ada.send("/review/next", {"x": "y" * 70_000}).status_code == 413


def test_the_login_form_too_needs_its_token(app):
    browser = Browser(app)
    assert browser.post("/review/login", {"name": "ada", "password": PASSWORD}).status_code == 403
    token = form_token(Browser(app).get("/review/login"))
    browser.get("/review/login")
    answer = browser.post("/review/login", {"form_token": token, "name": "ada", "password": PASSWORD})
    assert answer.status_code == 403
    assert "desk" not in {cookie.name for cookie in browser.client.cookies.jar}


# ------------------------------------------------------------- the session


def test_the_cookie_is_for_us_alone_and_the_database_cannot_be_used_to_sign_in(rows, ada):
    jar = {cookie.name: cookie for cookie in ada.client.cookies.jar}
    # The other says nothing but that somebody signed in from here before.
    assert set(jar) == {"desk", "desk-known"}
    cookie = jar["desk"]
    assert (cookie.has_nonstandard_attr("HttpOnly"), cookie.get_nonstandard_attr("SameSite")) == (True, "lax")
    with rows.database.reading() as session:
        assert cookie.value not in session.scalars(select(DeskSessionRow.id)).all()


def test_over_a_network_the_cookie_needs_tls(app):
    browser = Browser(app, base="https://desk.example", address="192.0.2.7")
    answer = browser.login("ada")
    assert re.search(
        r"__Host-desk=\S+; HttpOnly; Max-Age=\d+; Path=/; SameSite=lax; Secure", answer.headers["Set-Cookie"]
    )
    plain = Browser(app, base="http://desk.example", address="192.0.2.7")
    refused = plain.login("ada")
    assert refused.status_code == 403
    assert "opened by https" in refused.text
    # Whoever says to be at home is not believed.
    liar = Browser(app, base="http://127.0.0.1", address="192.0.2.7")
    assert all("Secure" in cookie for cookie in liar.get("/review/login").headers.get_list("set-cookie"))


def test_a_session_ends_by_itself(rows, ada):
    now = utc_now()
    for column, age, holds in (
        (DeskSessionRow.seen_at, timedelta(minutes=59), True),
        (DeskSessionRow.seen_at, timedelta(minutes=61), False),
        (DeskSessionRow.created_at, timedelta(hours=11), True),
        (DeskSessionRow.created_at, timedelta(hours=13), False),
    ):
        with rows.database.transaction() as session:
            session.execute(update(DeskSessionRow).values(seen_at=now, created_at=now))
        with rows.database.transaction() as session:
            session.execute(update(DeskSessionRow).values({column: utc_now() - age}))
        assert (ada.get("/review/").status_code == 200) is holds


def test_what_a_page_does_by_itself_does_not_keep_the_session(rows, ada):
    rows.item("one")
    rows.item("two")
    number, page = ada.take()
    token = form_token(page)

    def seen():
        with rows.database.reading() as session:
            return session.scalars(select(DeskSessionRow.seen_at)).one()

    with rows.database.transaction() as session:
        session.execute(update(DeskSessionRow).values(seen_at=utc_now() - timedelta(minutes=30)))
    before = seen()
    kept = {"form_token": token, "token": held_token(page)}
    assert ada.post("/review/renew", kept).status_code == 200
    assert ada.post("/review/ahead", {"form_token": token, "here": str(number)}).json()["href"]
    assert ada.get(picture_address(page)).status_code == 200
    assert seen() == before
    assert ada.get(f"/review/items/{number}").status_code == 200
    assert seen() > before
    with rows.database.transaction() as session:
        session.execute(update(DeskSessionRow).values(seen_at=utc_now() - timedelta(minutes=61)))
    assert ada.post("/review/renew", kept).status_code == 401


def test_signing_out_ends_it_in_the_database_too(ada):
    kept = dict(ada.client.cookies)
    assert ada.send("/review/logout").status_code == 303
    ada.client.cookies.update(kept)
    assert ada.get("/review/").status_code == 303


def test_who_is_disabled_is_out_at_once_and_a_role_holds_at_once(rows, ada):
    assert ada.get("/review/lead").status_code == 403
    with rows.database.transaction() as session:
        reviewers.set_role(session, "ada", Role.LEAD)
    assert ada.get("/review/lead").status_code == 200
    with rows.database.transaction() as session:
        reviewers.set_disabled(session, "ada", disabled=True)
    assert ada.get("/review/").status_code == 303
    assert ada.login("ada").status_code == 403


# --------------------------------------------------------------- the login


def test_wrong_unknown_and_disabled_are_answered_alike_and_cost_the_same(rows, app, monkeypatch):
    with rows.database.transaction() as session:
        reviewers.set_disabled(session, "bob", disabled=True)
    checked = []
    verify = passwords._HASHER.verify
    monkeypatch.setattr(
        type(passwords._HASHER), "verify", lambda _, kept, given: checked.append(kept) or verify(kept, given)
    )
    said = set()
    for name, password in (("ada", "wrong"), ("nobody", PASSWORD), ("bob", PASSWORD), ("<b>", "x")):
        answer = Browser(app).login(name, password)
        assert answer.status_code == 403
        said.add(re.search(r'role="alert">([^<]+)', answer.text)[1])
    assert said == {"this name and password do not go together"}
    assert len(checked) == 4
    assert len({kept.split("$")[3] for kept in checked}) == 1


def test_after_five_failures_the_right_password_too_has_to_wait_and_others_do_not(rows, app):
    for _ in range(5):
        assert Browser(app).login("ada", "wrong").status_code == 403
    assert Browser(app).login("ADA ").status_code == 429
    assert Browser(app).login("bob").status_code == 303
    with rows.database.transaction() as session:
        session.execute(update(LoginFailureRow).values(failed_at=utc_now() - timedelta(minutes=16)))
    assert Browser(app).login("ada").status_code == 303


def test_many_names_from_one_address_have_to_wait_too_and_nobody_chooses_an_address(rows, app):
    with rows.database.transaction() as session:
        session.add_all(
            LoginFailureRow(name=f"n{n}", address="127.0.0.1", failed_at=utc_now()) for n in range(30)
        )
    assert Browser(app).login("ada").status_code == 429
    elsewhere = {"X-Forwarded-For": "198.51.100.1"}
    assert Browser(app, base="https://desk.example").login("ada", headers=elsewhere).status_code == 429
    assert Browser(app, base="https://desk.example", address="192.0.2.7").login("ada").status_code == 303


def test_the_login_leads_nowhere_but_to_the_desk(app):
    for elsewhere in (
        "https://evil.example/",
        "//evil.example",
        "/review/\\evil.example",
        "/v1/submissions",
        "javascript:alert(1)",
        "/review/ x",
    ):
        browser = Browser(app)
        token = form_token(browser.get("/review/login", params={"next": elsewhere}))
        answer = browser.post(
            "/review/login", {"form_token": token, "name": "ada", "password": PASSWORD, "next": elsewhere}
        )
        assert (answer.status_code, answer.headers["Location"]) == (303, "/review/")


# --------------------------------------------------- a single sign-on proxy

PROXY = {"reviewer_header": "X-Forwarded-User", "trusted_proxies": "192.0.2.0/28, 10.0.0.1"}
USER = {"X-Forwarded-User": "Ada", "X-Forwarded-Proto": "https"}


def test_our_proxys_word_counts_and_nobody_elses(rows):
    with app_with(rows, **PROXY) as app:
        through = Browser(app, base="https://desk.example", address="192.0.2.3")
        page = through.get("/review/", headers=USER)
        assert page.status_code == 200
        assert '<span class="name">ada</span>' in page.text
        assert "__Host-desk=" in page.headers["Set-Cookie"]
        stranger = Browser(app, base="https://desk.example", address="198.51.100.9")
        assert stranger.get("/review/", headers=USER).status_code == 401
        # The cookie alone is nothing without the proxy's word, and for nobody else.
        assert through.get("/review/").status_code == 401
        other = through.get("/review/", headers=USER | {"X-Forwarded-User": "bob"})
        assert '<span class="name">bob</span>' in other.text


def test_the_proxy_has_to_name_one_person_who_has_an_account(rows):
    with app_with(rows, **PROXY) as app:
        browser = Browser(app, base="https://desk.example", address="10.0.0.1")
        unknown = browser.get("/review/", headers=USER | {"X-Forwarded-User": "eve"})
        assert (unknown.status_code, "moderate reviewer add" in unknown.text) == (403, True)
        twice = browser.client.get(
            "/review/", headers=[*HTML.items(), ("X-Forwarded-User", "ada"), ("X-Forwarded-User", "lea")]
        )
        assert twice.status_code == 401
        assert browser.get("/review/", headers={"X-Forwarded-User": " "}).status_code == 401


def test_behind_a_proxy_no_password_opens_and_forms_need_their_tokens_still(rows):
    with app_with(rows, **PROXY) as app:
        browser = Browser(app, base="https://desk.example", address="10.0.0.1")
        assert browser.get("/review/login").headers["Location"] == "/review/"
        assert browser.post("/review/login", {"name": "ada", "password": PASSWORD}).status_code == 401
        assert browser.post("/review/next", headers=USER).status_code == 401
        page = browser.get("/review/", headers=USER)
        assert browser.post("/review/next", headers=USER).status_code == 403
        sent = browser.post("/review/next", {"form_token": form_token(page)}, headers=USER)
        assert sent.status_code == 303


def test_an_ipv6_network_is_one_address_and_a_port_makes_no_other(rows):
    for forwarded in ("2001:db8:5:6::{n}", "203.0.113.9:{n}", "[2001:db8:7:8::{n}]:{n}"):
        with app_with(rows, trusted_proxies="10.0.0.0/24") as app:
            statuses = []
            for n in range(1, 8):
                browser = Browser(app, base="https://desk.example", address="10.0.0.7")
                headers = {"X-Forwarded-For": forwarded.format(n=n), "X-Forwarded-Proto": "https"}
                statuses.append(browser.login("ada", "wrong", headers=headers).status_code)
        assert statuses == [403] * 5 + [429] * 2, forwarded


def test_strangers_behind_the_same_proxy_lock_nobody_out_who_signed_in_here_before(rows, app):
    mine = Browser(app)
    assert mine.login("ada").status_code == 303
    mine.send("/review/logout")
    with rows.database.transaction() as session:
        session.add_all(
            LoginFailureRow(name=name, address="127.0.0.1", failed_at=utc_now())
            for name in ["ada"] * 60 + [f"n{n}" for n in range(60)]
        )
    assert Browser(app).login("ada").status_code == 429
    assert mine.login("ADA ").status_code == 303
    # The browser is known for its own person, and is limited too.
    mine.send("/review/logout")
    assert mine.login("bob").status_code == 429
    for _ in range(5):
        assert mine.login("ada", "wrong").status_code == 403
    assert mine.login("ada").status_code == 429


# ------------------------------------------------------------- the pictures


def test_a_picture_is_ours_clear_or_veiled_and_never_the_uploaded_bytes(rows, ada):
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    data = encoded(picture(5), "JPEG", exif=exif)
    rows.item("one", data=data)
    _, page = ada.take()
    shown = {way: ada.get(picture_address(page, way)) for way in ("clear", "veiled")}
    for answer in shown.values():
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/webp")
        assert re.fullmatch(r"private, max-age=\d+", answer.headers["Cache-Control"])
        assert b"where I live" not in answer.content
    clear, veiled = (Image.open(BytesIO(shown[way].content)).convert("RGB") for way in ("clear", "veiled"))
    assert max(clear.size) > 900
    assert max(veiled.size) <= 280
    assert all(low == high for low, high in _differences(veiled)), "it has colours"
    (low, high) = veiled.convert("L").getextrema()
    assert low >= 70
    assert high <= 190
    with rows.database.reading() as session:
        noted = session.scalars(select(AuditLogRow.what).where(AuditLogRow.what == "picture.shown")).all()
    assert noted == ["picture.shown"]


def _differences(image):
    red, green, blue = image.split()
    for channel in (green, blue):
        difference = [abs(a - b) for a, b in zip(red.tobytes(), channel.tobytes(), strict=True)]
        yield max(difference), min(difference)


def test_an_address_holds_for_its_picture_its_session_and_a_while_alone(rows, ada, bob, monkeypatch):
    rows.item("one")
    rows.item("two")
    number, page = ada.take()
    address = picture_address(page)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    path = urlsplit(address).path
    assert ada.get(address).status_code == 200
    for changed in (
        path.replace("clear", "veiled"),
        path.replace(f"/{number}/", f"/{number + 1}/"),
        re.sub(r"/0$", "/1", path),
    ):
        assert ada.get(changed, params=asked).status_code == 403
    assert ada.get(path, params=asked | {"key": "0" * 64}).status_code == 403
    assert ada.get(path, params=asked | {"key": "é"}).status_code == 403
    assert ada.get(path, params=asked | {"until": str(int(asked["until"]) + 600)}).status_code == 403
    assert ada.get(path).status_code == 404
    assert bob.get(address).status_code == 403
    until = datetime.fromtimestamp(int(asked["until"]), UTC)
    monkeypatch.setattr(held_claims, "database_now", lambda _: until)
    expired = ada.get(address)
    assert expired.status_code == 403
    assert "load the page again" in expired.text


def test_a_heat_map_is_for_who_holds_the_item_by_its_signed_address_alone(rows, ada, bob, monkeypatch):
    drawn = DrawnHeatMap(b"a map", Method.OCCLUSION)
    asked = []
    monkeypatch.setattr(DrawHeatMap, "__call__", lambda _self, request: asked.append(request) or drawn)
    rows.item("knife")
    number, page = ada.take()
    address = heat_map_address(page)
    assert f"/pictures/{number}/heat/weapons?" in address
    answer = ada.get(address)
    assert (answer.status_code, answer.content) == (200, b"a map")
    assert answer.headers["X-Heat-Map-Method"] == "occlusion"
    assert re.fullmatch(r"private, max-age=\d+", answer.headers["Cache-Control"])
    assert [one.label for one in asked] == ["weapons"]
    for other in (address.replace("weapons", "nudity"), re.sub("key=..", "key=00", address)):
        assert ada.get(other).status_code == 403
    assert bob.get(address).status_code == 403
    ada.send(f"/review/items/{number}/release", {"token": held_token(page)})
    assert ada.get(address).status_code == 403
    assert len(asked) == 1
    with rows.database.reading() as session:
        noted = session.scalars(select(AuditLogRow.what).where(AuditLogRow.what == "heat_map.shown")).all()
    assert noted == ["heat_map.shown"]


def test_the_desk_says_why_the_model_does_not_explain(rows, ada, monkeypatch):
    def fail(_self, _request):
        raise UnavailableError("the heat map needs the model: it took too long", hint="use the command")

    monkeypatch.setattr(DrawHeatMap, "__call__", fail)
    rows.item("knife")
    _, page = ada.take()
    answer = ada.get(heat_map_address(page), headers={"Accept": "text/plain"})
    assert (answer.status_code, answer.text) == (410, "the heat map needs the model: it took too long")


def test_heat_maps_can_be_turned_off(rows):
    rows.item("knife")
    with app_with(rows, review_heat_map_memory_bytes=0) as app:
        browser = Browser(app)
        browser.login("ada")
        _, page = browser.take()
    assert "heat-key" not in page.text
    assert "/heat/" not in page.text


def heat_map_address(page):
    return re.search(r'"url": "(/review/pictures/[^"]+/heat/[^"]+)"', page.text)[1].replace("\\u0026", "&")


def test_a_picture_is_shown_as_long_as_the_item_is_in_hand(rows, ada):
    rows.item("one")
    number, page = ada.take()
    ada.send(f"/review/items/{number}/release", {"token": held_token(page)})
    assert ada.get(picture_address(page)).status_code == 403


def test_where_the_picture_is_gone_the_desk_says_why(rows, ada):
    rows.item("one")
    _, page = ada.take()
    (rows.settings.media_root / "one.png").unlink()
    # Else the media root would count as not mounted.
    (rows.settings.media_root / "another.png").touch()
    answer = ada.get(picture_address(page))
    assert answer.status_code == 410
    assert "there is no file &#39;one.png&#39; below the media root" in answer.text


def test_a_picture_that_came_inside_its_message_is_shown_while_its_source_is_kept(rows, ada):
    data = encoded(picture(9), "PNG")
    rows.item("one", data=data, source=InlineBytes(data))
    number, page = ada.take()
    assert "came inside its message" in page.text
    with rows.database.transaction() as session:
        review_sources.keep(session, {"one": unrecorded_source(InlineBytes(data))})  # type: ignore[dict-item]
    assert ada.get(picture_address(ada.get(f"/review/items/{number}"))).status_code == 200


def test_no_path_leads_out(ada):
    for path in (
        "/review/static/../service.py",
        "/review/static/..%2f..%2fservice.py",
        "/review/static/%2e%2e/templates/base.html",
        "/review/static//etc/passwd",
        "/review/static/desk.css%00.js",
        "/review/pictures/1/../../lead",
        "/review/pictures/1/clear/..%2f..%2fone.png",
    ):
        answer = ada.client.get(path, headers=HTML)
        assert answer.status_code in {400, 403, 404, 422}
        assert "root:" not in answer.text
        assert "def " not in answer.text


# ------------------------------------------------------ another person's item


def test_another_persons_item_shows_nothing_and_cannot_be_answered(rows, ada, bob):
    rows.item("one")
    number, page = ada.take()
    there = bob.get(f"/review/items/{number}")
    assert there.status_code == 409
    assert "ada has claimed item" in there.text
    assert "post-one" not in there.text
    assert "/pictures/" not in there.text
    for what in ("verdict", "skip", "escalate"):
        stolen = bob.send(
            f"/review/items/{number}/{what}", {"token": held_token(page), "action": "block", "reason": "mine"}
        )
        assert stolen.status_code == 409, what
        assert "ada" in stolen.text
    assert bob.send(f"/review/items/{number}/claim").status_code == 409
    kept = bob.client.post(
        "/review/renew",
        data={"form_token": form_token(bob.get("/review/")), "token": held_token(page)},
        headers={"Accept": "application/json"},
    )
    assert (kept.status_code, "ada" in kept.json()["conflict"]) == (409, True)
    bob.send(f"/review/items/{number}/release", {"token": held_token(page)})
    assert ada.get(f"/review/items/{number}").status_code == 200


def test_a_late_verdict_is_a_conflict_that_says_who_was_first(rows, ada, bob):
    rows.item("one")
    number, page = ada.take()
    with rows.database.transaction() as session:
        review_claims.renew(session, [number], utc_now() - timedelta(seconds=1))
    _, theirs = bob.take()
    answer = {"action": "block", "reason": "a knife"}
    assert (
        bob.send(f"/review/items/{number}/verdict", {"token": held_token(theirs), **answer}).status_code
        == 303
    )
    late = ada.send(f"/review/items/{number}/verdict", {"token": held_token(page), **answer})
    assert late.status_code == 409
    assert "settled by bob at" in late.text
    assert "Somebody was first" in late.text


def test_opt_outs_and_the_lead_only_are_enforced_by_number_too(rows, app):
    weapons, nudity = rows.item("one"), rows.item("two", scores(nudity=0.8))
    rows.person("eve", opt_outs=frozenset({"weapons"}))
    eve = Browser(app)
    eve.login("eve")
    assert eve.send(f"/review/items/{weapons}/claim").status_code == 403
    number, page = eve.take()
    assert number == nudity
    eve.send(f"/review/items/{number}/escalate", {"token": held_token(page), "reason": "beyond me"})
    assert eve.send(f"/review/items/{nudity}/claim").status_code == 403
    assert eve.send("/review/next").headers["Location"] == "/review/?nothing=1"


def test_somebody_elses_verdict_cannot_be_undone(rows, service, ada, bob):
    rows.item("one")
    number, page = ada.take()
    ada.send(f"/review/items/{number}/verdict", {"token": held_token(page), "action": "allow"})
    verdict = service.desk.parts.last_verdict("ada").id
    assert bob.send("/review/undo", {"verdict": str(verdict)}).status_code == 403
    assert bob.send("/review/undo", {"verdict": "1 OR 1"}).status_code == 422


def test_a_crooked_form_is_refused_and_nothing_is_recorded(rows, service, ada):
    rows.item("one")
    number, page = ada.take()
    for form in (
        {},
        {"token": "x"},
        {"token": "1"},
        {"token": "1.2.3"},
        {"token": "9" * 30 + ".1"},
        {"token": "NUMBER.99", "action": "allow"},
        {"token": "TOKEN", "action": "review"},
        {"token": "TOKEN", "action": "block", "label": "no such label"},
        {"token": "TOKEN", "action": "block", "note": "\0"},
        {"token": "TOKEN", "action": "block", "reason": "x" * 501},
    ):
        sent = {
            k: v.replace("TOKEN", held_token(page)).replace("NUMBER", str(number)) for k, v in form.items()
        }
        assert ada.send(f"/review/items/{number}/verdict", sent).status_code in {400, 409, 422}
        assert service.desk.parts.last_verdict("ada") is None


# --------------------------------------------------------------- stored script


def pages(browser):
    """Yield every kind of page with the platform's text on it."""
    yield browser.get("/review/")
    number, page = browser.take()
    yield page
    yield browser.send(
        f"/review/items/{number}/verdict", {"token": held_token(page), "action": "block", "label": SCRIPT}
    )
    yield browser.get("/review/submissions/one")
    yield browser.get("/review/", params={"label": SCRIPT, "queue": f'"{SCRIPT}'})
    yield browser.get("/review/lead")
    yield browser.get(f"/review/submissions/{SCRIPT}")
    yield browser.get(f"/review/items/{number}", params={"shown": SCRIPT, "with": SCRIPT, "frame": SCRIPT})


def test_the_policy_s_words_are_marked_in_the_text_beside_the_picture(rows, ada):
    rows.item("one", text="<b>cheap</b> AK_47\x1b[2J, with ammunition")
    _, page = ada.take()
    marked = "&lt;b&gt;cheap&lt;/b&gt; <mark>AK_47</mark>\\x1b[2J, with <mark>ammunition</mark></blockquote>"
    assert marked in page.text


def test_a_picture_without_a_text_has_no_place_for_one(rows, ada):
    rows.item("one")
    assert "<blockquote" not in ada.take()[1].text


def test_what_the_platform_sends_stays_text_and_no_page_has_a_script_or_style_of_its_own(rows, app):
    rows.item(
        "one",
        reference=f"{SCRIPT}.png",
        context={SCRIPT: ["'><img src=x onerror=alert(1)>"]},
        text=f"{SCRIPT} <b>AK_47</b>\x1b[2J",
    )
    lea = Browser(app)
    lea.login("lea")
    seen = 0
    for page in [*pages(lea), Browser(app).get("/review/login", params={"next": f'"{SCRIPT}'})]:
        seen += SCRIPT in page.text.replace("&lt;", "<").replace("&gt;", ">")
        assert SCRIPT not in page.text
        assert "<img src=x" not in page.text
        assert re.findall(r"<script(?![^>]* src=\"/review/static/)", page.text) == []
        assert (
            re.findall(r"<style|\sstyle=|\son\w+=|javascript:", page.text.replace("onerror=alert(1)", ""))
            == []
        )
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert (page.headers["X-Frame-Options"], page.headers["Cache-Control"]) == ("DENY", "no-store")
        assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert seen >= 4


def test_an_appeals_words_and_a_reviewers_note_stay_text_too(rows, ada):
    rows.item("one")
    number, page = ada.take()
    sent = {
        "token": held_token(page),
        "action": "block",
        "label": "weapons",
        "reason": SCRIPT,
        "note": SCRIPT,
    }
    ada.send(f"/review/items/{number}/verdict", sent)
    history = ada.get("/review/submissions/one")
    assert history.status_code == 200
    assert SCRIPT not in history.text


# ------------------------------------------------------------------- switches


def test_the_desk_can_be_left_out(rows):
    with app_with(rows, review_desk=False) as app:
        assert Browser(app).get("/review/").status_code == 404


def test_without_the_slash_it_leads_there(app):
    answer = Browser(app).get("/review")
    assert (answer.status_code, answer.headers["Location"]) == (308, "/review/")


def test_when_there_is_no_account_the_login_says_how_to_make_one(rows, app):
    for name in ("ada", "bob", "lea"):
        with rows.database.transaction() as session:
            reviewers.set_disabled(session, name, disabled=True)
    assert "moderate reviewer add NAME --role admin" in Browser(app).get("/review/login").text


def test_what_waits_is_listed_by_filters(rows, ada):
    rows.item("one")
    rows.item("two", scores(alcohol=0.7))
    listed = ada.get("/review/", params={"label": "alcohol"})
    assert "post-two" in listed.text
    assert "post-one" not in listed.text
    with rows.database.reading() as session:
        assert len(review_search.page(session, review_search.ReviewFilters(), limit=9)) == 2
    assert "post-two" not in ada.get("/review/", params={"age": "4h"}).text
