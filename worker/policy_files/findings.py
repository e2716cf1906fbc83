"""Maps findings about a parsed policy to their places in its file."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from yaml import Node, ScalarNode

from worker.domain.evaluation.policy_lint import Finding
from worker.policy_files.text.phrase_text import normalised, single_spaced
from worker.policy_files.yaml_text.document import Document, Location, read_document
from worker.policy_files.yaml_text.problems import (
    MAX_SHOWN_PROBLEMS,
    Mark,
    PolicyProblem,
    Position,
    Problems,
    render,
    split_lines,
)


class Findings:
    """Collects findings about the policy in `text`, and renders them as problems or as warnings."""

    def __init__(self, file: Path, text: str) -> None:
        self._file, self._text = str(file), text
        self._found: list[tuple[Location, str, str, str]] = []
        self._nodes = _Nodes(text)

    def add(self, at: Location, message: str, hint: str = "", *, phrase: str = "") -> None:
        """Add a finding about a location, or about a phrase in the list there."""
        self._found.append((at, phrase, message, hint))

    def add_all(self, findings: Iterable[Finding]) -> None:
        """Add the findings of a linter."""
        for finding in findings:
            self.add(finding.at, finding.message, finding.hint, phrase=finding.phrase)

    def as_written(self, at: Location, phrase: str) -> str:
        """Return a phrase of the list at a location as it is written in the file, before normalisation."""
        node = self._nodes.of(at, phrase)
        return node.value if isinstance(node, ScalarNode) else phrase

    def raise_if_any(self) -> None:
        """Raise InvalidPolicyError with all findings, in the order of the text, if there are any."""
        problems = Problems(self._file, self._text)
        for problem in self.problems():
            problems.add(Position(problem.line - 1, problem.column - 1), problem.message, problem.hint)
        problems.raise_if_any()

    def warnings(self) -> list[str]:
        """Return the findings as warnings, in the order of the text; at most MAX_SHOWN_PROBLEMS in full."""
        lines, found = split_lines(self._text), self.problems()
        shown = [f"warning: {render(problem, lines)}" for problem in found[:MAX_SHOWN_PROBLEMS]]
        if len(found) > MAX_SHOWN_PROBLEMS:
            shown.append(f"warning: {self._file}: and {len(found) - MAX_SHOWN_PROBLEMS:,} more warnings")
        return shown

    def problems(self) -> list[PolicyProblem]:
        """Return the findings with their places, in the order of the text."""
        if not self._found:
            return []
        placed = ((self._mark(at, phrase), message, hint) for at, phrase, message, hint in self._found)
        return sorted(
            PolicyProblem(self._file, mark.line + 1, mark.column + 1, message, hint)
            for mark, message, hint in placed
        )

    def _mark(self, at: Location, phrase: str) -> Mark:
        node = self._nodes.of(at, phrase)
        return node.start_mark if node else Position(0, 0)


class _Nodes:
    """The YAML nodes of a policy's keys and items; parses the text once, and each list of phrases once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._places: dict[Location, dict[str, Location]] = {}

    @cached_property
    def _document(self) -> Document:
        return read_document(self._text, Problems("")) or Document(None, {}, {})

    def of(self, at: Location, phrase: str) -> Node | None:
        """Return the node of a list item, a key, or a value without a key, or None."""
        place = self._places_in(at).get(phrase, at) if phrase else at
        return self._document.keys.get(place) or self._document.values.get(place)

    def _places_in(self, at: Location) -> dict[str, Location]:
        """Return the places of a list's phrases; the first one if a phrase is repeated."""
        if at not in self._places:
            node = self._document.values.get(at)
            items = enumerate(node.value if node else [])
            found = [((*at, number), str(item.value)) for number, item in items]
            self._places[at] = {
                spelling(phrase): place
                for place, phrase in reversed(found)
                for spelling in (single_spaced, normalised)
            }
        return self._places[at]
