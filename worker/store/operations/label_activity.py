"""What policies flag and how their labels score, added up by the hour.

One row for each hour and policy version, whatever the number of uploads, labels and workers: everything that
is asked of it reads a few hundred rows by the primary key.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.domain.operations.label_activity import COLUMNS, Activity, Hour
from worker.store.engine import inserting
from worker.store.engine.clock import database_now
from worker.store.engine.deleting import delete_some, is_any
from worker.store.engine.tables import LabelActivityRow

#: Longer than any comparison looks back.
KEPT_FOR: Final = timedelta(days=14)
#: Counts of an hour: up to four billion.
_NUMBER: Final = "<u4"


def add(session: Session, counted: Mapping[tuple[str, str], Activity]) -> None:
    """Add what was counted by (policy, digest) to the current hour of the database's clock."""
    if not counted:
        return
    hour = database_now(session).replace(minute=0, second=0, microsecond=0)
    empty = {"hour": hour, "uploads": 0, "labels": [], "counts": b""}
    # Always in the same order: two workers that add to the same rows must not deadlock.
    new = [empty | {"policy": policy, "policy_digest": digest} for policy, digest in sorted(counted)]
    inserting.keep(session, LabelActivityRow, new)
    locked = (
        select(LabelActivityRow)
        .where(LabelActivityRow.hour == hour)
        .where(LabelActivityRow.policy_digest.in_([digest for _, digest in counted]))
        .order_by(LabelActivityRow.policy_digest)
        .with_for_update()
    )
    for row in session.scalars(locked).all():
        total = _activity(row)
        total.add(counted[row.policy, row.policy_digest])
        row.uploads, row.labels, row.counts = total.uploads, list(total.rows), _packed(total)


def since(session: Session, at: datetime) -> list[Hour]:
    """Return the hours from a moment on, oldest first."""
    query = select(LabelActivityRow).where(LabelActivityRow.hour >= at).order_by(LabelActivityRow.hour)
    return [Hour(row.hour, row.policy, row.policy_digest, _activity(row)) for row in session.scalars(query)]


def is_any_old(session: Session) -> bool:
    """Whether any hour is older than KEPT_FOR."""
    return is_any(session, LabelActivityRow.hour <= database_now(session) - KEPT_FOR)


def forget_old(session: Session, *, limit: int) -> int:
    """Delete at most `limit` rows of hours older than KEPT_FOR; return how many."""
    old = LabelActivityRow.hour <= database_now(session) - KEPT_FOR
    return delete_some(session, LabelActivityRow, old, limit=limit)


def _activity(row: LabelActivityRow) -> Activity:
    counts = np.frombuffer(row.counts, _NUMBER).reshape(len(row.labels), COLUMNS)
    return Activity.of(row.uploads, row.labels, counts)


def _packed(activity: Activity) -> bytes:
    return activity.counts.astype(_NUMBER).tobytes()
