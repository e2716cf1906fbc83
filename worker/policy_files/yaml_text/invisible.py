"""Finds invisible characters, and spaces that YAML does not accept, with their places."""

import re
from typing import Final

from yaml import Node, ScalarNode

from worker.policy_files.text.characters import ODD_SPACES, first_invisible, name_of, with_marks
from worker.policy_files.yaml_text.document import Document, Location, read_document
from worker.policy_files.yaml_text.problems import Places, Position, Problems, quote, split_lines
from worker.policy_files.yaml_text.syntax_errors import explain_odd_space

#: Texts for people, and names of files, may hold any character.
_FREE_TEXTS: Final = frozenset({"description", "picture"})
#: An odd space in the layout of a line: before its content, directly after its dash, around its colon.
#: Possessive: without backtracking, the time is linear in the line's length.
_IN_LAYOUT: Final = re.compile(
    rf"[ \t]*+(?:(?:-[ \t]++)*+(?:-|[\w-]++(?::|[ \t]*+(?=[{ODD_SPACES}][{ODD_SPACES} \t]*+:))))?"
    rf"(?P<odd>[{ODD_SPACES}])"
)


def refuse_odd_spaces(text: str, problems: Problems) -> bool:
    """Report every odd space in the layout of the file, and return whether there are any."""
    # A byte order mark at the very beginning belongs to the encoding.
    begins_at = int(text.startswith("\ufeff"))
    lines = split_lines(text[begins_at:])
    found = [
        (Position(number, match.start("odd") + (begins_at if number == 0 else 0)), match["odd"])
        for number, line in enumerate(lines)
        if (match := _IN_LAYOUT.match(line))
    ]
    inside = _lines_inside_texts(text) if found else frozenset()
    outside = [(place, character) for place, character in found if place.line not in inside]
    for place, character in outside:
        problems.add(place, *explain_odd_space(character))
    return bool(outside)


def check_invisible(document: Document, text: str, problems: Problems) -> None:
    """Report the first invisible character of every key and value, at its place in `text`."""
    places = Places(text)
    for at, node in [*document.keys.items(), *document.values.items()]:
        if not isinstance(node, ScalarNode) or (_is_free_text(at) and node is document.values.get(at)):
            continue
        position = first_invisible(node.value)
        if position is not None:
            character = node.value[position]
            problems.add(
                place_in(node, position, text, places),
                f"{name_of(character)} in {quote(with_marks(node.value))}",
                "it is part of the text although you cannot see it: "
                + ("write an ordinary space" if character.isspace() else "remove it, or type the text anew"),
            )


def place_in(node: Node, position: int, text: str, places: Places) -> Position:
    """Return the place in the file of a character of a node's value; the node's start if it is escaped."""
    start, end = node.start_mark.index, node.end_mark.index
    character = node.value[position]
    found = start - 1
    for _ in range(node.value.count(character, 0, position) + 1):
        found = text.find(character, found + 1, end)
        if found < 0:
            return places.of(start)
    return places.of(found)


def _is_free_text(at: Location) -> bool:
    return bool(at) and at[-1] in _FREE_TEXTS


def _lines_inside_texts(text: str) -> frozenset[int]:
    """Return the lines inside quoted text, or text after | and >, which may have any character."""
    document = read_document(text, Problems(""))
    nodes = document.values.values() if document else ()
    styled = [node for node in nodes if isinstance(node, ScalarNode) and node.style]
    return frozenset(
        line for node in styled for line in range(node.start_mark.line + 1, node.end_mark.line + 1)
    )
