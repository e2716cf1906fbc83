"""What is found out about a policy later is shown at its place in the file."""

from pathlib import Path

import pytest

from worker.errors import InvalidPolicyError
from worker.policy_files.findings import Findings

TEXT = """name: small
background: [a person, "a  dog"]
labels:
  weapons:
    prompts:
      - a handgun
    lookalikes: [a toy, a toy]
tests:
  - picture: cases/a.png
    expect: {action: allow}
"""


@pytest.fixture
def findings():
    return Findings(Path("small.yaml"), TEXT)


@pytest.mark.parametrize(
    ("at", "phrase", "place"),
    [
        (("background",), "a dog", "2:24"),
        (("labels", "weapons", "prompts"), "a handgun", "6:9"),
        (("labels", "weapons", "lookalikes"), "a toy", "7:18"),
        (("labels", "weapons"), "", "4:3"),
        (("tests", 0, "picture"), "", "9:5"),
        (("tests", 0), "", "9:5"),
        (("nowhere",), "", "1:1"),
    ],
)
def test_a_finding_stands_at_its_key_or_its_phrase(findings, at, phrase, place):
    findings.add(at, "look here", phrase=phrase)
    (warning,) = findings.warnings()
    assert warning.startswith(f"warning: small.yaml:{place}: look here\n")


def test_warnings_come_in_the_order_of_the_text_with_caret_and_hint(findings):
    findings.add(("labels", "weapons", "prompts"), "second", "the way out", phrase="a handgun")
    findings.add(("background",), "first", phrase="a person")
    first, second = findings.warnings()
    assert "first" in first
    assert second == (
        "warning: small.yaml:6:9: second\n    6 |       - a handgun\n      |         ^\n  hint: the way out"
    )


def test_the_same_findings_can_be_problems(findings):
    findings.raise_if_any()
    findings.add(("background",), "too long", phrase="a dog")
    with pytest.raises(InvalidPolicyError) as error:
        findings.raise_if_any()
    assert error.value.message.startswith("small.yaml:2:24: too long\n    2 | background:")
