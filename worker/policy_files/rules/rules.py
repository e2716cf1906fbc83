"""Rules between the keys of a policy, checked even if some of them are invalid."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from moderation_client.submission import POLICY_NAME_PATTERN
from yaml import ScalarNode

from worker.domain.moderation.words import is_word
from worker.policy_files.rules.schema import MAX_ALL_WORDS, MAX_PHRASES
from worker.policy_files.text.phrase_text import Spelling
from worker.policy_files.yaml_text.document import Document, Location, as_mapping
from worker.policy_files.yaml_text.folder import SUFFIXES
from worker.policy_files.yaml_text.problems import Problems, quote


def check_rules(document: Document, file: PurePath, spelling: Spelling, problems: Problems) -> None:
    """Report every rule that the policy breaks; schema violations are left to the schema.

    Phrases with the same `spelling` count as the same phrase.
    """
    _check_name(document, file, problems)
    labels = as_mapping(as_mapping(document.data).get("labels"))
    background = dict(_phrases(document.data, ("background",)))
    captions = as_mapping(document.data).get("text")
    phrases = list(background)
    words: list[Location] = []

    def folded(phrase: str) -> str:
        return spelling(phrase).casefold()

    for name, label in labels.items():
        at: Location = ("labels", name)
        lookalikes = dict(_phrases(label, (*at, "lookalikes")))
        prompts = dict(_phrases(label, (*at, "prompts")))
        _check_thresholds(label, at, document, problems)
        _check_exclusion(label, at, document, problems)
        _check_contradictions(prompts, background | lookalikes, folded, document, problems)
        phrases += [*lookalikes, *prompts]
        words += _check_words(label, at, captions, document, problems)
    for place in [*phrases, *words, *dict(_phrases(captions, ("text", "background")))]:
        _check_one_line(place, document, problems)
    if len(phrases) > MAX_PHRASES:
        problems.add_for_file(f"the policy has {len(phrases):,} phrases; at most {MAX_PHRASES:,} are allowed")
    if len(words) > MAX_ALL_WORDS:
        problems.add_for_file(f"the policy has {len(words):,} words; at most {MAX_ALL_WORDS:,} are allowed")


def _check_name(document: Document, file: PurePath, problems: Problems) -> None:
    name = as_mapping(document.data).get("name")
    if not isinstance(name, str) or not POLICY_NAME_PATTERN.fullmatch(name) or name == file.stem:
        return
    problems.add(
        document.values["name",].start_mark,
        f"the policy {quote(name)} is in a file of another name",
        _hint_at_one_name(name, file),
    )


def _hint_at_one_name(name: str, file: PurePath) -> str:
    target = name + (file.suffix if file.suffix in SUFFIXES else SUFFIXES[0])
    if Path(file).with_name(target).is_file():
        # "avatars (1).yaml" beside avatars.yaml.
        return f"{target} is there already: remove the copy, or give it another name in both places"
    if POLICY_NAME_PATTERN.fullmatch(file.stem):
        return f"write name: {file.stem}, or rename the file to {target}"
    return f"rename the file to {target}"


def _check_thresholds(label: Any, at: Location, document: Document, problems: Problems) -> None:
    review, block = as_mapping(label).get("review", 0.5), as_mapping(label).get("block")
    if not _is_number(review) or not _is_number(block) or block >= review:
        return
    problems.add(
        document.values[*at, "block"].start_mark,
        f"block ({block:g}) is below review ({review:g})",
        "block is the higher threshold: what is blocked at once needs no review",
    )


def _check_exclusion(label: Any, at: Location, document: Document, problems: Problems) -> None:
    keys = as_mapping(label)
    if keys.get("exclude_from_automatic_block") is not True or "block" not in keys:
        return
    line = document.keys[*at, "block"].start_mark.line + 1
    problems.add(
        document.keys[*at, "exclude_from_automatic_block"].start_mark,
        f"label {quote(at[-1])} has a block threshold, and excludes every block",
        f"a picture that shows it goes to a person: remove this line, or block on line {line}",
    )


def _check_words(
    label: Any, at: Location, captions: object, document: Document, problems: Problems
) -> list[Location]:
    """Refuse words that no text can contain, and words in a policy that reads no texts; return all places."""
    words = dict(_phrases(label, (*at, "words")))
    for place, word in words.items():
        # A blank one is left to the schema.
        if word.strip() and not is_word(word):
            problems.add(
                document.values[place].start_mark,
                f"the word {quote(word)} has no letter, digit or symbol, so no text contains it",
                "write a word, or remove the line",
            )
    if words and (captions is None or captions is False):
        problems.add(
            document.keys[*at, "words"].start_mark,
            f"label {quote(at[-1])} has words, but the policy reads no texts",
            "add a line `text: true` to the policy, beside `labels`",
        )
    return list(words)


def _check_contradictions(
    prompts: Mapping[Location, str],
    others: Mapping[Location, str],
    folded: Spelling,
    document: Document,
    problems: Problems,
) -> None:
    """Refuse a prompt that is also background: it can never beat itself, so it would never count."""
    places = {folded(phrase): place for place, phrase in reversed(list(others.items()))}
    for place, prompt in prompts.items():
        other = places.get(folded(prompt))
        if other is None:
            continue
        line = document.values[other].start_mark.line + 1
        key = "a lookalike" if "lookalikes" in other else "a background phrase"
        problems.add(
            document.values[place].start_mark,
            f"the prompt {quote(prompt)} is also {key}",
            f"it would never count; remove it here or on line {line}",
        )


def _check_one_line(place: Location, document: Document, problems: Problems) -> None:
    """Refuse a phrase over two lines: YAML joins a line without its dash to the one above."""
    node = document.values[place]
    if isinstance(node, ScalarNode) and node.style is None and node.end_mark.line > node.start_mark.line:
        problems.add(
            node.start_mark,
            "this phrase goes on in the next line",
            "is a dash missing there? If not, write it in quotes",
        )


def _phrases(data: Any, at: Location) -> Iterator[tuple[Location, str]]:
    """Yield the texts of the list under the key `at[-1]` of `data`, with their locations."""
    items = as_mapping(data).get(str(at[-1]))
    for number, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, str):
            yield (*at, number), item


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
