"""The main way: a submission comes in, one decision per policy version goes to the database."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from worker.client.messages import source_record
from worker.domain.audit import audit_probability, is_drawn
from worker.domain.callback import Callback, callback_record
from worker.domain.decision import (
    Decision,
    decide_quarantined,
    decide_undecodable,
    decide_unreadable,
    hold_back,
)
from worker.domain.policy import Action, Policy
from worker.domain.review import kind_of_review, priority
from worker.domain.submission import Submission
from worker.errors import PermanentError, SourceError, UndecodablePictureError
from worker.images.reader import ImageReader, verify_sha256
from worker.metrics import Metrics
from worker.policy_files.library import LivePolicy, PolicyLibrary
from worker.store import (
    decisions,
    embeddings,
    outbox,
    policy_versions,
    reviews,
    shadow_decisions,
    submissions,
)
from worker.store.database import Database
from worker.usecases.judge_picture import EmbeddedPicture, Judgement, JudgePicture

log = logging.getLogger(__name__)

#: A shadow, and what it would decide.
ShadowDecision = tuple[LivePolicy, Decision]


@dataclass(frozen=True, slots=True)
class ModerateImage:
    """Judge a submission and record the decision; safe to repeat, and safe to run twice at once."""

    policies: PolicyLibrary
    default_policy: str
    reader: ImageReader
    judge_picture: JudgePicture
    database: Database
    metrics: Metrics
    #: Whom to tell of the decision where the submission does not say; None tells nobody.
    default_callback: Callback | None = None

    def policy_for(self, submission: Submission) -> LivePolicy:
        """Return the version in force of the policy that decides; UnknownPolicyError where there is none."""
        return self.policies.current(submission.policy or self.default_policy)

    def __call__(self, submission: Submission, live: LivePolicy) -> int | None:
        """Decide `submission`; return the decision's id, or None where it was decided before.

        UnavailableError where the database is away, and then nothing has been written.
        """
        return self._record(submission, live, self._judge(submission, live))

    def give_up(self, submission: Submission, live: LivePolicy, problem: str) -> int | None:
        """Decide by the policy's `on_error` a submission that fails in a way nobody foresaw."""
        return self._record(submission, live, Judgement(decide_unreadable(live.policy, problem)))

    def quarantine(self, submission: Submission, live: LivePolicy, crashes: int) -> int | None:
        """Have a person look at a submission of which workers died."""
        return self._record(submission, live, Judgement(decide_quarantined(crashes)))

    def refuse(self, submission_id: str, error: PermanentError) -> None:
        """Note a submission that no policy can decide, so that it is not lost in silence."""
        with self.database.transaction() as session:
            submissions.refuse(session, submission_id, error.message)

    def _judge(self, submission: Submission, live: LivePolicy) -> Judgement:
        try:
            data = self.reader.read(submission.source)
            verify_sha256(data, submission.sha256)
        except SourceError as problem:
            return Judgement(decide_unreadable(live.policy, problem.message))
        except UndecodablePictureError as refusal:
            return Judgement(decide_undecodable(live.policy, refusal.message))
        sha256 = hashlib.sha256(data).hexdigest()
        known = self._known(sha256)
        judgement = self.judge_picture.judge(live, known) if known else self.judge_picture(live, data)
        return replace(judgement, sha256=sha256)

    def _known(self, sha256: str) -> EmbeddedPicture | None:
        """Return the stored embedding of the same bytes under this model: no need to compute it again."""
        with self.database.reading() as session:
            stored = embeddings.find(session, sha256, self.judge_picture.digest)
        return EmbeddedPicture(stored.facts, stored.embedding) if stored else None

    def _record(self, submission: Submission, live: LivePolicy, judgement: Judgement) -> int | None:
        """Write everything about a decision in one transaction; None where another was first."""
        shadows = self._judge_by_shadows(judgement.picture)
        with self.database.transaction() as session:
            decision = _within_limits(session, live.policy, judgement.decision)
            decision_id = self._write(session, submission, live, replace(judgement, decision=decision))
            if decision_id is not None:
                _write_shadows(session, submission, decision_id, shadows)
        if decision_id is not None:
            self._count(live, decision, shadows)
        return decision_id

    def _write(
        self, session: Session, submission: Submission, live: LivePolicy, judgement: Judgement
    ) -> int | None:
        judge, decision, picture = self.judge_picture, judgement.decision, judgement.picture
        policy_versions.keep(session, live.policy, live.text)
        submissions.record(
            session,
            submission,
            policy=live.policy.name,
            sha256=judgement.sha256,
            source=source_record(submission.source),
        )
        probability = audit_probability(live.policy, decision)
        decision_id = decisions.insert(
            session,
            submission=submission,
            policy=live.policy,
            decision=decision,
            model=judge.encoder.name,
            model_digest=judge.digest,
            facts=picture.facts if picture else None,
            audit_probability=probability,
        )
        if decision_id is None:
            return None
        if picture:
            embeddings.keep(session, picture.facts, judge.digest, picture.embedding)
        drawn = is_drawn(live.policy.name, submission.id, probability)
        if kind := kind_of_review(decision, drawn=drawn):
            reviews.open_for(session, decision_id, priority(decision), kind)
        if callback := callback_record(submission.callback or self.default_callback):
            outbox.add(
                session,
                outbox.DECISION_MADE,
                submission_id=submission.id,
                decision_id=decision_id,
                callback=callback,
            )
        return decision_id

    def _judge_by_shadows(self, picture: EmbeddedPicture | None) -> list[ShadowDecision]:
        """Return what each shadow would decide by the same embedding; one that fails is left out."""
        judged: list[ShadowDecision] = []
        if picture is None:
            return judged
        for shadow in self.policies.shadows:
            try:
                judged.append((shadow, self.judge_picture.judge(shadow, picture).decision))
            except Exception:
                log.exception("the shadow policy %s failed, the decision is none of its", shadow.policy.name)
        return judged

    def _count(self, live: LivePolicy, decision: Decision, shadows: Sequence[ShadowDecision]) -> None:
        self.metrics.decided(live.policy.name, decision.action, held_back=decision.held_back)
        for shadow, would_be in shadows:
            self.metrics.shadow_decided(shadow.policy.name, would_be.action)


def _write_shadows(
    session: Session, submission: Submission, decision_id: int, shadows: Sequence[ShadowDecision]
) -> None:
    for shadow, would_be in shadows:
        policy_versions.keep(session, shadow.policy, shadow.text)
        shadow_decisions.keep(
            session,
            submission_id=submission.id,
            decision_id=decision_id,
            policy=shadow.policy,
            would_be=would_be,
        )


def _within_limits(session: Session, policy: Policy, decision: Decision) -> Decision:
    """Return the decision, as a review where the policy has blocked all that it may within the hour."""
    limit = policy.automatic_blocks_per_hour
    if decision.action is not Action.BLOCK or limit is None:
        return decision
    blocked = decisions.automatic_blocks(session, policy.name, since=datetime.now(UTC) - timedelta(hours=1))
    return hold_back(decision, limit) if blocked >= limit else decision
