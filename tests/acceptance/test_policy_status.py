"""`moderate policy status`: what workers reported, and what is wrong with it, by the exit code too."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from worker.domain.policies.policy_state import PolicyState
from worker.store.engine.tables import PolicyStateRow
from worker.store.policies import policy_states

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ONE, OTHER = "1" * 64, "2" * 64
REFUSAL = 'policies/posts.yaml:3:1: unknown key "treshold"\n  | treshold: 1\n  hint: did you mean "review"?'


def good(policy="posts", digest=ONE, *, shadow=False):
    return PolicyState(policy, digest, shadow=shadow, in_force_since=NOON)


def refused(policy="posts", digest=ONE):
    return PolicyState(policy, digest, in_force_since=digest and NOON, refused_at=NOON, refusal=REFUSAL)


@pytest.fixture
def say(sqlite_database):
    """Report as processes would: host=[states]."""

    def report(**processes):
        with sqlite_database.transaction() as session:
            for host, states in processes.items():
                policy_states.replace(session, f"{host}:7:20260101T120000Z", states)

    return report


def status(moderate, *arguments):
    """Return exit code, output and messages, white space made single where people would not care."""
    return moderate("policy", "status", *arguments)


@pytest.mark.usefixtures("sqlite_database")
def test_where_no_worker_ever_was_it_says_how_to_start_one(moderate):
    result = status(moderate)
    assert (result.exit_code, result.out) == (0, "")
    assert "no worker has reported to this database: start one with `moderate worker`" in result.err
    assert json.loads(status(moderate, "--json").out) == {
        "processes": [],
        "disagreements": [],
        "unread": {},
    }


@pytest.mark.usefixtures("sqlite_database")
def test_files_that_only_look_like_policies_are_named(moderate, tmp_path):
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "avatars.YAML").touch()
    (policies / "README.md").touch()
    result = moderate("policy", "status", policies=policies)
    why = "its name does not end in .yaml: rename it to avatars.yaml if it is a policy"
    assert (result.exit_code, result.out) == (0, f"\nnot read: {policies / 'avatars.YAML'}: {why}\n")
    found = json.loads(moderate("policy", "status", "--json", policies=policies).out)
    assert found["unread"] == {str(policies / "avatars.YAML"): why}


def test_without_tables_it_says_how_to_make_them(moderate):
    result = status(moderate)
    assert result.exit_code == 3
    assert "moderate db upgrade" in result.err


def test_all_is_well_where_workers_agree(moderate, say):
    say(web1=[good(), good("strict", OTHER, shadow=True)], web2=[good(), good("strict", OTHER, shadow=True)])
    result = status(moderate)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert "posts 111111111111 decides 2026-01-01 12:00:00 UTC web1:7, web2:7" in lines
    assert "strict 222222222222 shadow 2026-01-01 12:00:00 UTC web1:7, web2:7" in lines


def test_a_refusal_is_shown_whole_with_what_stays_in_force(moderate, say):
    say(web1=[refused(), refused("avatars", None)], web2=[refused(), refused("avatars", None)])
    result = status(moderate)
    assert result.exit_code == 1
    head = "refused since 2026-01-01 12:00:00 UTC in web1:7, web2:7; "
    assert f"posts: {head}version 111111111111 stays in force\n" in result.out
    assert f"avatars: {head}no version is in force\n" in result.out
    assert all(f"    {line}\n" in result.out for line in REFUSAL.splitlines())


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ([good(digest=OTHER)], "version 111111111111 in web1:7; version 222222222222 in web2:7"),
        ([good(shadow=True)], "version 111111111111 in web1:7; version 111111111111 as a shadow in web2:7"),
        ([good("avatars")], "posts: workers disagree: version 111111111111 in web1:7; no version in web2:7"),
    ],
)
def test_a_mixture_of_versions_is_said_plainly(moderate, say, other, words):
    say(web1=[good()], web2=other)
    result = status(moderate)
    assert result.exit_code == 1
    assert "posts: workers disagree: " in result.out
    assert words in result.out


def test_who_has_gone_silent_is_shown_and_no_longer_counts(moderate, say, sqlite_database):
    say(web1=[good()], web2=[good(digest=OTHER)])
    with sqlite_database.transaction() as session:
        row = session.get(PolicyStateRow, ("web2:7:20260101T120000Z", "posts"))
        row.seen_at = datetime.now(UTC) - timedelta(seconds=91)
    result = status(moderate)
    assert result.exit_code == 0
    assert "gone silent: web2:7, last heard of " in result.out
    assert "web2:7 (gone silent)" in result.out
    assert "disagree" not in result.out


def test_json_has_every_process_and_every_disagreement(moderate, say):
    say(web1=[good()], web2=[refused(digest=OTHER)])
    result = status(moderate, "--json")
    assert result.exit_code == 1
    told = json.loads(result.out)
    first, second = told["processes"]
    assert (first["process"], first["silent"]) == ("web1:7:20260101T120000Z", False)
    assert first["policies"] == [
        {
            "policy": "posts",
            "version": ONE,
            "shadow": False,
            "in_force_since": "2026-01-01T12:00:00+00:00",
            "refused_at": None,
            "refusal": None,
        }
    ]
    assert second["policies"][0]["refusal"] == REFUSAL
    assert told["disagreements"] == [
        {
            "policy": "posts",
            "versions": [
                {"version": ONE, "shadow": False, "processes": ["web1:7:20260101T120000Z"]},
                {"version": OTHER, "shadow": False, "processes": ["web2:7:20260101T120000Z"]},
            ],
        }
    ]
