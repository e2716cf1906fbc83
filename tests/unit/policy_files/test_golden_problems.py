"""What a policy editor reads about each broken file in tests/golden/policy.

To add a case, save a file there whose policy is named like the file, run these tests with UPDATE_GOLDEN=1 in
the environment, and read the message that now stands beside it as if you had never seen the code.
"""

import os
from pathlib import Path

import pytest

from worker.errors import InvalidPolicyError
from worker.policy_files.parser import read_policy

GOLDEN = Path(__file__).parents[2] / "golden" / "policy"
CASES = sorted(path.stem for path in GOLDEN.glob("*.yaml"))


@pytest.mark.parametrize("case", CASES)
def test_a_broken_file_is_refused_in_these_words(case, monkeypatch):
    monkeypatch.chdir(GOLDEN)
    with pytest.raises(InvalidPolicyError) as refusal:
        read_policy(Path(f"{case}.yaml"))
    words = GOLDEN / f"{case}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        words.write_text(refusal.value.message + "\n", encoding="utf-8")
    assert refusal.value.message + "\n" == words.read_text(encoding="utf-8")


def test_no_message_stands_there_without_its_file():
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == CASES
