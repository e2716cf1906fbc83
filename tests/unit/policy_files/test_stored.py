"""A version from the database decides as it did when it was stored."""

from dataclasses import replace

import pytest

from worker.domain.policies.policy import Scoring
from worker.domain.policies.stored_policy import StoredPolicy
from worker.policy_files.parser import parse_policy
from worker.policy_files.stored import parse_stored

TEXT = """
name: uploads
background: [a street, a person]
labels:
  weapons: {prompts: [a gun, a rifle]}
"""
OLD_TEXT = TEXT.replace("a street", "a  wide street")


@pytest.mark.parametrize("text", [TEXT, OLD_TEXT], ids=["today's spelling", "an older spelling"])
@pytest.mark.parametrize("scoring", Scoring)
def test_a_stored_version_keeps_its_scoring_rule(text, scoring):
    version = replace(parse_policy(text, "uploads.yaml", was_in_force=True), scoring=scoring)
    assert parse_stored(StoredPolicy(text, version.digest), "uploads.yaml") == version


def test_a_saved_file_scores_by_all_phrases_together():
    assert parse_policy(TEXT, "uploads.yaml").scoring is Scoring.TOGETHER


def test_a_text_that_no_rule_gives_its_digest_is_parsed_all_the_same():
    assert parse_stored(StoredPolicy(TEXT, "0" * 64), "uploads.yaml").name == "uploads"
