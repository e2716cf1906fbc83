"""policies/README.md is true: its example is a policy, its tables are the format, its message is the message."""

import re
from pathlib import Path

import pytest

from worker.errors import InvalidPolicyError
from worker.policy_files.parser import parse_policy
from worker.policy_files.schema import LabelEntry, PolicyEntry

README = (Path(__file__).parents[3] / "policies" / "README.md").read_text(encoding="utf-8")
EXAMPLE, NEW_CATEGORY = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


def test_the_example_is_a_policy():
    policy = parse_policy(EXAMPLE, "policies/avatars.yaml")
    assert (policy.name, policy.label("weapons").block) == ("avatars", 0.95)


def test_three_lines_make_a_category():
    assert len(NEW_CATEGORY.strip("\n").splitlines()) == 3
    policy = parse_policy(EXAMPLE.replace("labels:\n", "labels:\n" + NEW_CATEGORY), "avatars.yaml")
    assert [label.name for label in policy.labels] == ["gambling", "weapons"]


def test_the_message_is_what_the_typo_gives():
    typo = EXAMPLE.replace("review: 0.5", "treshold: 0.5")
    with pytest.raises(InvalidPolicyError) as error:
        parse_policy(typo, "policies/avatars.yaml")
    assert error.value.message in README


@pytest.mark.parametrize("entry", [PolicyEntry, LabelEntry])
def test_the_tables_list_every_key_with_its_default(entry):
    tables = [re.findall(r"\| `(\w+)` \|.*\| (.*) \|", table) for table in README.split("\n\n")]
    rows = next(dict(table) for table in tables if [key for key, _ in table] == list(entry.model_fields))
    for name, key in entry.model_fields.items():
        if key.is_required():
            assert rows[name] == "it must be there"
        elif name == "templates":
            assert rows[name] == " and ".join(f'"{template}"' for template in key.default)
        else:
            words = {"": "empty", "[]": "none", "None": "never"}
            default = str(key.default)
            assert rows[name].strip("`") == words.get(default, default)
