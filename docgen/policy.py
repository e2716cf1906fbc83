"""`policy.md`: every key of a policy file."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from docgen import json_types
from docgen import markdown as md
from worker.domain.policies.policy import Action
from worker.policy_files.rules.json_schema import json_schema


class Part(NamedTuple):
    """A mapping in the file: the model of its keys, and an example with all of them."""

    model: str
    example: str


#: By headings. The examples, one after another, are a policy.
PARTS: Final[dict[str, Part]] = {
    "The policy": Part(
        "",
        """name: avatars
description: Profile pictures.
templates: ["a photo of {}", "a drawing of {}"]
background: [a person, an animal, a landscape]
on_error: review
on_partly_seen: review
shadow: false""",
    ),
    "A label": Part(
        "LabelEntry",
        """labels:
  weapons:
    description: Weapons, but not toys.
    prompts: [a handgun, an assault rifle, a sword]
    lookalikes: [a toy water pistol]
    words: [ak47, glock]
    review: 0.5
    block: 0.95
    examples: [5f1d0e7a3b9c24687d0f5e1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e]
    severity: 4
    queue: urgent
    review_within_minutes: 60
    needs_reason: true
    second_review: 0.1
  medical:
    prompts: [a wound, a surgery]
    exclude_from_automatic_block: true""",
    ),
    "A target for review": Part(
        "RecallEntry",
        """  nudity:
    prompts: [a naked person]
    review: {recall: 0.95}""",
    ),
    "A target for block": Part(
        "PrecisionEntry",
        """  tobacco:
    prompts: [a lit cigarette]
    block: {precision: 0.98}""",
    ),
    "Texts beside pictures": Part(
        "TextEntry",
        """text:
  background: [look at this, a nice day, for sale]""",
    ),
    "Files that cannot be judged": Part(
        "UndecodableEntry",
        """on_undecodable:
  default: review
  svg: block
  pdf: allow""",
    ),
    "Limits": Part("LimitsEntry", "limits:\n  automatic_blocks_per_hour: 200"),
    "Audit": Part("AuditEntry", "audit:\n  share_of_allowed: 0.01"),
    "Reviews": Part(
        "ReviewsEntry",
        """reviews:
  queue: default
  review_within_minutes: 1440
  needs_reason: false
  second_review: 0.05""",
    ),
    "A test": Part(
        "PolicyTestEntry",
        """tests:
  - picture: cases/sword.jpg
    expect: {action: block, labels: [weapons]}""",
    ),
    "What a test expects": Part("ExpectationEntry", ""),
}
_OPENING: Final = """A policy is a YAML file in the folder `MODERATION_POLICIES`; these are all its keys.
A key that is not listed is an error, and so is a value of another type.

The examples on this page, one after another, are a complete policy. `moderate policy schema` prints the
same keys as JSON Schema, for completion in editors."""


def page() -> str:
    """Return the page."""
    schema = json_schema()
    names = {
        part.model: md.link(heading.lower(), f"#{md.anchor(heading)}") for heading, part in PARTS.items()
    }
    names["Action"] = ", ".join(map(md.code, Action))
    return md.page(
        "Policy files",
        _OPENING,
        {heading: _section(part, schema, names) for heading, part in PARTS.items()},
    )


def _section(part: Part, schema: Mapping[str, Any], names: Mapping[str, str]) -> str:
    model = schema["$defs"][part.model] if part.model else schema
    rows = [
        [
            md.code(key),
            f"{json_types.type_of(value, names)}; {_default(key, value, model)}",
            md.prose(" ".join([_description(value, schema), *_sizes(value)])),
        ]
        for key, value in model["properties"].items()
    ]
    return md.blocks(
        md.prose(model["description"].partition(" policies/README.md")[0]),
        md.fence("yaml", part.example) if part.example else "",
        md.table(["key", "type", "meaning"], rows),
    )


def _description(value: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return what a key means; if it has no words, those of the mapping that it holds."""
    if "description" not in value:
        value = schema["$defs"][json_types.name_of(value)]
    return str(value["description"])


def _sizes(value: Mapping[str, Any]) -> Iterator[str]:
    for size, words in (("maxItems", "entries"), ("maxProperties", "entries"), ("maxLength", "characters")):
        if size in value:
            yield f"At most {value[size]:,} {words}."


def _default(key: str, value: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    if key in model.get("required", []):
        return "required"
    if value.get("default") in (None, "", []):
        return "optional"
    return f"default {json_types.as_code(value['default'])}"
