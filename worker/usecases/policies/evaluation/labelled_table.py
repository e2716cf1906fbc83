"""Reads labelled pictures from a CSV file: a column `file`, a column of labels, and slices."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from worker.domain.evaluation.labelled.names import NamedPicture
from worker.domain.evaluation.labelled.picture import Defect, LeftOut
from worker.errors import UsageError

FILE_COLUMN: Final = "file"
#: A column with more values, such as a title, is no slice.
MOST_VALUES: Final = 20
#: The value of an empty cell.
NOT_GIVEN: Final = "not given"
_DELIMITERS: Final = ",;\t"
_BETWEEN_LABELS: Final = re.compile("[;|]")


@dataclass(frozen=True, slots=True)
class LabelledTable:
    """What a table says."""

    named: list[NamedPicture]
    left_out: list[LeftOut]
    #: Columns that are no slices, since they have too many values.
    ignored: list[str]


@dataclass(frozen=True, slots=True)
class _Row:
    """The cells of one line, by column."""

    line: int
    cells: Mapping[str, str]


def read_table(table: Path, labels_column: str) -> LabelledTable:
    """Return the pictures of a CSV file whose paths are relative to its folder.

    The delimiter is a comma, a semicolon or a tab, whichever the first line has most of. UsageError with the
    line if it cannot be read, or if none of the files exists.
    """
    rows = list(_rows(table, _text(table), labels_column))
    columns = [name for name in (rows[0].cells if rows else ()) if name not in {FILE_COLUMN, labels_column}]
    values = {name: {row.cells[name] for row in rows} for name in columns}
    slices = [name for name in columns if len(values[name]) <= MOST_VALUES]
    named, left_out = [], []
    for row in rows:
        file = table.parent / row.cells[FILE_COLUMN]
        if file.is_file():
            names = frozenset(filter(None, map(str.strip, _BETWEEN_LABELS.split(row.cells[labels_column]))))
            named.append(NamedPicture(file, names, {name: row.cells[name] or NOT_GIVEN for name in slices}))
        else:
            left_out.append(LeftOut(file, Defect.MISSING, f"line {row.line} names it; there is no such file"))
    if not rows:
        raise UsageError(f"{table} has no rows", hint="write a line for each picture")
    if not named:
        raise UsageError(
            f"{table}: none of its {len(rows):,} files exists, such as {left_out[0].file}",
            hint=f"the column {FILE_COLUMN} has paths relative to the table's folder",
        )
    return LabelledTable(named, left_out, [name for name in columns if name not in slices])


def _text(table: Path) -> str:
    try:
        return table.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{table} is not UTF-8 text: byte {error.start + 1} is invalid",
            hint='save it as "CSV UTF-8"; a folder of pictures is read too',
        ) from None
    except OSError as error:
        raise UsageError(f"{table} cannot be read: {(error.strerror or str(error)).lower()}") from None


def _rows(table: Path, text: str, labels_column: str) -> Iterator[_Row]:
    header = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=header.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = _columns(table, next(lines, []), labels_column)
        for cells in lines:
            if cells:
                yield _row(table, lines.line_num, columns, cells)
    except csv.Error as error:
        raise UsageError(f"{table}, line {lines.line_num}: {error}") from None


def _columns(table: Path, header: Sequence[str], labels_column: str) -> list[str]:
    columns = [name.strip() for name in header]
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f'{table} has two columns "{twice}"', hint="rename one, or remove it")
    for name, way_out in ((FILE_COLUMN, ""), (labels_column, "; --labels-column names another")):
        if name not in columns:
            close = get_close_matches(name, columns, n=1)
            guess = f'did you mean "{close[0]}"? ' if close else ""
            raise UsageError(
                f'{table} has no column "{name}"',
                hint=f"{guess}its columns are {', '.join(columns) or 'missing'}{way_out}",
            )
    return columns


def _row(table: Path, line: int, columns: Sequence[str], cells: Sequence[str]) -> _Row:
    if len(cells) != len(columns):
        # A row that ends early would count as harmless.
        raise UsageError(
            f"{table}, line {line}: {len(cells)} values, but {len(columns)} columns",
            hint="put values that contain the delimiter into quotes",
        )
    row = _Row(line, dict(zip(columns, map(str.strip, cells), strict=True)))
    if not row.cells[FILE_COLUMN]:
        raise UsageError(f"{table}, line {line}: the column {FILE_COLUMN} is empty")
    return row
