"""Translates PyYAML's syntax errors into messages for people who do not program."""

import re
from collections.abc import Sequence
from typing import Final

from yaml import MarkedYAMLError
from yaml.reader import ReaderError

from worker.policy_files.text.characters import is_odd_space, name_of
from worker.policy_files.yaml_text.problems import Mark, Places, Position, Problems, split_lines
from worker.policy_files.yaml_text.wrappers import bullet_of

_QUOTES: Final = 'text with : # , [ ] { } or quotes in it goes in quotes: "like: this"'
_INDENTATION: Final = "check the indentation: what belongs together starts in the same column"

_EXPLAINED_BULLET: Final = (
    "this line begins with another bullet than YAML's",
    'an item begins with a plain "-" and a space',
)
#: A part of PyYAML's message -> message and hint. The first match counts.
_EXPLANATIONS: Final = {
    "expected a single document": ("a second document starts here", "one policy a file: remove the line ---"),
    "could not find expected ':'": (
        "a key without its colon",
        "a key ends with a colon and a space: review: 0.5",
    ),
    "expected <block end>, but found '<scalar>'": (
        "text after the closing quote",
        "a ' inside '...' is written twice",
    ),
    "expected <block end>": ("this line does not fit what stands above it", _INDENTATION),
    "but got '{'": ("a { is not expected here", 'text with {} in it goes in quotes: "a photo of {}"'),
    "expected ',' or ']'": (
        "the list that [ opened is not closed before this",
        f"close it with ]; {_QUOTES}",
    ),
    "expected ',' or '}'": (
        "the mapping that { opened is not closed before this",
        f"close it with }}; {_QUOTES}",
    ),
    "unexpected end of stream": ("this quote is never closed", "close it with the same kind of quote"),
    "unknown escape character": ("an unknown escape after \\", "in double quotes a \\ is written twice"),
    "cannot start any token": ("text cannot start with this character", "write it in quotes"),
    "block scalar": ("text cannot start with | or >", "write it in quotes"),
}


def explain_syntax_error(error: Exception, text: str, problems: Problems) -> None:
    """Report the place where parsing stopped."""
    match error:
        case MarkedYAMLError():
            _explain_marked(error, text, problems)
        case ReaderError():
            character = f"the unprintable character U+{ord(text[error.position]):04X}"
            problems.add(
                Places(text).of(error.position), character, "remove it, and write a space if one is missing"
            )
        case _:
            # PyYAML raises Python's error for an escape such as "\UFFFFFFFF".
            problems.add_for_file(
                "an escape after \\ names no character", "in double quotes a \\ is written twice"
            )


def explain_odd_space(character: str) -> tuple[str, str]:
    """Explain a character that is mistaken for a space."""
    if character == "\t":
        return "a tab stands where YAML expects a space", "replace the tab with a space"
    return (
        f"{name_of(character)} stands where YAML expects a space",
        "it looks like one, and is another character to YAML: replace it with an ordinary space",
    )


def _explain_marked(error: MarkedYAMLError, text: str, problems: Problems) -> None:
    reason = f"{error.problem or ''} {error.context or ''}"
    # If something is never closed, point at its beginning.
    unclosed = "unexpected end of stream" in reason
    mark = (error.context_mark if unclosed else None) or error.problem_mark or error.context_mark
    if mark is None:
        problems.add_for_file(f"this is not YAML: {reason.strip()}", _QUOTES)
    elif tab := _leading_tab(text, mark):
        problems.add(
            tab, "a tab at the start of the line", "YAML is indented with spaces: replace the tab with spaces"
        )
    elif (character := _character_at(text, mark)) == "\t" or is_odd_space(character):
        problems.add(mark, *explain_odd_space(character))
    elif bullet := _bullet(split_lines(text), error):
        problems.add(bullet, *_EXPLAINED_BULLET)
    elif "mapping values are not allowed" in reason:
        problems.add(mark, *_explain_colon(split_lines(text)[mark.line][: mark.column]))
    else:
        unknown = (f"this is not YAML: {reason.strip()}", _QUOTES)
        problems.add(
            mark, *next((known for words, known in _EXPLANATIONS.items() if words in reason), unknown)
        )


def _character_at(text: str, mark: Mark) -> str:
    """Return the character at a mark; empty at the end of its line."""
    return "".join(split_lines(text)[mark.line : mark.line + 1])[mark.column : mark.column + 1]


def _bullet(lines: Sequence[str], error: MarkedYAMLError) -> Position | None:
    """Return the place of a bullet at the start of the failing line, or None."""
    for mark in (error.context_mark, error.problem_mark):
        line = lines[mark.line] if mark and mark.line < len(lines) else ""
        if mark and not line.lstrip().startswith("- ") and bullet_of(line):
            return Position(mark.line, len(line) - len(line.lstrip()))
    return None


def _explain_colon(before: str) -> tuple[str, str]:
    """Explain a colon at a place where no key can be; `before` is the line before it."""
    if ": " in before:
        return "a second colon in this line", _QUOTES
    return "this line does not fit what stands above it", f"is a colon missing there? If not, {_INDENTATION}"


def _leading_tab(text: str, mark: Mark) -> Position | None:
    """Return the place of a tab in the indentation of the line of `mark`, or None."""
    lines = split_lines(text)
    indentation = re.match(r" *\t", lines[mark.line]) if mark.line < len(lines) else None
    return Position(mark.line, indentation.end() - 1) if indentation else None
