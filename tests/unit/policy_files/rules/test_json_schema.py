"""The JSON Schema that editors check by, and the parser that decides, refuse the same policies."""

import copy
import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from worker.errors import InvalidPolicyError
from worker.policy_files.parser import parse_policy
from worker.policy_files.rules.json_schema import json_schema

POLICIES = Path(__file__).parents[4] / "policies"
VALIDATOR = Draft202012Validator(json_schema())

#: The rules that no schema can say: they compare values, count over lists, or look at how something is written.
BEYOND_A_SCHEMA = (
    "is in a file of another name",
    r"block \(.*\) is below review",
    "is also a (background phrase|lookalike)",
    r"the policy has [\d,]+ phrases",
    'the policy has no label "',
    "is tested twice",
    "this test can never pass",
    # JSON Schema takes 3.0 for a whole number, and a number of any length for one.
    r'is a whole number .*, not "[-+]?\d*\.0"$',
    'is a(| whole) number .*, not "[^"]{16,}"$',
    "contains the unprintable character",
)
WHOLE = {
    "name": "whole",
    "description": "Everything that a file can say.",
    "templates": ["a photo of {}"],
    "background": ["a person"],
    "labels": {
        "weapons": {
            "description": "Guns.",
            "prompts": ["a handgun"],
            "lookalikes": ["a toy"],
            "review": 0.5,
            "block": 0.9,
            "severity": 4,
            "queue": "urgent",
            "review_within_minutes": 30,
            "needs_reason": True,
            "second_review": 0.5,
        },
        "self_harm": {"prompts": ["a wound"], "exclude_from_automatic_block": True},
    },
    "on_undecodable": {"default": "review", "pdf": "allow", "svg": "block"},
    "on_error": "allow",
    "on_partly_seen": "block",
    "limits": {"automatic_blocks_per_hour": 500},
    "audit": {"share_of_allowed": 0.01},
    "reviews": {
        "queue": "general",
        "review_within_minutes": 1440,
        "needs_reason": False,
        "second_review": 0.05,
    },
    "shadow": False,
    "tests": [
        {"picture": "cases/a.png", "expect": {"action": "block", "labels": ["weapons"]}},
        {"picture": "cases/b.png", "expect": {"labels": []}},
    ],
}


def problems_of(data) -> list[str]:
    """Return what the parser says of data; JSON is YAML too."""
    try:
        parse_policy(json.dumps(data), "whole.yaml")
    except InvalidPolicyError as error:
        return [line for line in error.message.splitlines() if line.startswith("whole.yaml")]
    return []


def assert_both_agree(data) -> None:
    refused, problems = list(VALIDATOR.iter_errors(data)), problems_of(data)
    if refused:
        assert problems, refused
    else:
        assert [line for line in problems if not any(re.search(rule, line) for rule in BEYOND_A_SCHEMA)] == []


def changed(path, value):
    data = copy.deepcopy(WHOLE)
    *parents, last = path
    place = data
    for key in parents:
        place = place[key]  # type: ignore[assignment]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return data


def test_the_committed_schema_is_the_generated_one(moderate):
    result = moderate("policy", "schema")
    assert result.exit_code == 0
    assert (POLICIES / "schema.json").read_text(encoding="utf-8") == result.out
    assert json.loads(result.out) == json_schema()


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(json_schema())


def test_every_shipped_policy_names_its_schema():
    for file in POLICIES.glob("*.yaml"):
        first, *_ = file.read_text(encoding="utf-8").splitlines()
        assert first == "# yaml-language-server: $schema=schema.json"


def test_an_editor_reads_a_description_of_every_key():
    schema = json_schema()
    for part in (schema, *(part for part in schema["$defs"].values() if "properties" in part)):
        for name, key in part["properties"].items():
            assert key.get("description") or schema["$defs"][key["$ref"].rpartition("/")[2]]["description"], (
                name
            )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), {}),
        (("name",), "Whole"),
        (("name",), ...),
        (("nmae",), "whole"),
        (("templates",), []),
        (("templates",), ["a photo"]),
        (("templates",), ["{} beside {}"]),
        (("background",), []),
        (("background",), ["  "]),
        (("background",), "a person"),
        (("background",), [1980]),
        (("background",), ["x" * 301]),
        (("labels",), {}),
        (("labels",), ["weapons"]),
        (("labels", "Guns"), {"prompts": ["a rifle"]}),
        (("labels", "weapons"), None),
        (("labels", "weapons", "prompts"), ...),
        (("labels", "weapons", "treshold"), 0.5),
        (("labels", "weapons", "review"), 1.5),
        (("labels", "weapons", "review"), True),
        (("labels", "weapons", "review"), 0),
        (("labels", "weapons", "block"), 0.0),
        (("labels", "weapons", "review"), "0.5"),
        (("labels", "weapons", "block"), None),
        (("labels", "weapons", "severity"), 6),
        (("labels", "weapons", "severity"), 2.5),
        (("labels", "weapons", "exclude_from_automatic_block"), True),
        (("labels", "self_harm", "exclude_from_automatic_block"), "yes"),
        (("labels", "self_harm", "block"), 0.9),
        (("on_error",), "delete"),
        (("on_undecodable",), "delete"),
        (("on_undecodable",), ["pdf"]),
        (("on_undecodable",), None),
        (("on_undecodable", "gif"), "allow"),
        (("on_undecodable", "default"), "delete"),
        (("on_undecodable", "pdf"), None),
        (("on_undecodable", "pdf"), True),
        (("limits",), None),
        (("limits",), 500),
        (("limits", "automatic_blocks_per_hour"), -1),
        (("limits", "automatic_blocks_per_hour"), None),
        (("limits", "automatic_blocks_per_day"), 500),
        (("audit", "share_of_allowed"), 1.01),
        (("labels", "weapons", "queue"), "Urgent Things"),
        (("labels", "weapons", "queue"), None),
        (("labels", "weapons", "review_within_minutes"), 0),
        (("labels", "weapons", "review_within_minutes"), "4h"),
        (("labels", "weapons", "needs_reason"), "yes"),
        (("labels", "weapons", "second_review"), 2),
        (("reviews",), None),
        (("reviews", "queue"), 7),
        (("reviews", "review_within_minutes"), 525_601),
        (("reviews", "severity"), 4),
        (("shadow",), "maybe"),
        (("tests",), {}),
        (("tests",), [None]),
        (("tests", 0, "picture"), ...),
        (("tests", 0, "picture"), " "),
        (("tests", 0, "picture"), "/srv/a.png"),
        (("tests", 0, "picture"), "../a.png"),
        (("tests", 0, "picture"), "cases/.."),
        (("tests", 0, "expect"), {}),
        (("tests", 0, "expect"), "block"),
        (("tests", 0, "expect", "action"), None),
        (("tests", 0, "expect", "labels"), "weapons"),
        (("tests", 0, "expect", "score"), 0.5),
    ],
)
def test_what_is_wrong_is_refused_by_both(path, value):
    data = changed(path, value) if path else value
    assert list(VALIDATOR.iter_errors(data))
    assert problems_of(data)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("description",), ...),
        (("templates",), ...),
        (("labels", "weapons", "review"), 0.01),
        (("labels", "weapons", "exclude_from_automatic_block"), False),
        (("limits",), {}),
        (("limits", "automatic_blocks_per_hour"), 0),
        (("audit",), {}),
        (("audit", "share_of_allowed"), 1),
        (("reviews",), {}),
        (("reviews", "queue"), "default"),
        (("labels", "weapons", "second_review"), 0),
        (("shadow",), True),
        (("tests",), []),
        (("tests", 0, "expect"), {"action": "review"}),
        (("tests", 0, "picture"), "a..png"),
        (("tests", 0, "picture"), "./.../a.png"),
    ],
)
def test_what_is_right_is_taken_by_both(path, value):
    data = changed(path, value)
    assert not list(VALIDATOR.iter_errors(data))
    parse_policy(json.dumps(data), "whole.yaml")


def test_what_no_schema_can_say_is_refused_by_the_parser_alone():
    data = changed(("labels", "weapons", "block"), 0.4)
    assert not list(VALIDATOR.iter_errors(data))
    with pytest.raises(InvalidPolicyError, match="is below review"):
        parse_policy(json.dumps(data), "whole.yaml")


def paths(data, at=()):
    """Yield the path of every value of data."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*at, key)
        yield from paths(value, (*at, key))


#: No line break: Python's `$`, unlike that of editors, matches before one at the end.
TEXTS = st.text(st.characters(max_codepoint=0xD7FF, exclude_characters="\n"), max_size=12)
KEYS = st.sampled_from(sorted({str(path[-1]) for path in paths(WHOLE)})) | TEXTS
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 700)
    | st.sampled_from(
        [0.0, 0.5, 1.0, 3.0, 1.5, -0.25, 10**17, "review", "block", "{}", "a {}", "/a", "../a", "weapons"]
    )
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([(), *paths(WHOLE)]), KEYS, VALUES, st.sampled_from(["replace", "remove", "add"]))
@example(("labels", "weapons", "severity"), "", 3.0, "replace")
@example(("labels",), "Weapons", {"prompts": ["a rifle"]}, "add")
@settings(max_examples=400)
def test_both_agree_on_any_change_of_a_policy(path, key, value, change):
    data = copy.deepcopy(WHOLE)
    place, owner = data, None
    for step in path:
        owner, place = place, place[step]  # type: ignore[assignment]
    if change == "add" and isinstance(place, dict):
        place[key] = value
    elif owner is not None and change == "remove":
        del owner[path[-1]]
    elif owner is not None:
        owner[path[-1]] = value
    assert_both_agree(data)
