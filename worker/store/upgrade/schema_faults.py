"""Finds what a schema at the right revision lacks, as after a dump that was restored only in part."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import (
    CheckConstraint,
    Connection,
    Inspector,
    Table,
    UniqueConstraint,
    func,
    inspect,
    select,
    text,
)

from worker.store.engine.tables import Row

#: For people who query the database with SQL; `migrations/` creates them.
VIEWS: Final = ("current_decisions", "review_queue")

_Columns = tuple[str, ...]
#: What a driver reflects, by table.
_Reflected = dict[str, Any]


def schema_faults(connection: Connection) -> list[str]:
    """Return what is missing that correctness depends on, one phrase each; the tables themselves exist."""
    inspector = inspect(connection)
    reflected = _reflect(inspector)
    faults = [f"the view {name}" for name in VIEWS if name not in inspector.get_view_names()]
    for name, table in Row.metadata.tables.items():
        faults += (f"{what} of {name}" for what in _missing(table, reflected))
    if connection.dialect.name == "postgresql":
        faults += _invalid_indexes(connection)
        faults += _sequences_behind(connection)
    return faults


def _reflect(inspector: Inspector) -> dict[str, _Reflected]:
    kinds: dict[str, Any] = {
        "columns": inspector.get_multi_columns(),
        "primary_key": inspector.get_multi_pk_constraint(),
        "uniques": inspector.get_multi_unique_constraints(),
        "indexes": inspector.get_multi_indexes(),
        "foreign_keys": inspector.get_multi_foreign_keys(),
        "checks": inspector.get_multi_check_constraints(),
    }
    return {kind: {name: found for (_, name), found in tables.items()} for kind, tables in kinds.items()}


def _missing(table: Table, reflected: dict[str, _Reflected]) -> Iterator[str]:
    name = table.name
    columns = {one["name"]: one for one in reflected["columns"][name]}
    for column in table.columns:
        there = columns.get(column.name)
        if there is None:
            yield f"the column {column.name}"
        elif there["nullable"] and not column.nullable:
            yield f"NOT NULL ({column.name})"
        elif column.server_default is not None and there["default"] is None:
            yield f"the default ({column.name})"
    if tuple(reflected["primary_key"][name]["constrained_columns"]) != _names(table.primary_key.columns):
        yield f"the primary key ({_list(_names(table.primary_key.columns))})"
    for unique in sorted(_uniques(table) - _uniques_there(name, reflected)):
        yield f"UNIQUE ({_list(unique)})"
    for foreign in sorted(_foreign_keys(table) - _foreign_keys_there(reflected["foreign_keys"][name])):
        yield f"the foreign key {foreign[0]} -> {foreign[1]}"
    checks = {one.name for one in table.constraints if isinstance(one, CheckConstraint)}
    for check in sorted(map(str, checks - {one["name"] for one in reflected["checks"][name]})):
        yield f"CHECK {check}"


def _uniques(table: Table) -> set[_Columns]:
    constraints = (_names(one.columns) for one in table.constraints if isinstance(one, UniqueConstraint))
    indexes = (_names(one.columns) for one in table.indexes if one.unique)
    return {*constraints, *indexes}


def _uniques_there(name: str, reflected: dict[str, _Reflected]) -> set[_Columns]:
    indexes = (one["column_names"] for one in reflected["indexes"][name] if one["unique"])
    constraints = (one["column_names"] for one in reflected["uniques"][name])
    return {tuple(columns) for columns in (*indexes, *constraints)}


def _foreign_keys(table: Table) -> set[tuple[str, str]]:
    return {(one.parent.name, one.target_fullname) for one in table.foreign_keys}


def _foreign_keys_there(found: list[Any]) -> set[tuple[str, str]]:
    return {
        (column, f"{one['referred_table']}.{referred}")
        for one in found
        for column, referred in zip(one["constrained_columns"], one["referred_columns"], strict=True)
    }


def _invalid_indexes(connection: Connection) -> Iterator[str]:
    """Yield unique indexes whose build PostgreSQL did not finish, so that they are invalid."""
    query = text("SELECT indexrelid::regclass::text FROM pg_index WHERE indisunique AND NOT indisvalid")
    for name in connection.scalars(query):
        yield f"the index {name}, which is invalid"


def _sequences_behind(connection: Connection) -> Iterator[str]:
    query = text(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
        " AND (column_default LIKE 'nextval(%' OR is_identity = 'YES')"
    )
    counting = {(table, column) for table, column in connection.execute(query)}
    for table in Row.metadata.tables.values():
        if (column := table.autoincrement_column) is None:
            continue
        # In this order: a concurrent insert advances the sequence before its row is visible.
        newest = connection.scalar(select(func.max(column))) or 0
        sequence = connection.scalar(select(func.pg_get_serial_sequence(table.name, column.name)))
        if sequence is None or (table.name, column.name) not in counting:
            yield f"the sequence of {table.name}.{column.name}"
            continue
        last = text(f"SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM {sequence}")  # noqa: S608
        if (connection.scalar(last) or 0) < newest:
            yield f"the place of the sequence {sequence}, which is behind {table.name}.{column.name}"


def _names(columns: Any) -> _Columns:
    return tuple(column.name for column in columns)


def _list(columns: _Columns) -> str:
    return ", ".join(columns)
