"""Decisions: written once for each submission and policy version, then only read."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final

from moderation_client.submission import Submission
from sqlalchemy import Select, func, select
from sqlalchemy import insert as bulk_insert
from sqlalchemy.orm import Session

from worker.domain.moderation.additions import TextPart
from worker.domain.moderation.decision import Decision
from worker.domain.moderation.picture import PictureFacts
from worker.domain.moderation.scoring import LabelScore
from worker.domain.moderation.view import View
from worker.domain.policies.policy import Action, Policy
from worker.store.engine.counting import MOST, count_up_to
from worker.store.engine.inserting import insert_into
from worker.store.engine.tables import DecisionRow, LabelScoreRow, SubmissionRow

#: Key of an advisory lock: any number that no other lock in this database uses.
_BLOCKS_LOCK: Final = 712_026
_Decisions = Select[DecisionRow, str, dict[str, Any] | None, str | None]
_NO_FACTS: Final[dict[str, None]] = dict.fromkeys(field.name for field in fields(PictureFacts))


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """A decision as the database holds it, with the scores it is based on."""

    id: int
    submission_id: str
    reference: str
    #: What the platform gets back with the decision; None if it sent nothing.
    context: dict[str, Any] | None
    #: What accompanies the picture; empty if nothing does, or if it was erased.
    text: str
    policy: str
    policy_digest: str
    model_digest: str
    action: Action
    #: The flagged labels, gravest first.
    flagged: tuple[str, ...]
    #: 1 to 5; 0 if no label is flagged.
    severity: int
    reason: str
    #: Whether it would have been a block if the hour's automatic blocks had not been used up.
    held_back: bool
    #: Of the bytes; None if they were not judged.
    sha256: str | None
    #: How much was examined, as in `PictureFacts`; None if not judged, or older than these columns.
    parts: int | None
    area_share: float | None
    time_share: float | None
    #: In UTC.
    created_at: datetime
    #: In the policy's order.
    scores: tuple[LabelScore, ...]


@dataclass(frozen=True, slots=True)
class NewDecision:
    """A decision to be written."""

    submission: Submission
    policy: Policy
    decision: Decision
    #: The model's name in the settings, and the digest of everything that affects its vectors.
    model: str
    model_digest: str
    #: None if the picture could not be judged.
    facts: PictureFacts | None
    #: None if the audit never samples it.
    audit_probability: float | None = None


@dataclass(frozen=True, slots=True)
class BriefDecision:
    """A decision, without what it is about."""

    id: int
    submission_id: str
    #: Whether the picture was judged; otherwise its bytes could not be.
    is_judged: bool


def find(session: Session, submission_id: str, policy_digest: str) -> int | None:
    """Return the id of the decision on a submission under a policy version, if there is one."""
    return session.scalar(
        select(DecisionRow.id).where(
            DecisionRow.submission_id == submission_id, DecisionRow.policy_digest == policy_digest
        )
    )


def insert(session: Session, made: Sequence[NewDecision]) -> list[int | None]:
    """Write decisions and their label scores; return their ids, None for those that exist already.

    Their submissions and policy versions have to exist.
    """
    if not made:
        return []
    once = insert_into(session, DecisionRow).on_conflict_do_nothing(
        index_elements=[DecisionRow.submission_id, DecisionRow.policy_digest]
    )
    written = session.connection().execute(
        once.returning(DecisionRow.id, DecisionRow.submission_id, DecisionRow.policy_digest),
        [_row(one) for one in made],
    )
    # Popped: of two decisions for the same submission only the first was written.
    found = {(submission_id, digest): decision_id for decision_id, submission_id, digest in written}
    ids = [found.pop((one.submission.id, one.policy.digest), None) for one in made]
    scores = [
        row
        for one, decision_id in zip(made, ids, strict=True)
        if decision_id is not None
        for row in _score_rows(decision_id, one)
    ]
    if scores:
        session.connection().execute(bulk_insert(LabelScoreRow), scores)
    return ids


def of_submissions(session: Session, ids: Sequence[str]) -> list[RecordedDecision]:
    """Return every decision on these submissions, oldest first."""
    return _read(session, _decisions().where(DecisionRow.submission_id.in_(ids)).order_by(DecisionRow.id))


def newest_id(session: Session) -> int:
    """Return the id of the newest decision; 0 if there is none."""
    return session.scalar(select(DecisionRow.id).order_by(DecisionRow.id.desc()).limit(1)) or 0


def decided_after(session: Session, decision_id: int) -> list[BriefDecision]:
    """Return the decisions with a higher id, oldest first."""
    query = select(DecisionRow.id, DecisionRow.submission_id, DecisionRow.sha256.is_not(None))
    found = session.execute(query.where(DecisionRow.id > decision_id).order_by(DecisionRow.id)).all()
    return [BriefDecision(*row) for row in found]


def get(session: Session, decision_id: int) -> RecordedDecision:
    """Return the decision with this id, which has to exist."""
    (found,) = _read(session, _decisions().where(DecisionRow.id == decision_id))
    return found


def by_ids(session: Session, ids: Sequence[int]) -> dict[int, RecordedDecision]:
    """Return those of these decisions that exist, by id."""
    found = _read(session, _decisions().where(DecisionRow.id.in_(ids)))
    return {decision.id: decision for decision in found}


def count_by_action(session: Session) -> dict[Action, int]:
    """Return the number of decisions of each action, without empty ones; counts stop at `MOST`."""
    counts = {action: count_up_to(session, MOST, DecisionRow.action == action) for action in Action}
    return {action: count for action, count in counts.items() if count}


def automatic_blocks(session: Session, policy: str, since: datetime) -> int:
    """Return how many pictures a policy blocked since then, under a lock that the transaction holds.

    Otherwise two workers that block at the same moment could both pass the limit. On PostgreSQL the second
    waits here, on SQLite at the start of its transaction.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_BLOCKS_LOCK, func.hashtext(policy))))
    query = select(func.count()).where(
        DecisionRow.policy == policy, DecisionRow.action == Action.BLOCK, DecisionRow.created_at >= since
    )
    return session.scalar(query) or 0


def _row(made: NewDecision) -> dict[str, Any]:
    decision = made.decision
    return {
        "submission_id": made.submission.id,
        "policy": made.policy.name,
        "policy_digest": made.policy.digest,
        "model": made.model,
        "model_digest": made.model_digest,
        "action": decision.action,
        "labels": list(decision.flagged),
        "severity": decision.severity,
        "reason": decision.reason,
        "held_back": decision.held_back,
        "audit_probability": made.audit_probability,
        **(asdict(made.facts) if made.facts else _NO_FACTS),
    }


def _score_rows(decision_id: int, made: NewDecision) -> Iterable[dict[str, Any]]:
    flagged = set(made.decision.flagged)
    for score in made.decision.scores:
        yield {
            "decision_id": decision_id,
            "position": made.policy.places[score.label],
            "label": score.label,
            "flagged": score.label in flagged,
            "score": score.score,
            "prompt": score.prompt,
            "prompt_cosine": score.prompt_cosine,
            "background": score.background,
            "background_cosine": score.background_cosine,
            "frame": score.view.frame,
            "on_black": score.view.on_black,
            "part": score.view.part,
            "text_added": score.text.added if score.text else 0.0,
        }


def _decisions() -> _Decisions:
    return select(DecisionRow, SubmissionRow.reference, SubmissionRow.context, SubmissionRow.text).join(
        SubmissionRow, SubmissionRow.id == DecisionRow.submission_id
    )


def _read(session: Session, query: _Decisions) -> list[RecordedDecision]:
    found = session.execute(query).all()
    scores = _scores(session, [row for row, *_ in found])
    return [
        _recorded(row, tuple(scores.get(row.id, ())), reference, context, text)
        for row, reference, context, text in found
    ]


def _scores(session: Session, decisions: Sequence[DecisionRow]) -> dict[int, list[LabelScore]]:
    decided = {row.id: row for row in decisions}
    query = select(LabelScoreRow).where(LabelScoreRow.decision_id.in_(decided))
    scores: dict[int, list[LabelScore]] = {}
    for row in session.scalars(query.order_by(LabelScoreRow.decision_id, LabelScoreRow.position)):
        scores.setdefault(row.decision_id, []).append(_score(row, decided[row.decision_id]))
    return scores


def _score(row: LabelScoreRow, decision: DecisionRow) -> LabelScore:
    return LabelScore(
        label=row.label,
        score=row.score,
        prompt=row.prompt,
        prompt_cosine=row.prompt_cosine,
        background=row.background,
        background_cosine=row.background_cosine,
        view=View(
            row.frame,
            bool(row.on_black),
            row.part,
            decision.parts or 1,
            (decision.height or 0) > (decision.width or 0),
        ),
        text=TextPart.recorded(row.score, row.text_added),
    )


def _recorded(
    row: DecisionRow,
    scores: tuple[LabelScore, ...],
    reference: str,
    context: dict[str, Any] | None,
    text: str | None,
) -> RecordedDecision:
    return RecordedDecision(
        id=row.id,
        submission_id=row.submission_id,
        reference=reference,
        context=context,
        text=text or "",
        policy=row.policy,
        policy_digest=row.policy_digest,
        model_digest=row.model_digest,
        action=row.action,
        flagged=tuple(row.labels),
        severity=row.severity,
        reason=row.reason,
        held_back=row.held_back,
        sha256=row.sha256,
        parts=row.parts,
        area_share=row.area_share,
        time_share=row.time_share,
        created_at=row.created_at,
        scores=scores,
    )
