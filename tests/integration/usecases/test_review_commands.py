"""The queue from a terminal: what `moderate review` prints, refuses, and exits with."""

import json

import pytest
from support.review_desk import LEA, Desk

from worker.domain.policies.policy import Action
from worker.domain.reviews.verdict import Answer


@pytest.fixture
def desk(sqlite_database):
    return Desk(sqlite_database)


@pytest.fixture
def review(moderate, monkeypatch):
    monkeypatch.setenv("MODERATION_REVIEW_GOLDEN_SHARE", "0")
    return lambda *arguments, **settings: moderate("review", *arguments, **settings)


def claimed(review, *arguments, **settings):
    result = review("claim", "--json", *arguments, **settings)
    assert result.exit_code == 0, result.err
    return [f"{one['review']}:{one['claim']}" for one in json.loads(result.out)]


def test_a_day_at_the_terminal(desk, review):
    desk.decide(weapons=0.8)
    desk.decide(gore=0.8)
    listed = review("list")
    assert "urgent" in listed.out
    assert "2 shown" in listed.out
    assert [one["submission"] for one in json.loads(review("list", "--json").out)] == ["upload-2", "upload-1"]
    result = review("claim", "--as", "ada", "--queue", "default")
    assert "1:1  decision  severity 4  default  post-1" in result.out
    refused = review("decide", "1:1", "block", "--label", "guns", "--as", "ada")
    assert (refused.exit_code, "has no label 'guns'" in refused.err) == (2, True)
    done = review("decide", "1:1", "block", "--label", "weapons", "--as", "ada")
    assert done.out == "block  upload-1, verdict 1\n"
    late = review("decide", "1:1", "allow", "--as", "bob")
    assert (late.exit_code, "review 1 was settled by ada at" in late.err) == (1, True)
    undone = review("undo", "1", "--as", "ada")
    assert "review 1 is open again, claimed by you as 1:2" in undone.out
    assert review("release", "1", "--as", "ada").out == "released\n"
    (token,) = claimed(review, "--as", "bob", "--label", "weapons")
    assert review("skip", token, "--reason", "later", "--as", "bob").exit_code == 0
    (token,) = claimed(review, "--as", "bob", "--label", "weapons")
    assert review("escalate", token, "--reason", "art?", "--as", "bob").exit_code == 0
    assert review("claim", "1", "--as", "bob").exit_code == 1
    (token,) = claimed(review, "1", "--as", "lea", "--lead")
    assert review("decide", token, "allow", "--as", "lea", "--lead").exit_code == 0
    told = review("history", "post-1")
    assert "verdict.reversed" in told.out
    assert "review.escalated" in told.out
    stats = review("stats")
    assert "urgent" in stats.out
    stats = json.loads(review("stats", "--json").out)
    assert stats["throughput"][0]["reviewer"] == "lea"
    # There is no picture that lea could have seen: her answer says nothing about the label.
    assert stats["labels"] == []


def test_a_group_is_answered_with_one_command(desk, review):
    for _ in range(3):
        desk.decide(weapons=0.8, vector=[1.0, 0.0])
    tokens = claimed(review, "--as", "ada")
    assert len(tokens) == 3
    assert review("decide", *tokens, "allow", "--as", "ada").out.count("allow") == 3
    assert review("claim", "--as", "ada").err == "nothing is open for you\n"


def test_golden_items_are_added_and_listed(desk, review):
    desk.decide(weapons=0.8)
    refused = review("golden", "add", "post-1", "block", "--as", "lea")
    assert (refused.exit_code, "is in the queue" in refused.err) == (1, True)
    desk.answer(LEA, Answer(Action.BLOCK, frozenset({"weapons"})))
    assert (
        "golden item 1" in review("golden", "add", "post-1", "block", "--label", "weapons", "--as", "lea").out
    )
    assert "upload-1" in review("golden", "list").out
    (item,) = json.loads(review("golden", "list", "--json").out)
    assert (item["action"], item["labels"], item["added_by"]) == ("block", ["weapons"], "lea")
    desk.decide(weapons=0.8)
    result = review("claim", "--as", "ada", review_golden_share="1")
    assert "decision  severity 4  default  post-1" in result.out


def test_a_golden_item_that_was_wrong_is_retired_and_set_right(desk, review):
    desk.decide(weapons=0.8)
    desk.answer(LEA, Answer(Action.BLOCK, frozenset({"weapons"})))
    review("golden", "add", "post-1", "block", "--label", "weapons", "--as", "lea")
    desk.decide(weapons=0.8)
    asked = claimed(review, "--as", "ada", review_golden_share="1")
    assert review("golden", "retire", "1", "--as", "lea").out == "golden item 1 is retired\n"
    assert review("decide", *asked, "allow", "--as", "ada").exit_code == 1
    again = review("golden", "retire", "1", "--as", "lea")
    assert (again.exit_code, "there is no golden item 1 in use" in again.err) == (2, True)
    assert "retired" in review("golden", "list").out
    assert "post-2" in review("claim", "--as", "bob", review_golden_share="1").out
    assert "golden item 1;" in review("golden", "add", "post-1", "allow", "--as", "lea").out
    (item,) = json.loads(review("golden", "list", "--json").out)
    assert (item["action"], item["retired_at"]) == ("allow", None)
    desk.decide(weapons=0.8)
    assert "post-1" in review("claim", "--as", "bob", review_golden_share="1").out


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["claim"], 2, "who answers?"),
        (["claim", "--as", "a\nb"], 2, "printable characters"),
        (["claim", "7", "--as", "ada"], 2, "there is no review 7"),
        (["decide", "allow", "--as", "ada"], 2, "name the reviews, then allow or block"),
        (["decide", "7:1", "burn", "--as", "ada"], 2, "name the reviews, then allow or block"),
        (["decide", "seven", "allow", "--as", "ada"], 2, "'seven' is not a claim"),
        (["decide", "7", "allow", "--as", "ada"], 2, "there is no review 7"),
        (["undo", "7", "--as", "ada"], 2, "there is no verdict 7"),
        (["history", "post-9"], 2, "there is no submission 'post-9'"),
        (["golden", "add", "post-9", "allow", "--as", "ada"], 2, "no decision on a submission 'post-9'"),
        (["golden", "retire", "9", "--as", "ada"], 2, "there is no golden item 9 in use"),
        (["golden", "add", "post-9", "review", "--as", "ada"], 2, "the right answer is allow or block"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(review, arguments, exit_code, words):
    result = review(*arguments)
    assert result.exit_code == exit_code
    assert words in result.err


def test_the_name_comes_from_the_environment_too(desk, review):
    desk.decide(weapons=0.8)
    assert "1:1" in review("claim", reviewer="ada").out
    assert "ada" in review("list").out


def test_every_list_says_what_is_in_force(desk, moderate, review):
    noisy = Desk(desk.database, callback={"url": "https://platform.example/moderated"})
    decision_id = noisy.decide(weapons=0.999)
    noisy.appeal(decision_id, "art")
    (listed,) = json.loads(review("list", "--json").out)
    assert (listed["action"], listed["decided_by"], listed["policy_action"]) == ("block", "policy", "block")
    noisy.answer(LEA, Answer(Action.ALLOW))
    (decided,) = json.loads(moderate("decisions", "--json").out)
    assert (decided["action"], decided["decided_by"], decided["sequence"]) == ("allow", "appeal", 3)
    assert decided["policy_action"] == "block"
    assert "allow, by appeal" in moderate("decisions").out
    events = json.loads(moderate("outbox", "list", "--json").out)
    assert [(one["type"], one["action"], one["decided_by"], one["sequence"]) for one in events] == [
        ("appeal.answered", "allow", "appeal", 3),
        ("verdict.made", "allow", "appeal", 2),
        ("decision.made", "block", "policy", 1),
    ]


def test_an_operator_is_shown_what_is_in_force_and_who_answers_blindly_is_not(desk, review):
    desk.decide(twice=0.8)
    desk.answer(LEA, Answer(Action.BLOCK, frozenset({"twice"})))
    (listed,) = json.loads(review("list", "--json").out)
    (taken,) = json.loads(review("claim", "--json", "--as", "bob").out)
    seen = [(one["kind"], one["action"], one["decided_by"]) for one in (listed, taken)]
    assert seen == [("second", "block", "reviewer"), ("decision", "review", "policy")]
