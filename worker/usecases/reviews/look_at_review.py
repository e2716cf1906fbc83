"""Collects what a reviewer needs beside the picture: why it was flagged, and earlier decisions on it."""

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

#: How many earlier decisions about the same bytes are shown.
_MAX_EARLIER: Final = 6
#: Formats that cannot be transparent; a picture of another may look different on a black page.
_OPAQUE: Final = frozenset({"JPEG", "MPO", "BMP"})


@dataclass(frozen=True, slots=True)
class LabelEvidence:
    """A label's score, and its thresholds."""

    score: LabelScore
    flagged: bool
    #: From the policy version that decided; None if its text can no longer be parsed.
    label: Label | None


@dataclass(frozen=True, slots=True)
class EarlierDecision:
    """A decision about the same bytes in another submission."""

    submission_id: str
    reference: str
    policy: str
    decided_at: datetime
    action: Action
    labels: Sequence[str]
    #: Whether it is a person's verdict.
    by_person: bool


@dataclass(frozen=True, slots=True)
class Dossier:
    """All about a review except its picture."""

    review: Review
    #: Flagged labels first, then the strongest.
    evidence: Sequence[LabelEvidence]
    #: The policy version that decided; None if its text can no longer be parsed.
    policy: Policy | None
    #: The number of frames that were judged; 0 if the picture could not be judged.
    frames: int
    #: Width and height in pixels as displayed; None if the picture could not be judged.
    size: tuple[int, int] | None
    #: Whether its format can be transparent, so that it may look different on a black page.
    may_be_transparent: bool
    #: Whether the digest of the judged bytes is recorded, so that a change can be detected.
    is_judged: bool
    #: Newest first.
    earlier: Sequence[EarlierDecision]

    @property
    def first_view(self) -> View:
        """The view that shows the gravest flagged label."""
        return next((one.score.view for one in self.evidence if one.flagged), FIRST)

    @property
    def labels(self) -> Sequence[Label]:
        """The labels that a verdict can name, in the order of the policy."""
        return self.policy.labels if self.policy else ()


@dataclass(frozen=True, slots=True)
class LookAtReview:
    """Collect dossiers; nothing is written."""

    database: Database

    def __call__(self, reviews: Sequence[Review]) -> list[Dossier]:
        """Return the dossier of each review."""
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
    stored = policy_versions.find(session, digest)
    return _parsed(stored, name) if stored else None


@lru_cache(maxsize=16)
def _parsed(stored: StoredPolicy, name: str) -> Policy | None:
    """Return the policy of a text; cached, since a queue concerns few versions of few policies."""
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
    """Return earlier decisions about the same bytes; for a blind review, without people's verdicts."""
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
    known = {name: one for name, one in verdicts.latest_of(session, ids).items() if one.picture_seen}
    earlier = []
    for row, reference in found:
        verdict = known.get(row.submission_id)
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
