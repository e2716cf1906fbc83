"""Reads the names that people gave to pictures as labels of a policy."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Self

from worker.domain.evaluation.labelled.picture import SAFE, Defect, LabelledPicture, LeftOut
from worker.domain.evaluation.wording import counted
from worker.domain.policies.policy import Policy
from worker.errors import UsageError

_MOST_LISTED: Final = 20


@dataclass(frozen=True, slots=True)
class NamedPicture:
    """A file, and the names that its folder or its row of a table gives it."""

    file: Path
    #: Empty, or SAFE: harmless.
    names: frozenset[str]
    slices: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LabelNames:
    """What each given name means, whatever its capitals: a label, or None for harmless."""

    policy: str
    meanings: Mapping[str, str | None]

    @classmethod
    def of(cls, policy: Policy, renamed: Mapping[str, str], given: Iterable[str]) -> Self:
        """Return the meanings under a policy; `renamed` leads from given names to labels or SAFE.

        UsageError if the policy itself has a label SAFE, if a name is renamed to what is no label, or if no
        picture has a name that is renamed.
        """
        labels = {label.name.casefold(): label.name for label in policy.labels}
        if SAFE in labels:
            raise UsageError(
                f'the policy {policy.name} has a label "{SAFE}", which means harmless pictures here',
                hint="give the label another name",
            )
        known: dict[str, str | None] = {**labels, SAFE: None}
        names = {name.casefold() for name in given}
        for name, label in renamed.items():
            if label.casefold() not in known:
                raise UsageError(
                    f'--rename {name}={label}: "{label}" is no label of the policy {policy.name}',
                    hint=f"its labels are {_labels(policy)}{_guess(label, policy)}",
                )
            if name.casefold() not in names:
                raise UsageError(
                    f'--rename {name}={label}: no picture has the label "{name}"',
                    hint=f"there are: {', '.join(sorted(names)) or 'no labels'}",
                )
        renames = {name.casefold(): known[label.casefold()] for name, label in renamed.items()}
        return cls(policy.name, known | renames)

    def read(self, named: NamedPicture) -> LabelledPicture | LeftOut:
        """Return the picture with labels, or why it is left out."""
        unknown = sorted(name for name in named.names if name.casefold() not in self.meanings)
        if unknown:
            what = ", ".join(f'"{name}"' for name in unknown)
            reason = f"{what} is no label of the policy {self.policy}"
            return LeftOut(named.file, Defect.UNKNOWN_LABEL, reason)
        meanings = {self.meanings[name.casefold()] for name in named.names}
        labels = frozenset(label for label in meanings if label is not None)
        if labels and None in meanings:
            reason = f'it is labelled "{SAFE}" and {", ".join(sorted(labels))}'
            return LeftOut(named.file, Defect.CONTRADICTORY, reason)
        return LabelledPicture(named.file, labels, named.slices)


def explain_unknown(named: Iterable[NamedPicture], names: LabelNames, policy: Policy) -> str:
    """Say in a sentence which given names are no labels, and what they may mean; empty if all are."""
    unknown = Counter(name for one in named for name in one.names if name.casefold() not in names.meanings)
    if not unknown:
        return ""
    found = ", ".join(
        f'"{name}" ({counted(pictures, "picture")}{_guess(name, policy)})'
        for name, pictures in unknown.most_common(_MOST_LISTED)
    )
    return (
        f"No labels of the policy {policy.name}: {found}. Its labels are {_labels(policy)}. "
        f"--rename NAME=LABEL, or NAME={SAFE}, says what a name means."
    )


def _guess(name: str, policy: Policy) -> str:
    close = get_close_matches(name.casefold(), [label.name for label in policy.labels], n=2)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _labels(policy: Policy) -> str:
    more = ", ..." if len(policy.labels) > _MOST_LISTED else ""
    return ", ".join(label.name for label in policy.labels[:_MOST_LISTED]) + more
