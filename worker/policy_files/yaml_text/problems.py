"""Problems of a policy file as a person reads them: what is wrong, at which place, and the way out."""

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
#: One broken habit can make thousands of problems; nobody reads more than these at once.
MAX_SHOWN_PROBLEMS: Final = 50
#: What YAML counts as the end of a line.
_LINE_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class Mark(Protocol):
    """A place in a text; both count from 0, as PyYAML's marks do."""

    @property
    def line(self) -> int:
        """How many lines stand before it."""

    @property
    def column(self) -> int:
        """How many characters of its line stand before it."""


class Position(NamedTuple):
    """A mark of our own."""

    line: int
    column: int


class Places:
    """The places of a text's characters; its lines are counted once, however many are asked for."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(found.end() for found in _LINE_BREAK.finditer(text))]

    def of(self, position: int) -> Position:
        """Return the place of the character at `position`."""
        line = bisect_right(self._starts, position) - 1
        return Position(line, position - self._starts[line])


@dataclass(frozen=True, slots=True, order=True)
class PolicyProblem:
    """One thing that is wrong with a file."""

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
        """Note a problem at a place of the text."""
        self._note(mark.line + 1, mark.column + 1, message, hint)

    def add_for_file(self, message: str, hint: str = "") -> None:
        """Note a problem of the file as a whole."""
        self._note(0, 0, message, hint)

    def places(self) -> set[Position]:
        """Return where something is wrong already."""
        return {Position(problem.line - 1, problem.column - 1) for problem in self._found}

    def raise_if_any(self) -> None:
        """Raise InvalidPolicyError with all that was noted, in the order of the text."""
        if not self._found:
            return
        found = sorted(self._found)
        shown = [render(problem, self._lines) for problem in found[:MAX_SHOWN_PROBLEMS]]
        if len(found) > MAX_SHOWN_PROBLEMS:
            shown.append(f"{self._file}: and {len(found) - MAX_SHOWN_PROBLEMS:,} more problems")
        raise InvalidPolicyError("\n".join(shown), problems=found)

    def _note(self, line: int, column: int, message: str, hint: str) -> None:
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
    """Return the lines of `text` as YAML counts them, so that every place lies on the line it names."""
    return _LINE_BREAK.split(text)


def quote(text: object, limit: int = 60) -> str:
    """Return `text` in quotes for a message: on one line, cut, and with nothing a terminal would obey."""
    flat = " ".join(str(text).split())
    return f'"{_printable(flat if len(flat) <= limit else flat[: limit - 1] + "…")}"'


def _excerpt(line: str, column: int) -> tuple[str, int]:
    """Return the part of `line` around `column`, and the width of what stands before it there."""
    start = max(0, column - MAX_SHOWN_CHARACTERS * 2 // 3) if len(line) > MAX_SHOWN_CHARACTERS else 0
    end = start + MAX_SHOWN_CHARACTERS
    before, after = _printable(line[start:column]), _printable(line[column:end])
    text = ("…" if start else "") + before + after + ("…" if end < len(line) else "")
    return text, bool(start) + sum(map(_width, before))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _width(character: str) -> int:
    """Return how many columns of a terminal a character takes."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
