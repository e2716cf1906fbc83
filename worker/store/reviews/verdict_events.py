"""Events about verdicts, without the reviewer's name and the note for colleagues."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.domain.moderation.in_force import InForce
from worker.domain.operations.event_type import EventType
from worker.store.engine.tables import ReversalRow, SubmissionRow
from worker.store.notifications import outbox
from worker.store.reviews import appeals, verdicts
from worker.store.reviews.verdicts import RecordedVerdict

VERDICT_MADE: Final = EventType.VERDICT_MADE.value
VERDICT_REVERSED: Final = EventType.VERDICT_REVERSED.value
APPEAL_ANSWERED: Final = EventType.APPEAL_ANSWERED.value


def notify(
    session: Session,
    kind: str,
    verdict: RecordedVerdict,
    state: InForce,
    default: Mapping[str, Any] | None = None,
) -> None:
    """Add an event with the submission's new state, if the submission or `default` has a callback."""
    query = select(SubmissionRow.callback).where(SubmissionRow.id == verdict.submission_id)
    if callback := session.scalar(query) or default:
        outbox.add(session, [news_of(kind, verdict, state, callback)])


def news_of(kind: str, verdict: RecordedVerdict, state: InForce, callback: Mapping[str, Any]) -> outbox.News:
    """Return the event of this kind about a verdict, after which the submission is in `state`."""
    return outbox.News(kind, verdict.submission_id, verdict.decision_id, callback, verdict.id, in_force=state)


def fields_of(session: Session, kind: str, verdict_id: int) -> dict[str, Any]:
    """Return an event's fields about its verdict, as JSON values.

    They do not change later: they describe the state at the time of the event.
    """
    verdict = verdicts.find(session, verdict_id)
    if verdict is None:
        raise ValueError(f"there is no verdict {verdict_id}")
    fields: dict[str, Any] = {
        "verdict": verdict.id,
        "decision": verdict.decision_id,
        "action": verdict.action.value,
        "labels": list(verdict.labels),
        "reason": verdict.reason,
        "inherited": verdict.inherited_from is not None,
        "made_at": verdict.created_at.isoformat(),
    }
    if kind == APPEAL_ANSWERED:
        fields |= _appeal(session, verdict)
    if kind == VERDICT_REVERSED:
        fields |= _reversal(session, verdict)
    return fields


def _appeal(session: Session, verdict: RecordedVerdict) -> dict[str, Any]:
    appeal = appeals.of_review(session, verdict.review_id) if verdict.review_id is not None else None
    if appeal is None:
        raise ValueError(f"the verdict {verdict.id} answers no appeal")
    upheld = verdict.action is appeal.appealed_action
    return {"appeal": appeal.id, "outcome": "upheld" if upheld else "overturned"}


def _reversal(session: Session, verdict: RecordedVerdict) -> dict[str, Any]:
    row = session.get(ReversalRow, verdict.id)
    if row is None:
        raise ValueError(f"the verdict {verdict.id} was not reversed")
    # What is in force since the reversal, not what the verdict decided.
    return {
        "action": row.action.value,
        "reversed_action": verdict.action.value,
        "labels": [],
        "reason": row.reason or "",
        "reversed_at": row.created_at.isoformat(),
    }
