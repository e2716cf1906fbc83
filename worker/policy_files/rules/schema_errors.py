"""Translates pydantic's errors into messages for the people who write policies."""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from pydantic_core import ErrorDetails
from yaml import Node, ScalarNode

from worker.policy_files.rules import value_errors
from worker.policy_files.rules.schema import (
    TAGS,
    AuditEntry,
    ExpectationEntry,
    LabelEntry,
    LimitsEntry,
    PolicyEntry,
    PolicyTestEntry,
    PrecisionEntry,
    RecallEntry,
    ReviewsEntry,
    TextEntry,
    UndecodableEntry,
)
from worker.policy_files.rules.value_errors import EXAMPLES, Explanation
from worker.policy_files.text.characters import first_invisible, name_of
from worker.policy_files.yaml_text.document import Document, Location
from worker.policy_files.yaml_text.problems import Problems, quote

#: Explains an error about the value at a location; the mapping holds the limits that it names.
Explainer = Callable[[Location, Node, Mapping[str, Any]], Explanation]

#: The kinds of mapping in a policy, and the keys of each.
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "policy": tuple(PolicyEntry.model_fields),
    "label": tuple(LabelEntry.model_fields),
    "limits": tuple(LimitsEntry.model_fields),
    "audit": tuple(AuditEntry.model_fields),
    "reviews": tuple(ReviewsEntry.model_fields),
    "text": tuple(TextEntry.model_fields),
    "on_undecodable": tuple(UndecodableEntry.model_fields),
    "review": tuple(RecallEntry.model_fields),
    "block": tuple(PrecisionEntry.model_fields),
    "test": tuple(PolicyTestEntry.model_fields),
    "expect": tuple(ExpectationEntry.model_fields),
}
#: Where else a misplaced key may belong, likeliest first.
_ELSEWHERE: Final[Mapping[str, tuple[str, ...]]] = {
    "policy": ("reviews", "label", "limits", "audit", "test", "expect"),
    "label": ("policy", "limits", "audit"),
    "limits": ("audit", "reviews", "policy", "label"),
    "audit": ("limits", "reviews", "policy", "label"),
    "reviews": ("policy", "label", "limits", "audit"),
    "text": ("label", "policy"),
    "on_undecodable": ("policy", "label"),
    "review": ("block", "label", "policy"),
    "block": ("review", "label", "policy"),
    "test": ("expect",),
    "expect": ("test",),
}
_BELONGS: Final[Mapping[str, str]] = {
    "policy": "to the policy, not to one label",
    "label": "to a label",
    "limits": 'under "limits"',
    "audit": 'under "audit"',
    "reviews": 'under "reviews", or to a label',
    "text": 'under "text"',
    "on_undecodable": 'under "on_undecodable"',
    "review": 'to "review"',
    "block": 'to "block"',
    "test": "to a test",
    "expect": 'under "expect"',
}
#: Words that people write for a key.
_SYNONYMS: Final = {
    "categories": "labels",
    "category": "labels",
    "classes": "labels",
    "exceptions": "lookalikes",
    "exclude": "lookalikes",
    "harmless": "background",
    "caption": "text",
    "captions": "text",
    "keywords": "words",
    "negatives": "lookalikes",
    "neutral": "background",
    "phrases": "prompts",
    "positives": "prompts",
    "priority": "severity",
    "threshold": "review",
    "title": "name",
    "cut_off": "truncated",
    "incomplete": "truncated",
    "jp2": "jpeg_2000",
    "jpeg2000": "jpeg_2000",
    "jxl": "jpeg_xl",
    "heif": "heic",
    "psd": "photoshop",
    "zip": "archive",
    "docx": "office",
    "mp4": "video",
    "mp3": "audio",
    "icon": "ico",
    "unknown": "other",
    "deadline": "review_within_minutes",
    "review_within": "review_within_minutes",
    "routing": "queue",
    "second_look": "second_review",
    "expected": "expect",
    "file": "picture",
    "image": "picture",
}


def explain_schema_errors(errors: Iterable[ErrorDetails], document: Document, problems: Problems) -> None:
    """Report each error at the place of the value or key that it is about."""
    # Problems with the YAML value were explained already; a second message would only confuse.
    explained = problems.places()
    for error in errors:
        at, node = _subject(error, document)
        mark = node.start_mark
        if (mark.line, mark.column) in explained and error["type"] != "missing":
            continue
        if isinstance(node, ScalarNode) and first_invisible(node.value) is not None:
            continue
        explain = _EXPLAINERS.get(error["type"])
        problems.add(mark, *(explain(at, node, error.get("ctx", {})) if explain else (error["msg"],)))


def _subject(error: ErrorDetails, document: Document) -> tuple[Location, Node]:
    """Return what the error is about: a key, a value, or the owner of a missing key."""
    at = tuple(part for part in error["loc"] if part not in TAGS)
    match error["type"]:
        case "extra_forbidden":
            return at, document.keys[at]
        case "missing":
            return at, document.keys.get(at[:-1]) or document.values[at[:-1]]
        case "string_pattern_mismatch" if at[-1] == "[key]":
            return at[:-1], document.keys[at[:-1]]
    return at, document.values[at]


def _kind(at: Location) -> str:
    """Return which kind of mapping is at a location."""
    match at:
        case ():
            return "policy"
        case ("labels", _):
            return "label"
        case ("tests", _):
            return "test"
        case _:
            return str(at[-1])


def _missing(at: Location, _: Node, __: Mapping[str, Any]) -> Explanation:
    owners = {"policy": "the policy", "test": "this test", "review": '"review"', "block": '"block"'}
    owner = owners.get(_kind(at[:-1])) or f"label {quote(at[-2])}"
    return f"{owner} has no {quote(at[-1])}", EXAMPLES.get(str(at[-1]), "")


def _unknown_key(at: Location, _: Node, __: Mapping[str, Any]) -> Explanation:
    key, kind = str(at[-1]), _kind(at[:-1])
    if kind == "label" and key == "background":
        hint = "for one label alone, harmless phrases are its lookalikes"
    elif place := next((other for other in _ELSEWHERE[kind] if key in _KEYS[other]), None):
        hint = f"it belongs {_BELONGS[place]}: check the indentation"
    else:
        hint = _hint_at_meant(key, kind)
    return f"unknown key {quote(key)}", hint


def _hint_at_meant(key: str, kind: str) -> str:
    if word := _meant(key, _KEYS[kind]):
        return f"did you mean {quote(word)}?"
    for other in _ELSEWHERE[kind]:
        if word := _meant(key, _KEYS[other]):
            return f"did you mean {quote(word)}? That belongs {_BELONGS[other]}"
    return f"the keys here are {', '.join(_KEYS[kind])}"


def _meant(word: str, known: tuple[str, ...]) -> str | None:
    words = {name: name for name in known} | {s: key for s, key in _SYNONYMS.items() if key in known}
    close = get_close_matches(word.lower(), words, n=1, cutoff=0.7)
    return words[close[0]] if close else None


def _ill_formed(at: Location, node: Node, _: Mapping[str, Any]) -> Explanation:
    """Explain text that does not match its pattern: a name, a template, or a blank phrase."""
    written = str(node.value)
    if at == ("name",) or at[-1] == "queue" or (at[0] == "labels" and len(at) == 2):
        slug = re.sub(r"[^a-z0-9]+", "_", written.lower()).strip("_")[:63]
        example = f"; for example {slug}" if re.match("[a-z]", slug) else ""
        rule = "lower-case letters, digits, - and _, starting with a letter"
        foreign = next((c for c in written if c.isalnum() and not c.isascii()), "")
        because = f": {name_of(foreign)} is in it" if foreign else ""
        return f"{quote(written)} is not a name{because}", rule + ("" if foreign else example)
    if at[0] == "templates":
        hint = 'a phrase takes the place of {}: "a photo of {}"'
        return f"the template {quote(written)} needs {{}} once", hint
    if len(at) > 1 and at[-2] == "examples":
        return f"{quote(written)} is not the SHA-256 of a picture", value_errors.EXAMPLES["examples"]
    if at[-1] == "picture":
        return value_errors.no_value(at[-1], EXAMPLES["picture"])
    return "a phrase without words", "write one, or remove the line"


def _not_a_mapping(at: Location, node: Node, _: Mapping[str, Any]) -> Explanation:
    if at == ("labels",):
        return value_errors.not_labels(node)
    match _kind(at):
        case "policy":
            return value_errors.not_a_policy(node, _KEYS["policy"])
        case "label":
            return value_errors.not_a_label(str(at[-1]), node, _KEYS["label"])
        case kind:
            return value_errors.not_keys(kind, node)


_EXPLAINERS: Final[Mapping[str, Explainer]] = {
    "bool_type": value_errors.not_true_or_false,
    "dict_type": _not_a_mapping,
    "enum": value_errors.not_an_action,
    "extra_forbidden": _unknown_key,
    "finite_number": value_errors.not_a_number,
    "float_type": value_errors.not_a_number,
    "greater_than_equal": value_errors.not_a_number,
    "int_type": value_errors.not_a_number,
    "less_than_equal": value_errors.not_a_number,
    "list_type": value_errors.not_a_list,
    "missing": _missing,
    "model_type": _not_a_mapping,
    "string_pattern_mismatch": _ill_formed,
    "string_too_long": value_errors.too_long,
    "string_type": value_errors.not_text,
    "too_long": value_errors.too_many,
    "too_short": value_errors.too_few,
}
