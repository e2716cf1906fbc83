"""policies/README.md is true: its examples are policies, its tables the format, its messages the messages."""

import re
from pathlib import Path

import numpy as np
import pytest

from worker.domain.evaluation.policy_lint import lint_phrases
from worker.domain.moderation.scoring import PhraseVectors
from worker.domain.policies.policy import Reviewing
from worker.errors import InvalidPolicyError
from worker.policy_files.findings import Findings
from worker.policy_files.parser import parse_policy
from worker.policy_files.rules.schema import (
    AuditEntry,
    ExpectationEntry,
    LabelEntry,
    LimitsEntry,
    PolicyEntry,
    PolicyTestEntry,
    ReviewsEntry,
    TextEntry,
)

README = (Path(__file__).parents[3] / "policies" / "README.md").read_text(encoding="utf-8")
EXAMPLE, NEW_CATEGORY, *ADDITIONS = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
#: How the tables say what there is without a key.
IN_WORDS = {
    "description": "empty",
    "lookalikes": "none",
    "words": "none",
    "block": "never",
    "tests": "none",
    "examples": "none",
    "limits": "no limit",
    "audit": "none",
    "reviews": 'queue "default", no deadline',
    "automatic_blocks_per_hour": "no limit",
    "review_within_minutes": "no deadline",
    "action": "any will do",
    "labels": "any will do",
}
#: Of `text` alone: the policy's own background must be there.
CAPTIONS_IN_WORDS = "thirty in English"
#: Some keys are a label's, and the policy's for all labels that leave them out.
INHERITED = {"queue", "review_within_minutes", "needs_reason", "second_review"}


def test_the_example_is_a_policy():
    policy = parse_policy(EXAMPLE, "policies/avatars.yaml")
    assert (policy.name, policy.label("weapons").block) == ("avatars", 0.95)


def test_three_lines_make_a_category():
    assert len(NEW_CATEGORY.strip("\n").splitlines()) == 3
    policy = parse_policy(EXAMPLE.replace("labels:\n", "labels:\n" + NEW_CATEGORY), "avatars.yaml")
    assert [label.name for label in policy.labels] == ["gambling", "weapons"]


def test_all_that_it_adds_to_the_example_makes_one_policy():
    labels = [text for text in ADDITIONS if text.startswith("  ")]
    keys = [text for text in ADDITIONS if text not in labels]
    policy = parse_policy(EXAMPLE + "".join(labels) + "\n" + "\n".join(keys), "avatars.yaml")
    assert policy.label("self_harm").exclude_from_automatic_block
    assert policy.label("animal_cruelty").reviewing == Reviewing(
        "urgent", 30, needs_reason=True, second_share=1
    )
    assert policy.reviewing == Reviewing("general", 1440, second_share=0.05)
    assert policy.label("drugs").words == ("mdma", "ketamine", "party pills", "毒品")
    assert policy.captions.background[0] == "bonne journée"
    assert (policy.automatic_blocks_per_hour, policy.share_of_allowed, len(policy.tests)) == (500, 0.01, 2)


def test_the_message_is_what_the_typo_gives():
    typo = EXAMPLE.replace("review: 0.5", "treshold: 0.5")
    with pytest.raises(InvalidPolicyError) as error:
        parse_policy(typo, "policies/avatars.yaml")
    assert error.value.message in README


def test_the_warning_is_what_a_lookalike_inside_a_label_gives():
    policy, found = parse_policy(EXAMPLE, "avatars.yaml"), Findings(Path("policies/avatars.yaml"), EXAMPLE)
    phrases = list(dict.fromkeys(policy.phrases()))
    matrix = np.eye(len(phrases), dtype=np.float32)
    matrix[phrases.index("a toy water pistol")] = (
        0.95 * matrix[phrases.index("a handgun")] + 0.3 * matrix[phrases.index("a toy water pistol")]
    )
    for finding in lint_phrases(policy, PhraseVectors.of(phrases, matrix)):
        found.add(finding.at, finding.message, finding.hint, phrase=finding.phrase)
    (warning,) = found.warnings()
    assert warning in README


@pytest.mark.parametrize(
    "entry",
    [
        PolicyEntry,
        LabelEntry,
        TextEntry,
        LimitsEntry,
        AuditEntry,
        ReviewsEntry,
        PolicyTestEntry,
        ExpectationEntry,
    ],
)
def test_the_tables_list_every_key_with_its_default(entry):
    tables = [re.findall(r"\| `(\w+)` \|.*\| (.*) \|", table) for table in README.split("\n\n")]
    rows = next(dict(table) for table in tables if [key for key, _ in table] == list(entry.model_fields))
    for name, key in entry.model_fields.items():
        if key.is_required():
            assert rows[name] == "it must be there"
        elif entry is LabelEntry and name in INHERITED:
            assert rows[name] == "as under `reviews`"
        elif entry is TextEntry:
            assert rows[name] == CAPTIONS_IN_WORDS
            assert len(key.default) == 30
        elif name == "templates":
            assert rows[name] == " and ".join(f'"{template}"' for template in key.default)
        elif isinstance(key.default, bool | str | int | float) and key.default != "":
            value = str(key.default).lower().removesuffix(".0")
            assert rows[name].strip("`") == value
        else:
            assert rows[name] == IN_WORDS[name]
