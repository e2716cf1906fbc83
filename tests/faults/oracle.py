"""The oracle: checks that everything accepted has exactly one decision, and that nothing is left claimed."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from worker.store.engine.tables import DecisionRow, OutboxRow, ReviewRow, SubmissionRow


@dataclass(frozen=True)
class DecisionFact:
    """A row of `decisions`, and the number of rows that refer to it."""

    id: int
    submission_id: str
    policy_digest: str
    #: Its events in the outbox.
    events: int = 0
    #: Its open or settled reviews.
    reviews: int = 0


@dataclass(frozen=True)
class Facts:
    """The state of the submissions of one load at one moment."""

    #: Ids that were accepted over HTTP, or whose message Redis acknowledged.
    promised: Collection[str]
    #: The ledger: the state of each id.
    states: Mapping[str, str]
    decisions: Sequence[DecisionFact]
    #: Ids that are still claimed, by the ledger.
    claimed: Collection[str] = ()
    #: Ids that are settled, but whose source is still stored.
    kept: Collection[str] = ()
    queued: int = 0
    unacknowledged: int = 0


@dataclass(frozen=True)
class Expectation:
    """The expected result of a load."""

    #: Whether the platform is notified of each decision.
    notifies: bool = False
    #: Ids that are invalid and must be refused.
    refused: Collection[str] = ()
    #: Bare messages: Celery on Redis may lose one before a worker claims it.
    bare: Collection[str] = ()


@dataclass(frozen=True)
class Findings:
    """Violations; empty if the oracle holds."""

    lost: Collection[str] = ()
    doubled: Collection[str] = ()
    #: Descriptions of what is unfinished.
    stuck: Sequence[str] = ()
    #: Bare messages without a trace in the queue or the ledger.
    gone: Collection[str] = field(default=(), compare=False)

    @property
    def hold(self) -> bool:
        return not (self.lost or self.doubled or self.stuck)

    def __str__(self) -> str:
        named = (("lost", self.lost), ("doubled", self.doubled), ("stuck", self.stuck))
        return "; ".join(f"{what}: {_some(found)}" for what, found in named if found) or "the oracle holds"


def examine(facts: Facts, expected: Expectation) -> Findings:
    """Compare the facts with the expectation."""
    decided = Counter(decision.submission_id for decision in facts.decisions)
    # A bare message becomes a promise once a worker has recorded it in the ledger.
    known = {*facts.promised, *facts.states} - set(expected.refused)
    return Findings(
        lost=sorted(known - decided.keys() | _missing_refusals(facts, expected)),
        doubled=sorted(_doubled(facts, expected)),
        stuck=_stuck(facts, expected, decided),
        gone=sorted(set(expected.bare) - decided.keys() - facts.states.keys()),
    )


def _missing_refusals(facts: Facts, expected: Expectation) -> set[str]:
    return {one for one in expected.refused if facts.states.get(one) != "refused"}


def _doubled(facts: Facts, expected: Expectation) -> set[str]:
    by_submission = Counter(decision.submission_id for decision in facts.decisions)
    return (
        {one for one, count in by_submission.items() if count > 1}
        | {one.submission_id for one in facts.decisions if one.events > 1 or one.reviews > 1}
        | {one for one in by_submission if one in expected.refused}
    )


def _stuck(facts: Facts, expected: Expectation, decided: Mapping[str, int]) -> list[str]:
    undone = [one for one, state in facts.states.items() if state == "accepted" and one in decided]
    unnotified = [one.submission_id for one in facts.decisions if expected.notifies and not one.events]
    unrecorded = [one for one in decided if one not in facts.states]
    found = {
        "decided, but the ledger says accepted": undone,
        "decided, but not in the ledger": unrecorded,
        "decided, but without an event": unnotified,
        "still claimed": facts.claimed,
        "settled, but the source is kept": facts.kept,
    }
    stuck = [f"{what}: {_some(ids)}" for what, ids in found.items() if ids]
    if facts.queued:
        stuck.append(f"{facts.queued} messages queued")
    if facts.unacknowledged:
        stuck.append(f"{facts.unacknowledged} messages unacknowledged")
    return stuck


def _some(ids: Collection[str]) -> str:
    shown = ", ".join(list(ids)[:3])
    return f"{shown} and {len(ids) - 3} more" if len(ids) > 3 else shown


def read_decisions(session: Session, prefix: str) -> list[DecisionFact]:
    """Return the decisions on submissions whose ids begin with `prefix`."""
    ours = DecisionRow.submission_id.startswith(prefix, autoescape=True)
    events = _count_by_decision(session, OutboxRow.decision_id, prefix)
    reviews = _count_by_decision(session, ReviewRow.decision_id, prefix)
    query = select(DecisionRow.id, DecisionRow.submission_id, DecisionRow.policy_digest).where(ours)
    return [
        DecisionFact(number, submission_id, digest, events.get(number, 0), reviews.get(number, 0))
        for number, submission_id, digest in session.execute(query)
    ]


def _count_by_decision(session: Session, column: object, prefix: str) -> dict[int, int]:
    query = (
        select(column, func.count())
        .join(DecisionRow, DecisionRow.id == column)
        .where(DecisionRow.submission_id.startswith(prefix, autoescape=True))
        .group_by(column)
    )
    return dict(session.execute(query).all())


def read_facts(
    session: Session, prefix: str, promised: Collection[str], *, queued: int, unacknowledged: int
) -> Facts:
    """Read the state of the submissions whose ids begin with `prefix`."""
    query = select(
        SubmissionRow.id, SubmissionRow.state, SubmissionRow.claimed_by, SubmissionRow.pending_source
    ).where(SubmissionRow.id.startswith(prefix, autoescape=True))
    rows = session.execute(query).all()
    return Facts(
        promised=promised,
        states={row.id: row.state for row in rows},
        decisions=read_decisions(session, prefix),
        claimed=[row.id for row in rows if row.claimed_by is not None],
        kept=[row.id for row in rows if row.state != "accepted" and row.pending_source is not None],
        queued=queued,
        unacknowledged=unacknowledged,
    )
