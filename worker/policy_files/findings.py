"""Puts what is found out about a policy, once it is read, at its place in the policy's file."""

from collections.abc import Iterable
from pathlib import Path

from worker.domain.policy_lint import Finding
from worker.policy_files.document import Document, Location, read_document
from worker.policy_files.phrase_text import normalised
from worker.policy_files.problems import Mark, Place, Problem, Problems, render, split_lines


class Findings:
    """Collects findings about the policy that `text` is, and renders them as problems or as warnings."""

    def __init__(self, file: Path, text: str) -> None:
        self._file, self._text = str(file), text
        self._found: list[tuple[Location, str, str, str]] = []

    def add(self, at: Location, message: str, hint: str = "", *, phrase: str = "") -> None:
        """Note a finding about what is at a location, or about a phrase in the list there."""
        self._found.append((at, phrase, message, hint))

    def add_all(self, findings: Iterable[Finding]) -> None:
        """Note what was found by looking at the policy alone."""
        for finding in findings:
            self.add(finding.at, finding.message, finding.hint, phrase=finding.phrase)

    def raise_if_any(self) -> None:
        """Raise InvalidPolicyError with all that was noted, in the order of the text."""
        problems = Problems(self._file, self._text)
        for problem in self.problems():
            problems.add(Place(problem.line - 1, problem.column - 1), problem.message, problem.hint)
        problems.raise_if_any()

    def warnings(self) -> list[str]:
        """Return what was noted as warnings, in the order of the text."""
        lines = split_lines(self._text)
        return [f"warning: {render(problem, lines)}" for problem in self.problems()]

    def problems(self) -> list[Problem]:
        """Return what was noted with its places, in the order of the text."""
        if not self._found:
            return []
        document = read_document(self._text, Problems(self._file))
        marks = [_mark(document, at, phrase) for at, phrase, _, _ in self._found]
        return sorted(
            Problem(self._file, mark.line + 1, mark.column + 1, message, hint)
            for mark, (_, _, message, hint) in zip(marks, self._found, strict=True)
        )


def _mark(document: Document | None, at: Location, phrase: str) -> Mark:
    """Return the place of an item, of a key, or of a value without a key; the top where there is none."""
    if document is None:
        return Place(0, 0)
    place = _place_of_phrase(document, at, phrase) if phrase else at
    node = document.keys.get(place) or document.values.get(place)
    return node.start_mark if node else Place(0, 0)


def _place_of_phrase(document: Document, at: Location, phrase: str) -> Location:
    items = document.values[at].value if at in document.values else []
    for number, item in enumerate(items):
        if normalised(str(item.value)) == phrase:
            return (*at, number)
    return at
