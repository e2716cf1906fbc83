"""How many reviews wait, by what the desk's filters can choose."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from worker.domain.review import ReviewKind
from worker.store import reviews
from worker.store.tables import DecisionRow, LabelScoreRow, ReviewRow


@dataclass(frozen=True, slots=True)
class Waiting:
    """Open reviews, golden ones left out; each mapping is sorted by name."""

    total: int
    overdue: int
    for_lead: int
    queues: Mapping[str, int]
    policies: Mapping[str, int]
    #: By what whoever answers may know.
    kinds: Mapping[str, int]
    #: By flagged label; a review can count for several.
    labels: Mapping[str, int]


def waiting(session: Session, now: datetime) -> Waiting:
    """Count what waits."""
    told = reviews.told_kind().label("told")
    late = case((ReviewRow.deadline_at <= now, 1), else_=0)
    rows = session.execute(
        select(
            ReviewRow.queue,
            DecisionRow.policy,
            told,
            ReviewRow.for_lead,
            func.sum(late),
            func.count(),
        )
        .join(DecisionRow, DecisionRow.id == ReviewRow.decision_id)
        .where(ReviewRow.state == "open", ReviewRow.kind != ReviewKind.GOLDEN)
        .group_by(ReviewRow.queue, DecisionRow.policy, told, ReviewRow.for_lead)
    ).all()
    queues, policies, kinds = Counter[str](), Counter[str](), Counter[str]()
    for queue, policy, kind, _, _, count in rows:
        queues[queue] += count
        policies[policy] += count
        kinds[kind] += count
    return Waiting(
        total=sum(row[-1] for row in rows),
        overdue=sum(row[4] for row in rows),
        for_lead=sum(row[-1] for row in rows if row[3]),
        queues=dict(sorted(queues.items())),
        policies=dict(sorted(policies.items())),
        kinds=dict(sorted(kinds.items())),
        labels=_labels(session),
    )


def _labels(session: Session) -> dict[str, int]:
    query = (
        select(LabelScoreRow.label, func.count())
        .join(ReviewRow, ReviewRow.decision_id == LabelScoreRow.decision_id)
        .where(LabelScoreRow.flagged, ReviewRow.state == "open", ReviewRow.kind != ReviewKind.GOLDEN)
        .group_by(LabelScoreRow.label)
        .order_by(LabelScoreRow.label)
    )
    return dict(session.execute(query).all())
