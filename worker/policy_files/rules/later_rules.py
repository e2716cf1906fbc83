"""Rules added after policies had been stored; policies that were in force before may break them."""

from typing import Any, Final

from yaml import ScalarNode

from worker.policy_files.rules.schema import TEMPLATE_PATTERN
from worker.policy_files.text.characters import name_of
from worker.policy_files.text.confusable import foreign_letter
from worker.policy_files.text.phrase_text import normalised
from worker.policy_files.yaml_text.document import Document, Location, as_mapping
from worker.policy_files.yaml_text.invisible import place_in
from worker.policy_files.yaml_text.problems import Places, Problems, quote

#: The lists of phrases; an item of one of them is a phrase.
_PHRASES: Final = frozenset({"background", "lookalikes", "prompts", "templates"})


def check_later_rules(document: Document, text: str, problems: Problems) -> None:
    """Report thresholds that flag everything, and confusable letters and braces."""
    for name, label in as_mapping(as_mapping(document.data).get("labels")).items():
        for key in ("review", "block"):
            _check_above_zero(as_mapping(label).get(key), ("labels", name, key), document, problems)
    places = Places(text)
    for at, node in document.values.items():
        if isinstance(node, ScalarNode) and len(at) > 1 and at[-2] in _PHRASES:
            _check_letters(node, text, places, problems)
            if at[0] == "templates":
                _check_braces(node, problems)


def _check_above_zero(value: Any, at: Location, document: Document, problems: Problems) -> None:
    if isinstance(value, bool) or value != 0:
        return
    hint = {
        "review": "begin with 0.5; to see what is allowed too, write audit: {share_of_allowed: 1}",
        "block": "begin with 0.95; for never, leave the key out",
    }
    what = {"review": "sends every picture to a person", "block": "blocks every picture"}
    key = str(at[-1])
    problems.add(document.values[at].start_mark, f'"{key}: 0" {what[key]}: no score is below it', hint[key])


def _check_braces(node: ScalarNode, problems: Problems) -> None:
    if TEMPLATE_PATTERN.search(node.value) and not TEMPLATE_PATTERN.search(normalised(node.value)):
        problems.add(
            node.start_mark,
            f"{quote(node.value)} has other braces than plain ones, which are read as those",
            "a phrase takes the place of {}, once: remove the others",
        )


def _check_letters(node: ScalarNode, text: str, places: Places, problems: Problems) -> None:
    letter = foreign_letter(normalised(node.value))
    if letter:
        position = node.value.find(letter)
        problems.add(
            node.start_mark if position < 0 else place_in(node, position, text, places),
            f"{name_of(letter)} in {quote(node.value)}, in a word of another alphabet",
            "it looks like a letter that it is not, and the model reads another word: type the word anew",
        )
