"""Problems of a policy file, rendered for people: what is wrong, where, and how to fix it."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from worker.errors import InvalidPolicyError
from worker.printable import one_line

#: Source lines are shown in a window this wide.
MAX_SHOWN_CHARACTERS: Final = 100
#: One repeated mistake can make thousands of problems; only these are shown.
MAX_SHOWN_PROBLEMS: Final = 50
#: The line breaks of YAML.
_LINE_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class Mark(Protocol):
    """A place in a text; line and column count from 0, as in PyYAML's marks."""

    @property
    def line(self) -> int:
        """The number of lines before it."""

    @property
    def column(self) -> int:
        """The number of characters before it in its line."""


class Position(NamedTuple):
    """A mark as a plain tuple."""

    line: int
    column: int


class Places:
    """Converts positions in a text to lines and columns; indexes its lines once."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(found.end() for found in _LINE_BREAK.finditer(text))]

    def of(self, position: int) -> Position:
        """Return the place of the character at `position`."""
        line = bisect_right(self._starts, position) - 1
        return Position(line, position - self._starts[line])


@dataclass(frozen=True, slots=True, order=True)
class PolicyProblem:
    """One problem of a file."""

    file: str
    #: Both count from 1; a line of 0 means the file as a whole.
    line: int
    column: int
    message: str
    hint: str = ""


class Problems:
    """Collects the problems of one file."""

    def __init__(self, file: str, text: str = "") -> None:
        self._file = file
        self._lines = split_lines(text)
        self._found: list[PolicyProblem] = []

    def add(self, mark: Mark, message: str, hint: str = "") -> None:
        """Add a problem at a place of the text."""
        self._add(mark.line + 1, mark.column + 1, message, hint)

    def add_for_file(self, message: str, hint: str = "") -> None:
        """Add a problem of the file as a whole."""
        self._add(0, 0, message, hint)

    def places(self) -> set[Position]:
        """Return the places of the problems so far."""
        return {Position(problem.line - 1, problem.column - 1) for problem in self._found}

    def raise_if_any(self) -> None:
        """Raise InvalidPolicyError with all problems, in the order of the text, if there are any."""
        if not self._found:
            return
        found = sorted(self._found)
        shown = [render(problem, self._lines) for problem in found[:MAX_SHOWN_PROBLEMS]]
        if len(found) > MAX_SHOWN_PROBLEMS:
            shown.append(f"{self._file}: and {len(found) - MAX_SHOWN_PROBLEMS:,} more problems")
        raise InvalidPolicyError("\n".join(shown), problems=found)

    def _add(self, line: int, column: int, message: str, hint: str) -> None:
        self._found.append(PolicyProblem(self._file, line, column, message, hint))


def render(problem: PolicyProblem, source: Sequence[str] = ()) -> str:
    """Return the problem with its place, the line of `source` it is on, a caret under it, and the hint."""
    file = one_line(problem.file)
    place = f"{file}:{problem.line}:{problem.column}" if problem.line else file
    lines = [f"{place}: {problem.message}"]
    if 0 < problem.line <= len(source):
        text, caret_at = _excerpt(source[problem.line - 1], problem.column - 1)
        lines += [f"{problem.line:>5} | {text}".rstrip(), f"      | {' ' * caret_at}^"]
    if problem.hint:
        lines.append(f"  hint: {problem.hint}")
    return "\n".join(lines)


def split_lines(text: str) -> list[str]:
    """Return the lines of `text` as YAML counts them, so that line numbers match PyYAML's marks."""
    return _LINE_BREAK.split(text)


def quote(text: object, limit: int = 60) -> str:
    """Quote `text` for a message: on one line, truncated, without terminal control characters."""
    flat = " ".join(str(text).split())
    return f'"{_printable(flat if len(flat) <= limit else flat[: limit - 1] + "…")}"'


def _excerpt(line: str, column: int) -> tuple[str, int]:
    """Return the part of `line` around `column`, and the width of the part before it."""
    start = max(0, column - MAX_SHOWN_CHARACTERS * 2 // 3) if len(line) > MAX_SHOWN_CHARACTERS else 0
    end = start + MAX_SHOWN_CHARACTERS
    before, after = _printable(line[start:column]), _printable(line[column:end])
    text = ("…" if start else "") + before + after + ("…" if end < len(line) else "")
    return text, bool(start) + sum(map(_width, before))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _width(character: str) -> int:
    """Return the number of terminal columns that a character takes."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
