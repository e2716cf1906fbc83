"""Rules for the tests of a policy: their pictures exist, and their expectations can be met."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any, Final

from worker.domain.policies.policy import Action
from worker.policy_files.rules.schema import LEAVES_THE_FOLDER
from worker.policy_files.rules.value_errors import EXAMPLES, Explanation
from worker.policy_files.yaml_text.document import Document, Location, as_mapping
from worker.policy_files.yaml_text.problems import Problems, quote

#: At most this number of a folder's files are searched for the one that was meant.
_MAX_FILES: Final = 2_000
_MAX_NAMED: Final = 12


def check_tests(document: Document, folder: Path | None, problems: Problems) -> None:
    """Report every rule that a test breaks; pictures must be in `folder`, if it is given."""
    labels = as_mapping(as_mapping(document.data).get("labels"))
    check = _Check(document, folder, labels, problems)
    tests = as_mapping(document.data).get("tests")
    for number, test in enumerate(tests if isinstance(tests, list) else []):
        check.picture(as_mapping(test).get("picture"), ("tests", number, "picture"))
        check.expectation(as_mapping(test).get("expect"), ("tests", number, "expect"))


@dataclass(frozen=True, slots=True)
class _Check:
    """Checks the tests of one policy."""

    document: Document
    folder: Path | None
    labels: Mapping[str, Any]
    problems: Problems
    #: The line of each picture seen so far.
    seen: dict[PurePosixPath, int] = field(default_factory=dict)

    def picture(self, picture: Any, at: Location) -> None:
        if not isinstance(picture, str) or not picture.strip():
            return
        path = PurePosixPath(picture)
        if path in self.seen:
            hint = f"the other test of it is on line {self.seen[path]}: keep one of them"
            self._add(at, f"the picture {quote(picture)} is tested twice", hint)
            return
        self.seen[path] = self.document.values[at].start_mark.line + 1
        if re.search(LEAVES_THE_FOLDER, picture):
            hint = "copy it there, and name it from there: picture: cases/pistol.png"
            self._add(at, f"the picture {quote(picture)} is not in the policy's folder", hint)
        elif self.folder and (explanation := _why_missing(picture, self.folder)):
            self._add(at, *explanation)

    def expectation(self, expect: Any, at: Location) -> None:
        if expect == {}:
            self._add(at, "this test expects nothing", EXAMPLES["expect"])
        labels = as_mapping(expect).get("labels")
        names = labels if isinstance(labels, list) else []
        for number, name in enumerate(names):
            if isinstance(name, str) and self.labels and name not in self.labels:
                hint = _hint_at_label(name, self.labels)
                self._add((*at, "labels", number), f"the policy has no label {quote(name)}", hint)
        known = [name for name in names if isinstance(name, str) and name in self.labels]
        if known and (why := self._why_never(as_mapping(expect).get("action"), known)):
            hint = "correct the action, or the labels"
            self._add((*at, "action"), f"this test can never pass: {why}", hint)

    def _why_never(self, action: Any, names: list[str]) -> str:
        """Return why no picture with these labels can get this action; empty if one can."""
        keys = {name: as_mapping(self.labels[name]) for name in names}
        if action == Action.ALLOW:
            return "a picture that shows a label is never allowed"
        if action != Action.BLOCK:
            return ""
        for name in names:
            if keys[name].get("exclude_from_automatic_block") is True:
                return f"what shows {quote(name)} is never blocked at once"
        blocks = any("block" in keys[name] for name in names)
        return "" if blocks else "none of these labels has a block threshold"

    def _add(self, at: Location, message: str, hint: str) -> None:
        self.problems.add(self.document.values[at].start_mark, message, hint)


def _why_missing(picture: str, folder: Path) -> Explanation | None:
    """Explain why a picture is missing in the folder; None if it exists."""
    file = folder / picture
    try:
        if not file.resolve().is_relative_to(folder.resolve()):
            message = f"the picture {quote(picture)} is a link that leads out of the policy's folder"
            return message, "put the picture itself in its place"
        if file.is_file():
            return None
        if file.is_dir():
            return f"the picture {quote(picture)} is a folder", "name a picture in it, one test for each"
        return f"the picture {quote(picture)} is not there", _hint_at_picture(picture, folder)
    except (OSError, RuntimeError):
        # A name longer than a file name may be, or a symlink to itself.
        return (
            f"the picture {quote(picture)} cannot be read",
            "give it a short name, and make it no link to itself",
        )


def _hint_at_picture(picture: str, folder: Path) -> str:
    if "\\" in picture:
        return f"write / between folder and file: {picture.replace(chr(92), '/')}"
    around = (folder / picture).parent
    names = [path.name for path, _ in zip(around.glob("*"), range(_MAX_FILES), strict=False)]
    if close := get_close_matches(PurePosixPath(picture).name, names, n=1):
        return f"did you mean {quote(PurePosixPath(picture).with_name(close[0]))}?"
    return "its path starts at the folder that this policy is in"


def _hint_at_label(name: str, labels: Iterable[str]) -> str:
    if close := get_close_matches(name.lower(), labels, n=1):
        return f"did you mean {quote(close[0])}?"
    names = list(labels)
    more = ", ..." if len(names) > _MAX_NAMED else ""
    return f"its labels are {', '.join(names[:_MAX_NAMED])}{more}"
