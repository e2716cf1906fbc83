"""`database.md`: the tables with their columns, and the views for other people's SQL."""

import ast
import inspect
import re
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Column, Table, UniqueConstraint
from sqlalchemy.dialects.postgresql.base import PGDialect

from docgen import markdown as md
from worker import resources
from worker.store.engine import tables
from worker.store.engine.tables import Row

_OPENING: Final = """The tables are the same on SQLite and PostgreSQL; `moderate db upgrade` creates and
migrates them.

For your own SQL, use the [views](#views): their columns are a public interface. A table may change with
any version, and only the service writes to it.

Types are PostgreSQL's; SQLite has `integer` for `bigint`, `datetime` for `timestamptz`, `json` for
`jsonb`, `blob` for `bytea` and `float` for `double precision`. Times are in UTC."""
#: What a column of this name is in any table that does not say otherwise.
_USUAL: Final = {
    "id": "Counts up.",
    "created_at": "When the row was added.",
    "submission_id": "The submission.",
    "decision_id": "The decision.",
    "review_id": "The review.",
    "reference": "The submission's reference.",
    "policy": "The policy's name.",
    "policy_digest": "The policy version.",
    "model_digest": "The model, as in `decisions`.",
    "sha256": "SHA-256 of the picture's bytes, in hexadecimal.",
    "format": "The picture's format, as in `decisions`.",
    "width": "As in `decisions`.",
    "height": "As in `decisions`.",
    "frames": "As in `decisions`.",
    "parts": "As in `decisions`.",
    "area_share": "As in `decisions`.",
    "time_share": "As in `decisions`.",
}
_POSTGRESQL: Final = PGDialect()  # type: ignore[no-untyped-call]
_SHORT: Final = {"timestamp with time zone": "timestamptz"}
_COMMENT: Final = re.compile(r"\s*#: ?(.*)")


def page() -> str:
    """Return the page."""
    rows = {mapper.class_.__tablename__: mapper.class_ for mapper in Row.registry.mappers}
    sections = {name: _section(rows[name]) for name in sorted(rows)}
    return md.page("Database", _OPENING, {"Views": _views(), **sections})


def descriptions(row: type[Row]) -> dict[str, str]:
    """Return what the `#:` comments above a row's columns say, else what such a column usually is."""
    lines = inspect.getsource(tables).splitlines()
    (body,) = [
        node.body
        for node in ast.parse(inspect.getsource(tables)).body
        if isinstance(node, ast.ClassDef) and node.name == row.__name__
    ]
    return {
        node.target.id: " ".join(_above(lines, node.lineno - 1)) or _USUAL.get(node.target.id, "")
        for node in body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _above(lines: list[str], number: int) -> list[str]:
    """Return the comments directly above a line."""
    found: list[str] = []
    while match := _COMMENT.fullmatch(lines[number - 1]):
        found.insert(0, match[1])
        number -= 1
    return found


def _views() -> str:
    """Return the section about views of the guide to migrations, which holds whoever changes one to it."""
    guide = (resources.folder("migrations") / "README.md").read_text(encoding="utf-8")
    section = guide.partition("\n## Views\n")[2].partition("\n## ")[0]
    return section.strip().partition("\n\n")[2]


def _section(row: type[Row]) -> str:
    table: Any = row.__table__
    said = descriptions(row)
    rows = [
        [
            md.code(column.name),
            "; ".join(_type(column)),
            md.prose(re.sub(r"\bNone\b", "NULL", said[column.name])),
        ]
        for column in table.columns
    ]
    header = ["column", "type", "meaning"]
    return md.blocks(md.paragraphs(row.__doc__ or ""), md.table(header, rows), *_unique(table))


def _type(column: Column[Any]) -> Iterator[str]:
    """Yield the type, and what else the database holds a value to."""
    name = str(column.type.compile(dialect=_POSTGRESQL)).lower()
    yield md.code(_SHORT.get(name, name))
    if column.nullable:
        yield "may be NULL"
    if column.primary_key:
        yield "primary key"
    for key in column.foreign_keys:
        table = key.column.table.name
        yield f"refers to {md.link(table, f'#{md.anchor(table)}')}"


def _unique(table: Table) -> Iterator[str]:
    """Yield a sentence about the columns that are unique together."""
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint) and len(constraint.columns) > 1:
            yield f"Unique together: {', '.join(md.code(column.name) for column in constraint.columns)}."
