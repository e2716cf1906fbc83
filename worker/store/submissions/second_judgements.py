"""Requests to judge a decided submission again, as they arrive with its message."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import case, literal
from sqlalchemy.orm import InstrumentedAttribute

from worker.store.engine.clock import moment
from worker.store.engine.tables import SubmissionRow
from worker.store.engine.updating import by_id
from worker.store.submissions.arrivals import Arrival, Known


def asks_again(one: Arrival, known: Known) -> bool:
    """Whether an arrival requests a second judgement that the ledger does not have yet."""
    return one.submission.again not in {None, known.again}


def request_columns(arrivals: Iterable[Arrival], locked: Mapping[str, Known]) -> dict[str, Any]:
    """Return the columns of the request: a second judgement, and of which picture."""
    pairs = [(one, locked[one.submission.id]) for one in arrivals]
    columns: dict[str, Any] = {
        "again": by_id({one.submission.id: one.submission.again or known.again for one, known in pairs})
    }
    if requests := [one for one, known in pairs if known.state == "decided" and known.publish_at is None]:
        columns |= _new_requests(requests)
    return columns


def _new_requests(requests: Sequence[Arrival]) -> dict[str, Any]:
    """Return the columns of second judgements that are requested only now; other rows keep their values.

    Restores from the message what the first decision cleared or overwrote, and a text that was erased:
    republishing reads these columns.
    """
    are_new = SubmissionRow.id.in_([one.submission.id for one in requests])
    requested: dict[InstrumentedAttribute[Any], dict[str, Any]] = {
        SubmissionRow.policy: {one.submission.id: one.submission.policy for one in requests},
        SubmissionRow.sha256: {one.submission.id: one.submission.sha256 for one in requests},
        SubmissionRow.text: {one.submission.id: one.submission.text or None for one in requests},
        SubmissionRow.pending_source: {one.submission.id: one.pending_source for one in requests},
    }
    columns: dict[str, Any] = {
        column.key: case(
            {name: literal(value, column.type) for name, value in values.items()},
            value=SubmissionRow.id,
            else_=column,
        )
        for column, values in requested.items()
    }
    # Attempts at the first judgement do not count against the second; crashes do.
    columns["attempts"] = case((are_new, SubmissionRow.crashes), else_=SubmissionRow.attempts)
    columns["published_again"] = case((are_new, 0), else_=SubmissionRow.published_again)
    # The age of a second judgement counts from its request.
    columns["updated_at"] = case((are_new, moment()), else_=SubmissionRow.updated_at)
    return columns
