"""References, file names, contexts and policy texts hold what a terminal obeys: every command shows it, none obeys it."""

import csv
import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from moderation_demo import PICTURES
from support.store_records import REVIEW, record, submission

PIZZA = PICTURES / "pizza.jpg"
#: Clears the screen, names the window, links elsewhere, turns colours on, reverses the text, forges a line; and
#: looks like rich's markup and its emoji codes.
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x1b]8;;https://evil.example\x1b\\post\x9b31m\u202egpj.\n[red]42[/] :cat:"
SHOWN = r"\x1b[2J\x1b]0;owned\x07\x1b]8;;https://evil.example\x1b\post\x9b31m\u202egpj.\n[red]42[/] :cat:"
#: Raw, any of these would be obeyed.
OBEYED = set(HOSTILE) - set(map(chr, range(32, 127))) - {"\n"}
NOT_UNICODE = b"caf\xe9-\xff.jpg"


def assert_harmless(result, *, exit_code=0):
    assert result.exit_code == exit_code, result.err
    assert OBEYED & set(result.out + result.err) == set()
    (result.out + result.err).encode()


@pytest.fixture
def hostile(moderate, sqlite_database):
    """Record a decision in whose texts everything is hostile that a platform or a policy may choose."""
    what = replace(submission("esc-1", HOSTILE), context={HOSTILE: HOSTILE})
    assert record(sqlite_database, what, decision=replace(REVIEW, reason=HOSTILE))
    assert moderate("reviewer", "add", "ada", "--sso").exit_code == 0


@pytest.mark.parametrize(
    "command",
    [
        "decisions",
        "explain esc-1",
        "review list",
        "review claim --as ada",
        "review stats",
        "outbox list",
        "status",
        "policy status",
    ],
)
@pytest.mark.parametrize("form", ["text", "--json"])
def test_no_command_obeys_what_is_stored(moderate, hostile, command, form):
    result = moderate(*command.split(), *([form] if form == "--json" and "claim" not in command else []))
    assert OBEYED & set(result.out + result.err) == set()
    if form == "--json" and "claim" not in command:
        json.loads(result.out)


def test_a_reference_is_shown_as_it_is(moderate, hostile):
    assert SHOWN in moderate("explain", "esc-1").out
    for command in (["decisions"], ["review", "list"]):
        assert r"\x1b[2J\x1b]0;owned\x07\x1b]8;;https://evil.example" in moderate(*command).out
    (decision,) = json.loads(moderate("decisions", "--json").out)
    assert (decision["reference"], decision["context"]) == (HOSTILE, {HOSTILE: HOSTILE})


@pytest.fixture
def names(tmp_path):
    """Return a folder with pictures of hostile names, one of which is not valid Unicode."""
    folder = tmp_path / "media"
    folder.mkdir()
    for name in (b"plain.jpg", NOT_UNICODE, HOSTILE.replace("/", "-").encode()[:200] + b".jpg"):
        shutil.copy(PIZZA, folder / os.fsdecode(name))
    return folder


def test_scan_judges_and_shows_every_file(moderate, names, tmp_path):
    sheet = tmp_path / "sheet.html"
    result = moderate("scan", names, "--html", sheet)
    assert_harmless(result)
    assert result.out.count("allow") == 4  # three files, and the sum
    assert r"caf\udce9-\udcff.jpg" in result.out
    assert r"caf\udce9-\udcff.jpg" in sheet.read_text(encoding="utf-8")
    assert OBEYED & set(sheet.read_text(encoding="utf-8")) == set()


def test_scan_json_and_csv_stay_what_they_are(moderate, names):
    as_json, as_csv = moderate("scan", names, "--json"), moderate("scan", names, "--csv")
    for result in (as_json, as_csv):
        assert_harmless(result)
    assert {Path(one["file"]) for one in json.loads(as_json.out)} == set(names.iterdir())
    rows = list(csv.DictReader(io.StringIO(as_csv.out)))
    assert [row["action"] for row in rows] == ["allow"] * 3


def test_a_contact_sheet_may_have_any_name(moderate, names, tmp_path):
    sheet = tmp_path / os.fsdecode(b"sheet-\xff.html")
    assert_harmless(moderate("scan", names, "--html", sheet))
    assert sheet.is_file()


def test_classify_ranks_every_file(moderate, names):
    result = moderate("classify", names, "--labels", "pizza,owl")
    assert_harmless(result)
    assert result.out.count("pizza") == 3
    ranked = json.loads(moderate("classify", names, "--labels", "pizza,owl", "--json").out)
    assert {Path(one["file"]) for one in ranked} == set(names.iterdir())


def test_submit_enqueues_what_a_message_can_name_and_reports_the_rest(moderate, names, redis_url):
    settings = {"broker_url": redis_url, "queue": "hostile-names", "media_root": names}
    result = moderate("submit", names, **settings)
    assert_harmless(result, exit_code=1)
    assert len(result.out.split()) == 1
    assert r"caf\udce9-\udcff.jpg is not enqueued" in result.err
    assert "control character" in result.err
    result = moderate("submit", names, "--inline", **settings)
    assert_harmless(result)
    assert len(result.out.split()) == 3
    with redis.Redis.from_url(redis_url) as connection:
        assert connection.llen("hostile-names") == 4


def test_a_policy_of_hostile_texts_is_checked_and_reported_harmlessly(moderate, tmp_path):
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "stickers.yaml").write_text(
        "name: stickers\nbackground: [a picture]\n"
        "labels:\n  food:\n    prompts: ['[red]a pizza[/]', \"a \\e[2J \\u202E pie\"]\n    review: 0.5\n"
    )
    for command in (["policy", "check"], ["scan", PIZZA]):
        result = moderate(*command, policies=policies)
        assert OBEYED & set(result.out + result.err) == set()
