"""The review desk as a person works it, in a real Chromium: look, decide by keyboard, undo, disagree."""

import re
import shutil
from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import pytest
from moderation_client.submission import InlineBytes, LocalFile, Submission
from moderation_demo import PICTURES
from PIL import Image
from playwright.sync_api import expect
from sqlalchemy import select
from support.browser import barriers, running_chromium
from support.desk import PASSWORD, desk_rows, moving_picture, scores
from support.pictures import RED, encoded
from support.web_api import serving_api

from worker.domain.accounts.reviewer import Role
from worker.domain.moderation.view import View
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import AuditLogRow, ReversalRow, ReviewRow, VerdictRow
from worker.store.reviews import review_claims, reviews, verdicts
from worker.wiring.worker_service import open_service

DAGGERS_AND_ROSES = """name: stickers
description: Stickers.
templates: ["a sticker of {}", "{}"]
background: [an ordinary picture, something else]
labels:
  weapons: {prompts: [a dagger], review: 0.5, severity: 4}
  flowers: {prompts: [a rose], review: 0.5, severity: 1}
"""
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SAME = [1.0] + [0.0] * 15


@pytest.fixture(scope="module")
def chromium():
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def rows(tmp_path):
    with desk_rows(tmp_path) as made:
        for name, role in (("ada", Role.REVIEWER), ("bob", Role.REVIEWER), ("lea", Role.LEAD)):
            made.person(name, role)
        yield made


@pytest.fixture
def url(rows):
    with serving_api(rows.settings) as (address, _):
        yield address


@pytest.fixture
def sign_in(chromium, url):
    """Return what opens the desk for a person, each in a browser of their own."""
    contexts, troubles = [], []

    def opened(name, **options):
        context = chromium.new_context(base_url=url, **({"viewport": DESKTOP} | options))
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "console", lambda said: troubles.append(said.text) if "Security Policy" in said.text else None
        )
        page.goto("/review/")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Queue")).to_be_visible()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []


def take_next(page):
    go(page, "n")
    expect(page.locator("#verdict-form")).to_be_visible()
    # The next item is looked up as soon as this one stands.
    expect(page.locator("#verdict-form[data-ahead]")).to_be_visible()


def go(page, key):
    """Press a key that leads to another page."""
    with page.expect_navigation():
        page.keyboard.press(key)


def loaded(page):
    """Wait until the picture is there; return its address and its width."""
    return page.locator("#picture").evaluate(
        "async (picture) => { await picture.decode(); return [new URL(picture.src).pathname, picture.naturalWidth] }"
    )


def answers(rows, table=VerdictRow):
    with rows.database.reading() as session:
        return list(session.scalars(select(table).order_by(table.created_at)))


def test_the_whole_picture_is_in_its_frame_whatever_its_shape(rows, sign_in):
    for name, size in (("wide", (640, 200)), ("usual", (640, 480)), ("tall", (300, 900))):
        rows.item(name, data=encoded(Image.new("RGB", size, "teal"), "PNG"), size=size)
    page = sign_in("ada", viewport={"width": 1440, "height": 900})
    take_next(page)
    for _ in range(3):
        loaded(page)
        frame, shown = (page.locator(name).bounding_box() for name in ("#frame", "#picture"))
        assert (shown["y"], shown["height"]) == pytest.approx((frame["y"], frame["height"]), abs=1)
        go(page, "b")


def test_a_heat_map_shows_where_each_flagged_label_comes_from(rows, sign_in, tmp_path):
    judge(rows, tmp_path / "policies", "dagger-and-rose.jpg")
    page = sign_in("ada", viewport={"width": 1440, "height": 900})
    take_next(page)
    expect(page.locator("#heat")).to_be_hidden()
    page.keyboard.press("h")
    expect(page.locator("#heat-says")).to_contain_text("being computed")
    expect(page.locator("#heat")).to_be_visible(timeout=120_000)
    expect(page.locator("#heat-says")).to_have_text(
        "weapons, 1 of 2: “a dagger” against “something else”, by Grad-ECLIP"
    )
    expect(page.get_by_role("button", name="Heat map")).to_have_attribute("aria-pressed", "true")
    # Exactly over the picture as it is shown, and the veil stays.
    boxes = [page.locator(name).bounding_box() for name in ("#picture", "#heat")]
    assert boxes[0] == pytest.approx(boxes[1], abs=1)
    assert "/veiled/" in loaded(page)[0]
    ratios = page.locator(".frame img").evaluate_all(
        "all => all.map((one) => one.naturalWidth / one.naturalHeight)"
    )
    assert ratios[0] == pytest.approx(ratios[1], rel=0.01)
    assert barriers(page) == []
    page.keyboard.press("h")
    expect(page.locator("#heat-says")).to_contain_text("flowers, 2 of 2: “a rose”")
    expect(page.locator("#heat")).to_be_visible()
    page.keyboard.press("h")
    expect(page.locator("#heat")).to_be_hidden()
    expect(page.locator("#heat-legend")).to_be_hidden()
    with rows.database.reading() as session:
        entries = session.scalars(select(AuditLogRow).where(AuditLogRow.what == "heat_map.shown"))
        shown = [(one.actor, one.details) for one in entries]
    assert shown == [("ada", {"label": "weapons"}), ("ada", {"label": "flowers"})]


def test_the_desk_says_why_there_is_no_heat_map(rows, sign_in):
    rows.item("knife")
    (rows.settings.media_root / ".keep").touch()
    page = sign_in("ada")
    take_next(page)
    (rows.settings.media_root / "knife.png").unlink()
    page.keyboard.press("h")
    expect(page.locator("#heat-says")).to_contain_text("weapons, no heat map: ")
    expect(page.locator("#heat-says")).to_contain_text("knife.png")
    expect(page.locator("#heat")).to_be_hidden()


def judge(rows, policies, name):
    """Judge one of the sample pictures as a worker does, by a policy that asks people about daggers and roses."""
    policies.mkdir()
    (policies / "stickers.yaml").write_text(DAGGERS_AND_ROSES)
    shutil.copy(PICTURES / name, rows.settings.media_root)
    with open_service(rows.settings.model_copy(update={"policies": policies})) as service:
        service.moderate_image(Submission("upload", LocalFile(name)))


def test_the_part_that_showed_a_label_is_named_and_outlined(rows, sign_in):
    tall = Image.new("RGB", (270, 600), "teal")
    tall.paste("orange", (0, 330, 270, 600))
    found = replace(scores(weapons=0.93)[0], view=View(part=3, parts=4, is_tall=True))
    rows.item("knife", [found], data=encoded(tall, "PNG"), size=tall.size, parts=4)
    page = sign_in("ada")
    take_next(page)
    page.keyboard.press("v")
    loaded(page)

    expect(page.locator(".why")).to_contain_text("the 4th of 4 parts from the top")
    expect(page.locator(".size")).to_contain_text(
        "270 \u00d7 600, flagged in the 4th of 4 parts from the top"
    )
    expect(page.get_by_role("img", name="Flagged in the 4th of 4 parts from the top")).to_be_visible()
    frame, square = (page.locator(name).bounding_box() for name in ("#frame", ".outline rect >> nth=0"))
    shown = frame["height"] * 270 / 600
    assert square["width"] == pytest.approx(shown, abs=5)
    assert square["y"] == pytest.approx(frame["y"] + frame["height"] - shown, abs=5)
    assert square["x"] == pytest.approx(frame["x"] + (frame["width"] - shown) / 2, abs=5)
    assert barriers(page) == []
    page.keyboard.press("z")
    expect(page.locator(".outline")).to_be_hidden()


def test_the_outline_is_on_the_frame_that_showed_the_label_and_on_no_other(rows, sign_in):
    found = replace(scores(weapons=0.93)[0], view=View(frame=1, part=1, parts=3))
    frames = [Image.new("RGB", (320, 180), colour) for colour in ("teal", "orange", "white")]
    file = BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=500, loop=0)
    rows.item("knife", [found], data=file.getvalue(), size=(320, 180), frames=3, parts=3)
    page = sign_in("ada")
    take_next(page)
    page.keyboard.press("v")
    loaded(page)
    expect(page.locator(".outline")).to_be_visible()
    page.keyboard.press("f")
    expect(page.locator(".outline")).to_be_hidden()
    page.keyboard.press("Shift+F")
    expect(page.locator(".outline")).to_be_visible()


def test_what_shows_on_a_black_page_alone_is_shown_on_one(rows, sign_in):
    hidden = Image.new("RGBA", (64, 48), (255, 255, 255, 0))
    hidden.paste((255, 255, 255, 255), (16, 12, 48, 36))
    found = replace(scores(weapons=0.93)[0], view=View(on_black=True))
    rows.item("knife", [found], data=encoded(hidden, "PNG"))
    page = sign_in("ada")
    take_next(page)
    assert loaded(page)[0].endswith("/veiled/black/0")
    expect(page.locator("#black")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".why")).to_contain_text("on black")
    page.keyboard.press("k")
    assert loaded(page)[0].endswith("/veiled/white/0")


def test_look_reveal_decide_undo_all_by_keyboard(rows, sign_in):
    rows.item("knife", scores(weapons=0.93, alcohol=0.2), context={"title": "<b>my</b> kitchen"})
    rows.item("wine", scores(alcohol=0.8))
    page = sign_in("ada")
    fetched = []
    page.on("request", lambda request: fetched.append(request.url))
    take_next(page)
    address, width = loaded(page)
    assert re.search(r"/pictures/\d+/veiled/white/0$", address)
    assert width <= 280
    assert not [one for one in fetched if "/clear/" in one]
    # The next picture is here before it is asked for.
    assert len({one for one in fetched if "/veiled/" in one}) == 2
    expect(page.get_by_role("img", name="weapons: score 0.93, review at 0.5, block at 0.95")).to_be_visible()
    expect(page.locator(".why")).to_contain_text("“a handgun” beat “an everyday scene”")
    expect(page.locator(".context")).to_contain_text("<b>my</b> kitchen")
    page.keyboard.press("v")
    address, width = loaded(page)
    assert "/clear/" in address
    assert width > 900
    page.keyboard.press("2")
    page.keyboard.press("1")
    expect(page.get_by_role("checkbox", name="alcohol")).to_be_checked()
    page.keyboard.press("o")
    page.keyboard.type("a knife, a bottle")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    expect(page.get_by_role("heading", name="Alcohol")).to_be_visible()
    (verdict,) = answers(rows)
    assert (verdict.action, sorted(verdict.labels), verdict.reviewer) == (
        "block",
        ["alcohol", "weapons"],
        "ada",
    )
    assert verdict.note == "a knife, a bottle"
    expect(page.get_by_label("Your last verdict")).to_contain_text(
        "You blocked post-knife as alcohol, weapons"
    )
    page.keyboard.press("u")
    expect(page.get_by_role("heading", name="Weapons")).to_be_visible()
    assert [one.verdict_id for one in answers(rows, ReversalRow)] == [verdict.id]
    expect(page.get_by_label("Your last verdict")).to_have_count(0)
    page.keyboard.press("a")
    expect(page.get_by_role("heading", name="Alcohol")).to_be_visible()
    page.keyboard.press("a")
    expect(page.get_by_role("status")).to_contain_text("Nothing waits for you now")
    with rows.database.reading() as session:
        assert verdicts.latest_of(session, ["knife"])["knife"].labels == frozenset()
        shown = session.scalars(select(AuditLogRow.details).where(AuditLogRow.what == "verdict.made")).all()
    assert [one["shown"]["picture"] for one in shown] == ["clear", "veiled", "veiled"]


def test_two_browsers_and_one_item(rows, sign_in):
    number = rows.item("knife")
    ada, bob = sign_in("ada"), sign_in("bob")
    take_next(ada)
    bob.goto(f"/review/items/{number}")
    expect(bob.get_by_role("heading", name="Claimed by somebody else")).to_be_visible()
    with rows.database.transaction() as session:
        review_claims.renew(session, [number], utc_now() - timedelta(seconds=1))
    bob.goto(f"/review/items/{number}")
    bob.keyboard.press("n")
    expect(bob.locator("#verdict-form")).to_be_visible()
    # Coming back to the page tells what happened meanwhile.
    ada.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(ada.locator("#lost")).to_contain_text("claimed by bob")
    bob.keyboard.press("a")
    expect(bob.get_by_role("heading", name="Queue")).to_be_visible()
    ada.keyboard.press("b")
    expect(ada.get_by_role("heading", name="Somebody was first")).to_be_visible()
    expect(ada.locator("main")).to_contain_text("settled by bob at")
    assert [one.reviewer for one in answers(rows)] == ["bob"]


def test_a_group_is_answered_at_one_look_and_taken_back_as_one(rows, sign_in):
    for name in ("one", "two", "three", "four"):
        rows.item(
            name, data=encoded(Image.new("RGB", (64, 48), RED), "PNG", compress_level=len(name)), vector=SAME
        )
    page = sign_in("ada")
    take_next(page)
    expect(page.get_by_role("heading", name="3 nearly the same")).to_be_visible()
    page.get_by_role("checkbox", name="post-three").uncheck()
    page.keyboard.press("b")
    expect(page.get_by_label("Your last verdict")).to_contain_text("You blocked 3 items at once as weapons")
    given = answers(rows)
    assert {one.submission_id for one in given} == {"one", "two", "four"}
    assert len({one.given_with for one in given}) == 1
    # What was left out is asked next.
    expect(page.locator(".about")).to_contain_text("post-three")
    page.keyboard.press("u")
    expect(page.get_by_role("heading", name="2 nearly the same")).to_be_visible()
    assert len(answers(rows, ReversalRow)) == 3


def test_frames_zoom_skip_escalate_and_give_back(rows, sign_in):
    rows.item("hens", scores(weapons=0.8), data=moving_picture(), frames=3)
    rows.item("wine", scores(alcohol=0.8))
    page = sign_in("ada")
    take_next(page)
    page.keyboard.press("f")
    assert loaded(page)[0].endswith("/veiled/white/1")
    page.keyboard.press("Shift+F")
    page.keyboard.press("Shift+F")
    assert loaded(page)[0].endswith("/veiled/white/2")
    page.keyboard.press("k")
    assert loaded(page)[0].endswith("/veiled/black/2")
    page.keyboard.press("z")
    expect(page.get_by_role("button", name="Zoom")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("s")
    page.keyboard.type("not for me")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Alcohol")).to_be_visible()
    page.keyboard.press("e")
    page.keyboard.type("is this whisky?")
    page.keyboard.press("Enter")
    # What was skipped comes again at the very end.
    expect(page.get_by_role("heading", name="Weapons")).to_be_visible()
    page.keyboard.press("q")
    expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    assert answers(rows) == []
    with rows.database.reading() as session:
        assert reviews.held_by(session, "ada", utc_now()) == []
        assert session.scalars(select(ReviewRow.for_lead).order_by(ReviewRow.id)).all() == [False, True]
    lead = sign_in("lea")
    lead.get_by_role("link", name="alcohol").click()
    # A key that is pressed while the page loads is lost on anyone.
    lead.wait_for_url("**/review/items/*")
    lead.keyboard.press("n")
    expect(lead.locator(".why")).to_contain_text("Escalated: is this whisky?")


def test_a_reason_is_demanded_where_the_policy_demands_one(rows, sign_in):
    rows.item("beach", scores(alcohol=0.8))
    page = sign_in("ada")
    take_next(page)
    page.keyboard.press("3")
    page.keyboard.press("b")
    expect(page.get_by_role("alert").first).to_contain_text(
        "requires a reason for every verdict about nudity"
    )
    expect(page.get_by_role("checkbox", name="nudity")).to_be_checked()
    page.keyboard.press("r")
    page.keyboard.type("topless")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    expect(page.get_by_role("status")).to_contain_text("Nothing waits")
    (verdict,) = answers(rows)
    assert (verdict.labels, verdict.reason) == (["nudity"], "topless")


def test_where_the_picture_is_gone_the_page_says_why(rows, sign_in):
    rows.item("knife")
    rows.item("letter", scores(alcohol=0.8), source=InlineBytes(b"gone with the message"))
    (rows.settings.media_root / "knife.png").unlink()
    page = sign_in("ada")
    take_next(page)
    expect(page.locator("#gone")).to_contain_text("there is no file 'knife.png' below the media root")
    page.keyboard.press("a")
    expect(page.locator(".gone")).to_contain_text(
        "the picture came inside its message, and is not kept any more"
    )


def test_a_person_can_have_pictures_shown_at_once(rows, sign_in):
    rows.item("knife")
    page = sign_in("ada")
    page.locator(".me summary").click()
    with page.expect_navigation():
        page.get_by_role("button", name="Show pictures at once").click()
    take_next(page)
    assert "/clear/" in loaded(page)[0]


def test_without_script_every_form_works(rows, sign_in):
    rows.item("knife")
    page = sign_in("ada", java_script_enabled=False)
    page.get_by_role("button", name="Start reviewing").click()
    assert "/veiled/" in page.locator("#picture").get_attribute("src")
    page.get_by_role("button", name="Show the picture").click()
    assert "/clear/" in page.locator("#picture").get_attribute("src")
    page.get_by_role("checkbox", name="alcohol").check()
    page.get_by_role("button", name="Block").click()
    expect(page.get_by_role("status")).to_contain_text("Nothing waits")
    assert [one.labels for one in answers(rows)] == [["alcohol"]]
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#verdict-form")).to_be_visible()


@pytest.mark.parametrize(
    ("viewport", "colours"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop, light", "phone, dark"]
)
def test_every_page_is_for_everybody_and_fits(rows, sign_in, viewport, colours):
    for n in range(3):
        rows.item(f"done-{n}", scores(alcohol=0.6 + n / 10))
    page = sign_in("lea", viewport=viewport, color_scheme=colours)
    take_next(page)
    for _ in range(3):
        go(page, "b")
    for name in ("one", "two"):
        rows.item(
            name,
            scores(weapons=0.97, nudity=0.7),
            vector=SAME,
            frames=3,
            data=moving_picture() + name.encode(),
            reference="a" * 200,
        )
    taken = rows.item("taken")
    page.goto("/review/")
    found = {"queue": looked_at(page)}
    take_next(page)
    page.keyboard.press("v")
    found["item"] = looked_at(page)
    page.keyboard.press("s")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    found["keys"] = looked_at(page)
    for name, path in (
        ("history", "/review/submissions/done-1"),
        ("overview", "/review/lead"),
        ("nothing", "/review/?queue=nowhere&nothing=1"),
        ("free", f"/review/items/{taken}"),
        ("unknown", "/review/items/999"),
        ("error", "/review/elsewhere"),
    ):
        page.goto(path)
        found[name] = looked_at(page)
    page.goto("/review/")
    page.locator(".me summary").click()
    found["menu"] = looked_at(page)
    with page.expect_navigation():
        page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    found["login"] = looked_at(page)
    assert [problem for problems in found.values() for problem in problems] == []


def test_the_judge_of_barriers_sees_one(chromium):
    page = chromium.new_page()
    page.set_content('<p style="color: #ccc">hardly to be read</p><img src="data:,">')
    assert [one.partition(":")[0] for one in barriers(page) if "color-contrast" in one or "image-alt" in one]
    page.close()


def looked_at(page):
    """Return what is wrong with a page: barriers, and what does not fit into the window."""
    wide, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    return barriers(page) + ([f"{wide} pixels in a window of {window}"] if wide > window else [])


def test_the_leads_page_shows_how_the_queue_and_the_verdicts_stand(rows, sign_in):
    for n in range(4):
        rows.item(f"old-{n}", scores(weapons=0.9 - n / 100))
    page = sign_in("lea")
    take_next(page)
    for key in "bba":
        go(page, key)
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_label("Now")).to_contain_text("3verdicts in 14 days")
    expect(page.get_by_role("img", name="3 verdicts from")).to_be_visible()
    expect(page.get_by_role("img", name="weapons: precision 67 %")).to_be_visible()
    expect(page.get_by_role("row", name="lea")).to_contain_text("3")
    reviewer = sign_in("ada")
    expect(reviewer.get_by_role("link", name="Overview")).to_have_count(0)
    reviewer.goto("/review/lead")
    expect(reviewer.locator("main")).to_contain_text("this page is for leads")


def test_what_a_platform_wrote_turns_no_text_beside_it(rows, sign_in):
    turned = "post\u202e-gpj"
    rows.item("knife", scores(weapons=0.93), reference=turned, context={"title": turned})
    page = sign_in("ada")
    queued = page.locator(".items .id")
    expect(queued).to_have_text(turned)
    assert queued.evaluate("one => getComputedStyle(one).unicodeBidi") == "isolate"
    take_next(page)
    for shown in page.locator(".about .id, .context, .bars bdi").all():
        assert shown.evaluate("one => getComputedStyle(one).unicodeBidi") == "isolate"
    expect(page.locator(".context")).to_contain_text(r"post\u202e-gpj")
    assert page.locator(".bars bdi").count() > 1
