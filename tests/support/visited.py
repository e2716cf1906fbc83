"""Counts the rows that a database visits: a measure of cost that does not depend on the clock."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, event

from worker.store.engine.database import Database

#: SQLite's work is counted in steps of its virtual machine, in portions of this size.
_PORTION = 100
#: About the number of steps for one visited row, including its processing.
_STEPS_A_ROW = 10


@dataclass
class Visited:
    """The number of visited rows, and each statement with its plan for a person who looks for the cause."""

    rows: int = 0
    statements: list[tuple[int, str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        costliest = sorted(self.statements, key=lambda one: -one[0])[:3]
        return "\n\n".join(f"{rows:,} rows: {statement}\n{plan}" for rows, statement, plan in costliest)


@contextmanager
def visited(database: Database) -> Iterator[Visited]:
    """Count the rows of tables and indexes that statements visit in the block, matching or not.

    PostgreSQL reports them: each statement is run once more under EXPLAIN, and rolled back. For SQLite they
    are estimated from the steps of its virtual machine.
    """
    seen = Visited()
    count = _count_rows if database.address.file is None else _count_steps
    before, after = count(seen)
    event.listen(database.engine, "before_cursor_execute", before)
    event.listen(database.engine, "after_cursor_execute", after)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", before)
        event.remove(database.engine, "after_cursor_execute", after)
        database.dispose()


def _count_rows(seen: Visited) -> tuple[Any, Any]:
    def before(connection: Connection, _c: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            return
        driver: Any = connection.connection.driver_connection
        for one in parameters if isinstance(parameters, list) else [parameters]:
            driver.execute("SAVEPOINT explained")
            explained = driver.execute(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", one
            ).fetchone()[0]
            driver.execute("ROLLBACK TO SAVEPOINT explained")
            plan = explained[0]["Plan"]
            rows = _rows(plan)
            seen.rows += rows
            seen.statements.append((rows, statement, json.dumps(_short(plan), indent=1)))

    return before, lambda *_: None


def _rows(plan: dict[str, Any]) -> int:
    """Return the number of rows that the scan nodes visited, including those that they filtered out."""
    below = sum(_rows(one) for one in plan.get("Plans", []))
    if "Scan" not in plan["Node Type"] or plan["Node Type"] in {
        "CTE Scan",
        "Subquery Scan",
        "WorkTable Scan",
    }:
        return below
    filtered = sum(value for name, value in plan.items() if name.startswith("Rows Removed by"))
    return below + round((plan["Actual Rows"] + filtered) * plan["Actual Loops"])


def _short(plan: dict[str, Any]) -> dict[str, Any]:
    shown = (
        "Node Type",
        "Relation Name",
        "Index Name",
        "Actual Rows",
        "Actual Loops",
        "Filter",
        "Index Cond",
    )
    own = {name: plan[name] for name in shown if name in plan}
    own |= {name: value for name, value in plan.items() if name.startswith("Rows Removed by")}
    return own | ({"Plans": [_short(one) for one in plan["Plans"]]} if "Plans" in plan else {})


def _count_steps(seen: Visited) -> tuple[Any, Any]:
    steps = 0

    def note() -> None:
        nonlocal steps
        steps += _PORTION
        seen.rows = steps // _STEPS_A_ROW

    def before(connection: Connection, _c: Any, statement: str, parameters: Any, *_: Any) -> None:
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(None, _PORTION)
        if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            first = parameters[0] if isinstance(parameters, list) else parameters
            plan = driver.execute(f"EXPLAIN QUERY PLAN {statement}", first).fetchall()
            seen.statements.append((seen.rows, statement, "\n".join(row[3] for row in plan)))
        driver.set_progress_handler(note, _PORTION)

    return before, lambda *_: None
