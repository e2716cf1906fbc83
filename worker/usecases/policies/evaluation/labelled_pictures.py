"""Reads labelled pictures from a folder or a table, and settles what each is."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from worker.domain.evaluation.labelled.names import (
    LabelNames,
    NamedPicture,
    explain_unknown,
)
from worker.domain.evaluation.labelled.picture import SAFE, LabelledPicture, LeftOut
from worker.domain.policies.policy import Policy
from worker.errors import UsageError
from worker.usecases.policies.evaluation.labelled_folder import read_folder
from worker.usecases.policies.evaluation.labelled_table import MOST_VALUES, read_table

LABELS_COLUMN: Final = "labels"


@dataclass(frozen=True, slots=True)
class LabelledPictures:
    """Pictures whose labels are known, each once."""

    source: Path
    pictures: tuple[LabelledPicture, ...]
    left_out: tuple[LeftOut, ...]
    #: Files that have the bytes of another one: they are counted once, with the labels of all.
    copies: int
    #: Sentences about names and columns that mean nothing here.
    notes: tuple[str, ...]


def read_labelled(
    source: Path, policy: Policy, labels_column: str = LABELS_COLUMN, renamed: Mapping[str, str] | None = None
) -> LabelledPictures:
    """Return the pictures of a folder or of a CSV file, labelled as `policy` names its labels.

    `renamed` leads from given names to labels or SAFE. UsageError if there is nothing to measure.
    """
    notes = []
    if source.is_dir():
        named, left_out = read_folder(source)
    elif source.is_file():
        table = read_table(source, labels_column)
        named, left_out = table.named, table.left_out
        notes = [
            f'The column "{name}" has more than {MOST_VALUES} values, so it is no slice.'
            for name in table.ignored
        ]
    else:
        raise UsageError(
            f"there is no folder or file {source}",
            hint=f"name a folder with a subfolder for each label and {SAFE}/, or a CSV file",
        )
    names = LabelNames.of(policy, renamed or {}, (name for one in named for name in one.names))
    unknown = explain_unknown(named, names, policy)
    distinct = list(_without_copies(named))
    read = [names.read(one) for one in distinct]
    pictures = tuple(one for one in read if isinstance(one, LabelledPicture))
    if not pictures:
        raise UsageError(f"{source} has no labelled pictures", hint=unknown or "its folders have no files")
    return LabelledPictures(
        source=source,
        pictures=pictures,
        left_out=(*left_out, *(one for one in read if isinstance(one, LeftOut))),
        copies=len(named) - len(distinct),
        notes=tuple(filter(None, (unknown, *notes))),
    )


def _without_copies(named: Sequence[NamedPicture]) -> Iterator[NamedPicture]:
    """Yield each picture once: the first file of the same bytes, with the names of all."""
    same: dict[object, list[NamedPicture]] = defaultdict(list)
    for size, pictures in _by_size(named).items():
        for one in pictures:
            # Few files have the size of another: the others need not be read twice.
            same[size if len(pictures) == 1 else _content(one.file)].append(one)
    for pictures in same.values():
        yield replace(pictures[0], names=frozenset().union(*(one.names or {SAFE} for one in pictures)))


def _by_size(named: Iterable[NamedPicture]) -> Mapping[int, list[NamedPicture]]:
    found: dict[int, list[NamedPicture]] = defaultdict(list)
    for one in named:
        found[one.file.stat().st_size].append(one)
    return found


def _content(file: Path) -> str | Path:
    """Return the SHA-256 of a file; the file itself if it cannot be read, which judging it will report."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return file
