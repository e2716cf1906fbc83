"""How many reviews wait, by what the desk's filters can choose."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from worker.domain.review import ReviewKind
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
    about = and_(ReviewRow.state == "open", ReviewRow.kind != ReviewKind.GOLDEN)
    rows = session.execute(
        select(
            ReviewRow.queue,
            DecisionRow.policy,
            ReviewRow.kind,
            ReviewRow.for_lead,
            ReviewRow.deadline_at <= now,
            func.count(),
        )
        .join(DecisionRow, DecisionRow.id == ReviewRow.decision_id)
        .where(about)
        .group_by(
            ReviewRow.queue,
            DecisionRow.policy,
            ReviewRow.kind,
            ReviewRow.for_lead,
            ReviewRow.deadline_at <= now,
        )
    ).all()
    queues, policies, kinds = Counter[str](), Counter[str](), Counter[str]()
    for queue, policy, kind, _, _, count in rows:
        queues[queue] += count
        policies[policy] += count
        kinds[ReviewKind(kind).told.value] += count
    return Waiting(
        total=sum(row[-1] for row in rows),
        overdue=sum(row[-1] for row in rows if row[4]),
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
