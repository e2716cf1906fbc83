"""Lets a re-upload of the same bytes inherit a person's verdict under the same policy version."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from worker.store.reviews import audit_log, verdicts
from worker.store.reviews.verdicts import RecordedVerdict, Verdict


@dataclass(frozen=True, slots=True)
class Heir:
    """A decision on bytes that may have a verdict already."""

    submission_id: str
    decision_id: int
    sha256: str
    policy_digest: str


@dataclass(frozen=True, slots=True)
class InheritVerdict:
    """Inherit verdicts in the transaction that records the decisions."""

    enabled: bool = True

    def __call__(self, session: Session, heirs: Sequence[Heir]) -> dict[int, RecordedVerdict]:
        """Return the inherited verdicts by decision id; these decisions need no review.

        The caller writes the events, so that `verdict.made` comes after `decision.made`.
        """
        if not self.enabled or not heirs:
            return {}
        known = verdicts.to_inherit(session, [(one.sha256, one.policy_digest) for one in heirs])
        inheriting = [one for one in heirs if (one.sha256, one.policy_digest) in known]
        return {
            heir.decision_id: self._inherit(session, heir, known[heir.sha256, heir.policy_digest])
            for heir in inheriting
        }

    def _inherit(self, session: Session, heir: Heir, known: RecordedVerdict) -> RecordedVerdict:
        verdict_id = verdicts.record(
            session,
            Verdict(heir.submission_id, known.action, frozenset(known.labels)),
            decision_id=heir.decision_id,
            reviewer=known.reviewer,
            reason=known.reason,
            inherited_from=known.id,
        )
        audit_log.note(
            session,
            known.reviewer,
            audit_log.VERDICT_INHERITED,
            submission_id=heir.submission_id,
            verdict=verdict_id,
            inherited_from=known.id,
            first_submission=known.submission_id,
            action=known.action.value,
        )
        return verdicts.get(session, verdict_id)
