"""Lets a re-upload of the same bytes inherit what a person said of them, under the same policy version."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from worker.store import audit_log, verdict_events, verdicts
from worker.store.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class InheritVerdict:
    """Inherit within the transaction that records the decision."""

    enabled: bool = True
    #: As in SettleReview.
    callback: Mapping[str, Any] | None = None

    def __call__(
        self,
        session: Session,
        *,
        submission_id: str,
        decision_id: int,
        sha256: str | None,
        policy_digest: str,
    ) -> bool:
        """Return whether a verdict now stands on this decision, so that no review is needed."""
        if not self.enabled or sha256 is None:
            return False
        known = verdicts.to_inherit(session, sha256, policy_digest)
        if known is None:
            return False
        verdict_id = verdicts.record(
            session,
            Verdict(submission_id, known.action, frozenset(known.labels)),
            decision_id=decision_id,
            reviewer=known.reviewer,
            reason=known.reason,
            inherited_from=known.id,
        )
        verdict = verdicts.get(session, verdict_id)
        verdict_events.tell(session, verdict_events.VERDICT_MADE, verdict, self.callback)
        audit_log.note(
            session,
            known.reviewer,
            audit_log.VERDICT_INHERITED,
            submission_id=submission_id,
            verdict=verdict_id,
            inherited_from=known.id,
            first_submission=known.submission_id,
            action=known.action.value,
        )
        return True
