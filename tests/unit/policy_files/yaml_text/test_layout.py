"""What stands in the place of YAML's spaces and dashes is named at its place."""

import pytest

from worker.errors import InvalidPolicyError
from worker.policy_files.parser import parse_policy

HEAD = "name: p\nbackground: [a person]\nlabels:\n  w:\n    prompts:\n"


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        (" [a gun]\u00a0", "5:21: NO-BREAK SPACE (U+00A0) stands where YAML expects a space"),
        ('\n      - "a gun"\u00a0', "6:16: NO-BREAK SPACE (U+00A0) stands where YAML expects a space"),
        ("\n      -\ta gun", "6:8: a tab stands where YAML expects a space"),
        ("\n      – a gun", '6:7: "prompts" is a list, not text'),  # noqa: RUF001
        ("\n    • a gun\n    • a rifle", "6:5: this line begins with another bullet than YAML's"),
        ("\n      * a gun", "6:7: this line begins with another bullet than YAML's"),
    ],
)
def test_what_stands_in_the_place_of_a_space_or_a_dash_is_named(prompts, said):
    with pytest.raises(InvalidPolicyError) as error:
        parse_policy(HEAD.rstrip("\n") + prompts + "\n", "p.yaml")
    assert f"p.yaml:{said}" in error.value.message
    assert "space" in error.value.message.partition("hint: ")[2]
