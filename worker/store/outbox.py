"""The outbox: what the platform is to be told, written with what happened and sent afterwards."""

import secrets
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import insert
from sqlalchemy.orm import Session

from worker.store.column_types import utc_now
from worker.store.tables import OutboxRow

DECISION_MADE: Final = "decision.made"


def add(  # noqa: PLR0913 - an argument for each fact, all by name
    session: Session,
    kind: str,
    *,
    submission_id: str,
    decision_id: int,
    callback: Mapping[str, Any],
    verdict_id: int | None = None,
) -> None:
    """Note that `callback` is to be told of a decision or a verdict, at the next occasion."""
    session.execute(
        insert(OutboxRow).values(
            event_id=f"evt_{secrets.token_hex(16)}",
            kind=kind,
            submission_id=submission_id,
            decision_id=decision_id,
            verdict_id=verdict_id,
            callback=callback,
            state="pending",
            next_attempt_at=utc_now(),
        )
    )
