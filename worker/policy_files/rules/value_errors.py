"""Explains values that do not fit their key: what was found, and how to write what was meant."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from yaml import Node, ScalarNode, SequenceNode

from worker.domain.policies.policy import Action
from worker.policy_files.yaml_text.document import Location, describe, is_blank
from worker.policy_files.yaml_text.problems import quote
from worker.policy_files.yaml_text.wrappers import bullet_of

#: A message and a hint.
Explanation = tuple[str, str]

EXAMPLES: Final = {
    "audit": "write its key below it, indented: share_of_allowed: 0.01",
    "background": "say what harmless uploads show: background: [a person, an animal, a building]",
    "block": "write a score, or a target: block: {precision: 0.98}",
    "examples": "64 characters, 0 to 9 and a to f; `moderate decisions --json` shows them as sha256",
    "expect": "say what must come of the picture: expect: {action: review, labels: [weapons]}",
    "labels": "name what to look for, with a colon, and give it prompts",
    "limits": "write its key below it, indented: automatic_blocks_per_hour: 500",
    "name": "the first line of a file is its name: name: stickers",
    "on_undecodable": "or write an action for each kind of file: {default: review, pdf: allow}",
    "precision": "write a share: block: {precision: 0.98}",
    "recall": "write a share: review: {recall: 0.95}",
    "review": "write a score, or a target: review: {recall: 0.95}",
    "picture": "name a file in the policy's folder: picture: cases/pistol.png",
    "prompts": "say what it looks like: prompts: [a handgun, a rifle]",
    "reviews": "write its keys below it, indented: queue: general",
    "text": "write text: true, or captions without content: text: {background: [nice day, look at this]}",
    "templates": 'leave the key out, or write some: templates: ["a photo of {}"]',
}
#: Keys with whole numbers, and their range.
_WHOLE_NUMBERS: Final = {
    "severity": "a whole number from 1 to 5",
    "automatic_blocks_per_hour": "a whole number, 0 or more",
    "review_within_minutes": "a whole number of minutes, 1 to 525600",
}
#: Thresholds must be above 0, since every score is at or above 0.
_ABOVE_ZERO: Final = ("review", "block")
#: Shares that counting can show.
_TARGETS: Final = {"recall": "a number from 0.5 to 0.999", "precision": "a number from 0.5 to 0.999"}
_MINUTES: Final = {"m": 1, "min": 1, "h": 60, "d": 24 * 60}
#: Keys that set a limit, and what their absence means.
_LEFT_OUT: Final = {
    "block": "never",
    "automatic_blocks_per_hour": "no limit",
    "review_within_minutes": "no deadline",
}
_NEVER: Final = ("never", "no", "none", "off", "null", "~", "false", "unlimited")


def not_text(at: Location, node: Node, _: Mapping[str, Any]) -> Explanation:
    """Explain a value that should be text: often a phrase that YAML reads as another type."""
    if is_blank(node) and isinstance(at[-1], int):
        return "an empty list item", "write a phrase after the dash, or remove the line"
    if is_blank(node):
        return no_value(at[-1], "write one, or remove the line")
    if isinstance(node, ScalarNode):
        return (
            f"YAML reads {quote(node.value)} as {describe(node)}",
            f"write it in quotes: {quote(node.value)}",
        )
    if isinstance(node, SequenceNode):
        return "text is expected here, not a list", "write each item on its own line, after one dash"
    if not node.value:
        return "YAML reads {} as an empty mapping", 'write it in quotes: "{}"'
    return "text is expected here, not a mapping", "a colon and a space make a key: write the text in quotes"


def no_value(key: object, hint: str) -> Explanation:
    """Explain a key with nothing after its colon."""
    return f"{quote(key)} has no value", hint


def not_a_list(at: Location, node: Node, _: Mapping[str, Any]) -> Explanation:
    """Explain a value that should be a list: often a single phrase, or several on one line."""
    key = str(at[-1])
    if is_blank(node):
        return f"{quote(key)} has no items", "write them below it, each after a dash, or remove the line"
    hint = f"write a dash before each item, or brackets around them: {key}: [...]"
    if isinstance(node, ScalarNode) and (bullet := bullet_of(node.value)):
        hint = f'an item begins with a plain "-" and a space; here it begins with {quote(bullet)}'
    elif isinstance(node, ScalarNode) and re.fullmatch(r"[\w ,-]{1,60}", node.value):
        hint = f"write brackets around it: {key}: [{node.value}]"
    return f"{quote(key)} is a list, not {describe(node)}", hint


def not_a_policy(node: Node, keys: tuple[str, ...]) -> Explanation:
    """Explain a file that is not a mapping of keys."""
    return f"a policy is not {describe(node)}", f"it has the keys {', '.join(keys)}"


def not_labels(node: Node) -> Explanation:
    """Explain a value under `labels` that is not a mapping of names."""
    if is_blank(node):
        return '"labels" is empty', EXAMPLES["labels"]
    with_dashes = isinstance(node, SequenceNode)
    hint = (
        "write each label's name without a dash, and a colon after it" if with_dashes else EXAMPLES["labels"]
    )
    return f'"labels" holds named labels, not {describe(node)}', hint


def not_a_label(name: str, node: Node, keys: tuple[str, ...]) -> Explanation:
    """Explain a label without keys, or a label's key at the place of its name."""
    if name in keys:
        return (
            f"{quote(name)} stands where a label's name is expected",
            "indent it further than the name of its label",
        )
    hint = "write its phrases one line below, indented further: prompts: [a handgun, a rifle]"
    return (
        f"label {quote(name)} {'is empty' if is_blank(node) else f'holds keys, not {describe(node)}'}",
        hint,
    )


def not_keys(what: str, node: Node) -> Explanation:
    """Explain a value that should be a mapping: of `limits`, `reviews` and the like, or of a test."""
    if what == "test":
        found = "an empty test" if is_blank(node) else f"a test has keys, and is not {describe(node)}"
        return found, "write - picture: and below it expect:"
    found = "is empty" if is_blank(node) else f"holds keys, not {describe(node)}"
    return f"{quote(what)} {found}", EXAMPLES[what]


def not_true_or_false(at: Location, node: Node, _: Mapping[str, Any]) -> Explanation:
    """Explain a value that should be true or false."""
    key = str(at[-1])
    if is_blank(node):
        return no_value(key, "write true or false, or remove the line")
    written = str(node.value) if isinstance(node, ScalarNode) else ""
    meant = {"true": "true", "yes": "true", "false": "false", "no": "false"}.get(written.lower())
    hint = f"write {key}: {meant}" if meant else EXAMPLES.get(key, "")
    return f"{quote(key)} is true or false, not {quote(written) if written else describe(node)}", hint


def not_a_number(at: Location, node: Node, _: Mapping[str, Any]) -> Explanation:
    """Explain a threshold, share, severity, time or limit that is not a number or is out of range."""
    key = str(at[-1])
    above_zero = dict.fromkeys(_ABOVE_ZERO, "a number above 0, up to 1")
    expected = (above_zero | _TARGETS | _WHOLE_NUMBERS).get(key, "a number from 0 to 1")
    if is_blank(node):
        return no_value(key, f"write {expected}, or remove the line")
    written = str(node.value) if isinstance(node, ScalarNode) else ""
    found = quote(written) if written else describe(node)
    return f"{quote(key)} is {expected}, not {found}", _as_number(key, written)


def _as_number(key: str, written: str) -> str:
    """Return how to write what was meant: `0,5`, `50%`, `50` and `"0.5"` are all a half."""
    if key in _LEFT_OUT and written.lower() in _NEVER:
        return f"for {_LEFT_OUT[key]}, leave the key out"
    if key == "automatic_blocks_per_hour":
        whole = re.fullmatch(r"(\d{1,3}(?:[., ]\d{3}){0,3}|\d{1,15})(?:\.0)?", written)
        return f"write {key}: {re.sub(r'[., ]', '', whole[1])}" if whole else ""
    if key == "review_within_minutes":
        time = re.fullmatch(r"(\d{1,6}) ?(m|min|h|d)[a-z]*", written.lower())
        minutes = int(time[1]) * _MINUTES[time[2]] if time else 0
        return f"write {key}: {minutes}" if 0 < minutes <= 525_600 else ""
    number = re.fullmatch(r"(\d{1,3}(?:[.,]\d{1,6})?) ?(%?)", written)
    if number is None:
        return ""
    value = float(number[1].replace(",", "."))
    if key == "severity":
        return f"write {key}: {value:.0f}" if value in (1, 2, 3, 4, 5) else ""
    if number[2] or value >= 10:
        value /= 100
    fits = value <= 1 and (value > 0 or key not in _ABOVE_ZERO)
    if key in _TARGETS:
        fits = 0.5 <= value <= 0.999
    return f"write {key}: {value:g}" if fits else ""


def not_an_action(at: Location, node: Node, _: Mapping[str, Any]) -> Explanation:
    """Explain a value that should be one of the actions."""
    if is_blank(node):
        return no_value(at[-1], "write allow, review or block, or remove the line")
    written = str(node.value) if isinstance(node, ScalarNode) else ""
    close = get_close_matches(written.lower(), list(Action), n=1)
    hint = f"did you mean {quote(close[0])}?" if close else EXAMPLES.get(str(at[-1]), "")
    return (
        f"{quote(at[-1])} is allow, review or block, not {quote(written) if written else describe(node)}",
        hint,
    )


def too_few(at: Location, _: Node, __: Mapping[str, Any]) -> Explanation:
    """Explain an empty list or mapping."""
    return f"{quote(at[-1])} is empty", EXAMPLES.get(str(at[-1]), "")


def too_many(at: Location, node: Node, limits: Mapping[str, Any]) -> Explanation:
    """Explain a list or mapping beyond its limit."""
    return (
        f"{quote(at[-1])} has {len(node.value):,} entries; at most {limits['max_length']:,} are allowed",
        "",
    )


def too_long(at: Location, node: Node, limits: Mapping[str, Any]) -> Explanation:
    """Explain text beyond its limit."""
    if len(at) > 1 and at[-2] == "words":
        return (
            f"this word has {len(node.value):,} characters; at most {limits['max_length']:,} are allowed",
            "a word is found only as it stands here: what a picture shows belongs to the prompts",
        )
    hint = (
        ""
        if at[-1] == "description"
        else "models see only the first few dozen words: make several phrases of it"
    )
    return f"this text has {len(node.value):,} characters; at most {limits['max_length']:,} are allowed", hint
