"""The oracle of the fault suite can fail: it finds what is lost, doubled and stuck, and nothing else."""

from dataclasses import replace

import pytest
from faults.fault import Outcome
from faults.oracle import DecisionFact, Expectation, Facts, examine
from faults.report import as_json, table
from rich.console import Console

ONCE = Expectation()
WELL = Facts(
    promised={"a", "b"},
    states={"a": "decided", "b": "decided"},
    decisions=[DecisionFact(1, "a", "v1"), DecisionFact(2, "b", "v1", reviews=1)],
)


def test_it_holds_where_each_has_its_decision():
    findings = examine(WELL, ONCE)
    assert findings.hold
    assert str(findings) == "the oracle holds"


def test_it_finds_what_was_promised_and_left_no_trace():
    findings = examine(replace(WELL, promised={"a", "b", "c"}), ONCE)
    assert (findings.hold, findings.lost) == (False, ["c"])


def test_it_finds_what_is_in_the_ledger_and_undecided_whoever_promised_it():
    findings = examine(replace(WELL, states=WELL.states | {"c": "accepted"}), ONCE)
    assert (findings.hold, findings.lost) == (False, ["c"])


@pytest.mark.parametrize(
    "second",
    [
        DecisionFact(3, "a", "v1"),
        DecisionFact(3, "a", "v2"),
        DecisionFact(1, "a", "v1", reviews=2),
        DecisionFact(1, "a", "v1", events=2),
    ],
    ids=["under the same version", "under another version", "two reviews", "told twice"],
)
def test_it_finds_what_was_done_twice(second):
    decisions = [one for one in WELL.decisions if one.id != second.id] + [second]
    findings = examine(replace(WELL, decisions=decisions), ONCE)
    assert (findings.hold, findings.doubled) == (False, ["a"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"queued": 2}, "2 messages queued"),
        ({"unacknowledged": 1}, "1 messages unacknowledged"),
        ({"claimed": ["a"]}, "still claimed: a"),
        ({"kept": ["b"]}, "settled, but the source is kept: b"),
        ({"states": {"a": "accepted", "b": "decided"}}, "decided, but the ledger says accepted: a"),
        ({"states": {"b": "decided"}}, "decided, but not in the ledger: a"),
    ],
)
def test_it_finds_what_is_not_at_rest(change, words):
    findings = examine(replace(WELL, **change), ONCE)
    assert not findings.hold
    assert words in str(findings)


def test_it_finds_a_decision_that_nobody_is_told_of():
    told = [DecisionFact(1, "a", "v1", events=1), DecisionFact(2, "b", "v1")]
    findings = examine(replace(WELL, decisions=told), Expectation(notifies=True))
    assert str(findings) == "stuck: decided, but without an event: b"


def test_what_no_policy_can_decide_is_refused_and_nothing_else():
    refused = replace(WELL, states=WELL.states | {"c": "refused"})
    assert examine(refused, Expectation(refused={"c"})).hold
    assert examine(WELL, Expectation(refused={"c"})).lost == ["c"]
    decided = replace(refused, decisions=[*WELL.decisions, DecisionFact(3, "c", "v1")])
    assert examine(decided, Expectation(refused={"c"})).doubled == ["c"]


def test_a_bare_message_may_vanish_but_not_once_a_worker_wrote_it_down():
    vanished = examine(WELL, Expectation(bare={"c"}))
    assert (vanished.hold, vanished.gone) == (True, ["c"])
    written = examine(replace(WELL, states=WELL.states | {"c": "accepted"}), Expectation(bare={"c"}))
    assert (written.hold, written.lost, written.gone) == (False, ["c"], [])


def test_the_table_says_everything_and_the_gap_of_a_bare_message_is_no_failure():
    outcomes = [
        Outcome("killed", "sqlite", 20, 100, 99, 1, 0, 7, 5, 15.25, "lost", ["lost: a.1"]),
        Outcome("killed: bare messages", "sqlite", 20, 50, 49, 1, 0, 0, 0, None, "known gap"),
    ]
    console = Console(width=132, record=True)
    console.print(table(outcomes))
    shown = console.export_text()
    for words in ("20", "100", "99", "15.2", "lost: a.1", "known gap"):
        assert words in shown
    assert '"seconds_to_heal": 15.25' in as_json(outcomes, 1.0)
    assert [one.is_failure for one in outcomes] == [True, False]
