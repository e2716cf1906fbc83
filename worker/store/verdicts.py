"""Verdicts: what people answered, the truth that policies are measured against."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from worker.domain.policy import Action
from worker.store.tables import VerdictRow


@dataclass(frozen=True, slots=True)
class Verdict:
    """A person's answer about one submission."""

    submission_id: str
    action: Action
    labels: frozenset[str]


def record(session: Session, verdict: Verdict, *, decision_id: int, reviewer: str) -> None:
    """Add a verdict; the latest of a submission counts."""
    row = {
        "submission_id": verdict.submission_id,
        "decision_id": decision_id,
        "action": verdict.action,
        "labels": sorted(verdict.labels),
        "reviewer": reviewer,
    }
    session.execute(insert(VerdictRow).values(row))


def latest_of(session: Session, submission_ids: Sequence[str]) -> dict[str, Verdict]:
    """Return the latest verdict of each of these submissions that has one."""
    query = (
        select(VerdictRow)
        .where(VerdictRow.submission_id.in_(submission_ids))
        .order_by(VerdictRow.created_at, VerdictRow.id)
    )
    return {
        row.submission_id: Verdict(row.submission_id, row.action, frozenset(row.labels))
        for row in session.scalars(query)
    }
