"""Finds characters that show nothing, and spaces that YAML does not take for one, with their places."""

import re
import unicodedata
from typing import Final

from yaml import Node, ScalarNode

from worker.policy_files.document import Document, Location, read_document
from worker.policy_files.problems import Place, Problems, quote, split_lines
from worker.policy_files.syntax_errors import place_of

#: Texts for people, and names of files, may hold any character.
_FREE_TEXTS: Final = frozenset({"description", "picture"})
#: Private, formatting, and all separators but the space itself. Not the unassigned ones: newer emoji are
#: among them on an older Python.
_CATEGORIES: Final = frozenset({"Cf", "Co", "Zl", "Zp", "Zs"})
#: Of other categories what shows nothing: fillers, joiners, variation selectors, and what is no character.
_SHOWING_NOTHING: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2065\u2800\u3164\ufdd0-\ufdef\ufe00-\ufe0f"
    "\uffa0\ufff0-\ufff8\ufffe\uffff\U000e0000-\U000e0fff]"
)
#: The two that shape the letters around them, and the scripts that need them.
_JOINERS: Final = "\u200c\u200d"
_JOINING_SCRIPTS: Final = frozenset(
    {"ARABIC", "BENGALI", "DEVANAGARI", "GUJARATI", "GURMUKHI", "KANNADA", "KHMER", "MALAYALAM"}
    | {"MONGOLIAN", "MYANMAR", "ORIYA", "SINHALA", "SYRIAC", "TAMIL", "TELUGU", "TIBETAN"}
)
_ODD: Final = "\u00a0\u00ad\u061c\u1680\u180e\u2000-\u200f\u202a-\u202f\u205f-\u206f\u3000\ufeff"
#: One of them in the place of a space: before what a line says, directly after its dash, around its colon.
_ODD_SPACE: Final = re.compile(
    rf"[ \t]*(?:(?:-[ \t]+)*(?:-|[\w-]+(?::|[ \t]*(?=[{_ODD} \t]+:))))?(?P<odd>[{_ODD}])"
)


def refuse_odd_spaces(text: str, problems: Problems) -> bool:
    """Note every odd space that takes part in the layout of the file, and return whether there are any."""
    # A byte order mark at the very beginning belongs to the encoding.
    lines = split_lines(text.removeprefix("\ufeff"))
    found = [
        Place(number, match.start("odd") + (number == 0 and text.startswith("\ufeff")))
        for number, line in enumerate(lines)
        if (match := _ODD_SPACE.match(line))
    ]
    inside = _lines_inside_texts(text) if found else frozenset()
    for place in (one for one in found if one.line not in inside):
        character = split_lines(text)[place.line][place.column]
        problems.add(
            place,
            f"{name_of(character)} stands where YAML expects a space",
            "it looks like one, and is another character to YAML: replace it with an ordinary space",
        )
    return any(place.line not in inside for place in found)


def check_invisible(document: Document, text: str, problems: Problems) -> None:
    """Note the first invisible character of every key and value, at its place in `text`."""
    for at, node in [*document.keys.items(), *document.values.items()]:
        if not isinstance(node, ScalarNode) or (_is_free_text(at) and node is document.values.get(at)):
            continue
        character = first_invisible(node.value)
        if character:
            problems.add(
                place_in(node, character, text),
                f"{name_of(character)} in {quote(_shown(node.value))}",
                "it is part of the text although you cannot see it: "
                + ("write an ordinary space" if character.isspace() else "remove it, or type the text anew"),
            )


def first_invisible(text: str) -> str:
    """Return the first character of `text` that shows nothing; empty if all of them show."""
    return next((c for n, c in enumerate(text) if _is_invisible(c) and not _joins(text, n)), "")


def name_of(character: str) -> str:
    """Return Unicode's name of a character and its number."""
    return f"{unicodedata.name(character, 'a character without a name')} (U+{ord(character):04X})"


def place_in(node: Node, character: str, text: str) -> Place:
    """Return where a character of a node's value stands in the file; the node's start if it is escaped."""
    start, end = node.start_mark.index, node.end_mark.index
    position = text.find(character, start, end)
    return place_of(text, start if position < 0 else position)


def _is_invisible(character: str) -> bool:
    if character == " ":
        return False
    return unicodedata.category(character) in _CATEGORIES or bool(_SHOWING_NOTHING.match(character))


def _joins(text: str, position: int) -> bool:
    """Return whether the character joins or parts two letters of a script that is written so."""
    around = text[position - 1 : position] + text[position + 1 : position + 2]
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in around}
    return text[position] in _JOINERS and len(around) > 1 and scripts <= _JOINING_SCRIPTS


def _is_free_text(at: Location) -> bool:
    return bool(at) and at[-1] in _FREE_TEXTS


def _shown(value: str) -> str:
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_invisible(c) else c for c in value)


def _lines_inside_texts(text: str) -> frozenset[int]:
    """Return the lines that belong to a text in quotes or after | and >, which may have any character."""
    document = read_document(text, Problems(""))
    nodes = document.values.values() if document else ()
    styled = [node for node in nodes if isinstance(node, ScalarNode) and node.style]
    return frozenset(
        line for node in styled for line in range(node.start_mark.line + 1, node.end_mark.line + 1)
    )
