"""Gathers what a person needs beside the picture to answer a review: why it was flagged, what is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from worker.domain.moderation.scoring import LabelScore
from worker.domain.moderation.view import FIRST, View
from worker.domain.policies.policy import Action, Label, Policy
from worker.domain.policies.stored_policy import StoredPolicy
from worker.errors import InvalidPolicyError
from worker.policy_files.stored import parse_stored
from worker.store.engine.database import Database
from worker.store.engine.tables import DecisionRow, SubmissionRow
from worker.store.policies import policy_versions
from worker.store.reviews import verdicts
from worker.store.reviews.reviews import Review

#: Earlier decisions about the same bytes that are shown.
_MAX_EARLIER: Final = 6
#: Formats that cannot be transparent; a picture of another may look different on a black page.
_OPAQUE: Final = frozenset({"JPEG", "MPO", "BMP"})


@dataclass(frozen=True, slots=True)
class LabelEvidence:
    """One label's score, against its thresholds."""

    score: LabelScore
    flagged: bool
    #: As the policy was then; None where its text is no longer understood.
    label: Label | None


@dataclass(frozen=True, slots=True)
class EarlierDecision:
    """What was decided about the same bytes in another submission."""

    submission_id: str
    reference: str
    policy: str
    decided_at: datetime
    action: Action
    labels: Sequence[str]
    #: Whether a person said so.
    by_person: bool


@dataclass(frozen=True, slots=True)
class Dossier:
    """All about one review but its picture."""

    review: Review
    #: Flagged labels first, then the strongest.
    evidence: Sequence[LabelEvidence]
    #: The policy as it was when it decided; None where its text is no longer understood.
    policy: Policy | None
    #: The frames that were looked at; 0 where the picture could not be judged.
    frames: int
    #: As people see it, in pixels; None where it could not be judged.
    size: tuple[int, int] | None
    #: Whether its kind of file can be transparent, so that it may look different on a black page.
    may_be_transparent: bool
    #: Whether the bytes that were judged are on record, so that others can be told from them.
    is_judged: bool
    #: Newest first.
    earlier: Sequence[EarlierDecision]

    @property
    def first_view(self) -> View:
        """Return the view that the gravest flagged label was seen in."""
        return next((one.score.view for one in self.evidence if one.flagged), FIRST)

    @property
    def labels(self) -> Sequence[Label]:
        """Return the labels that a verdict can name, in the policy's order."""
        return self.policy.labels if self.policy else ()


@dataclass(frozen=True, slots=True)
class LookAtReview:
    """Gather it; nothing is written."""

    database: Database

    def __call__(self, reviews: Sequence[Review]) -> list[Dossier]:
        """Return what is known about each of these."""
        with self.database.reading() as session:
            return [_dossier(session, review) for review in reviews]


def _dossier(session: Session, review: Review) -> Dossier:
    decision = review.decision
    facts = session.execute(
        select(
            DecisionRow.frames,
            DecisionRow.width,
            DecisionRow.height,
            DecisionRow.format,
            func.coalesce(DecisionRow.sha256, SubmissionRow.sha256).label("sha256"),
        )
        .join(SubmissionRow, SubmissionRow.id == DecisionRow.submission_id)
        .where(DecisionRow.id == decision.id)
    ).one()
    policy = _policy(session, decision.policy_digest, decision.policy)
    return Dossier(
        review.blinded,
        _evidence(review, policy),
        policy,
        facts.frames or 0,
        (facts.width, facts.height) if facts.width and facts.height else None,
        facts.format not in _OPAQUE,
        facts.sha256 is not None,
        _earlier(session, review) if decision.sha256 else [],
    )


def _policy(session: Session, digest: str, name: str) -> Policy | None:
    return _parsed(StoredPolicy(policy_versions.text_of(session, digest) or "", digest), name)


@lru_cache(maxsize=16)
def _parsed(stored: StoredPolicy, name: str) -> Policy | None:
    """Return the policy that a text means; a queue is about few versions of few."""
    try:
        return parse_stored(stored, f"{name}.yaml")
    except InvalidPolicyError:
        return None


def _evidence(review: Review, policy: Policy | None) -> list[LabelEvidence]:
    labels = {label.name: label for label in policy.labels} if policy else {}
    flagged = review.decision.flagged
    found = [LabelEvidence(s, s.label in flagged, labels.get(s.label)) for s in review.decision.scores]
    place = {name: number for number, name in enumerate(flagged)}
    return sorted(found, key=lambda one: (place.get(one.score.label, len(place)), -one.score.score))


def _earlier(session: Session, review: Review) -> list[EarlierDecision]:
    """Return what was decided about the same bytes; to whoever answers blindly, not what people said."""
    decision = review.decision
    query = (
        select(DecisionRow, SubmissionRow.reference)
        .join(SubmissionRow, SubmissionRow.id == DecisionRow.submission_id)
        .where(DecisionRow.sha256 == decision.sha256, DecisionRow.submission_id != decision.submission_id)
        .order_by(DecisionRow.created_at.desc(), DecisionRow.id.desc())
        .limit(_MAX_EARLIER)
    )
    found = session.execute(query).all()
    ids = [] if review.kind.is_blind else [row.submission_id for row, _ in found]
    said = {name: one for name, one in verdicts.latest_of(session, ids).items() if one.picture_seen}
    earlier = []
    for row, reference in found:
        verdict = said.get(row.submission_id)
        earlier.append(
            EarlierDecision(
                row.submission_id,
                reference,
                row.policy,
                row.created_at,
                verdict.action if verdict else row.action,
                sorted(verdict.labels) if verdict else row.labels,
                by_person=verdict is not None,
            )
        )
    return earlier
