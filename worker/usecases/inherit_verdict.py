"""Lets a re-upload of the same bytes inherit what a person said of them, under the same policy version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from worker.store import audit_log, verdict_events, verdicts
from worker.store.verdicts import RecordedVerdict, Verdict


@dataclass(frozen=True, slots=True)
class Heir:
    """A decision on bytes of which a person may have said something."""

    submission_id: str
    decision_id: int
    sha256: str
    policy_digest: str


@dataclass(frozen=True, slots=True)
class InheritVerdict:
    """Inherit within the transaction that records the decisions."""

    enabled: bool = True
    #: As in SettleReview.
    callback: Mapping[str, Any] | None = None

    def __call__(self, session: Session, heirs: Sequence[Heir]) -> set[int]:
        """Return the ids of the decisions on which a verdict now stands, so that no review is needed."""
        if not self.enabled or not heirs:
            return set()
        known = verdicts.to_inherit(session, [(one.sha256, one.policy_digest) for one in heirs])
        inheriting = [one for one in heirs if (one.sha256, one.policy_digest) in known]
        for heir in inheriting:
            self._inherit(session, heir, known[heir.sha256, heir.policy_digest])
        return {one.decision_id for one in inheriting}

    def _inherit(self, session: Session, heir: Heir, known: RecordedVerdict) -> None:
        verdict_id = verdicts.record(
            session,
            Verdict(heir.submission_id, known.action, frozenset(known.labels)),
            decision_id=heir.decision_id,
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
            submission_id=heir.submission_id,
            verdict=verdict_id,
            inherited_from=known.id,
            first_submission=known.submission_id,
            action=known.action.value,
        )
