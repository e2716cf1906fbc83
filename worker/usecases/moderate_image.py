"""The main way: a submission comes in, one decision per policy version goes to the database."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from worker.client.messages import source_record, to_message
from worker.domain.audit import audit_probability, is_drawn
from worker.domain.callback import Callback, callback_record
from worker.domain.decision import (
    Decision,
    decide_deadly,
    decide_undecodable,
    decide_unreadable,
    hold_back,
)
from worker.domain.fingerprint import fingerprint
from worker.domain.policy import Action, Policy
from worker.domain.review import ReviewKind, kind_of_review, place_in_queue
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
    review_sources,
    reviews,
    shadow_decisions,
    submissions,
)
from worker.store.database import Database
from worker.usecases.inherit_verdict import InheritVerdict
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
    #: Who hears of decisions on submissions that name nobody.
    default_callback: Callback | None = None
    inherit: InheritVerdict = field(default_factory=InheritVerdict)

    def __call__(self, submission: Submission) -> int | None:
        """Decide `submission`; return the decision's id, or None where it was decided before.

        UnknownPolicyError where the policy is not in force here; UnavailableError where the database
        is away, and then nothing has been written.
        """
        # One version for the whole of this job, whatever is saved meanwhile.
        live = self.policy_of(submission)
        return self._record(submission, live, self._judge(submission, live))

    def policy_of(self, submission: Submission) -> LivePolicy:
        """Return the version that decides now; UnknownPolicyError where none is in force here."""
        return self.policies.current(submission.policy or self.default_policy)

    def give_up(self, submission: Submission, problem: str) -> int | None:
        """Decide by the policy's `on_error` a submission that fails in a way nobody foresaw."""
        live = self.policy_of(submission)
        return self._record(submission, live, Judgement(decide_unreadable(live.policy, problem)))

    def quarantine(self, submission: Submission, crashes: int) -> int | None:
        """Leave to people a submission of which as many worker processes died."""
        live, judgement = self.policy_of(submission), Judgement(decide_deadly(crashes))
        decision_id = self._record(submission, live, judgement, ReviewKind.QUARANTINE)
        if decision_id is not None:
            self.metrics.quarantined(live.policy.name)
        return decision_id

    def refuse(self, submission_id: str, error: PermanentError, submission: Submission | None = None) -> None:
        """Note what no policy can decide, so that it is not lost in silence.

        Without a `submission` it is a message that could not be read, though it has an id.
        """
        of = fingerprint(submission) if submission else None
        with self.database.transaction() as session:
            submissions.refuse(session, submission_id, error.message, of=of)

    def _judge(self, submission: Submission, live: LivePolicy) -> Judgement:
        try:
            with self.metrics.stage("fetch"):
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

    def _record(
        self,
        submission: Submission,
        live: LivePolicy,
        judgement: Judgement,
        review: ReviewKind | None = None,
    ) -> int | None:
        """Write everything about a decision in one transaction; None where another was first.

        `review` says why a person is asked, where that does not follow from the decision.
        """
        shadows = self._judge_by_shadows(judgement.picture)
        with self.metrics.stage("record"), self.database.transaction() as session:
            decision = _within_limits(session, live.policy, judgement.decision)
            judgement = replace(judgement, decision=decision)
            decision_id = self._write(session, submission, live, judgement, review)
            if decision_id is not None:
                _write_shadows(session, submission, decision_id, shadows)
                self._tell(session, submission, decision_id)
        if decision_id is not None:
            self._count(live, decision, shadows)
        return decision_id

    def _write(
        self,
        session: Session,
        submission: Submission,
        live: LivePolicy,
        judgement: Judgement,
        review: ReviewKind | None,
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
        inherited = self.inherit(
            session,
            submission_id=submission.id,
            decision_id=decision_id,
            sha256=picture.facts.sha256 if picture else None,
            policy_digest=live.policy.digest,
        )
        drawn = is_drawn(live.policy.name, submission.id, probability)
        if (kind := review or kind_of_review(decision, drawn=drawn)) and not inherited:
            _open_review(session, submission, live.policy, decision, decision_id=decision_id, kind=kind)
        return decision_id

    def _tell(self, session: Session, submission: Submission, decision_id: int) -> None:
        """Have whoever wants to hear of the decision told, once it is committed."""
        if callback := callback_record(submission.callback or self.default_callback):
            outbox.add(
                session,
                outbox.DECISION_MADE,
                submission_id=submission.id,
                decision_id=decision_id,
                callback=callback,
            )

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
        version = live.policy.digest[:12]
        self.metrics.decided(
            live.policy.name, version, decision.action, decision.flagged, held_back=decision.held_back
        )
        for shadow, would_be in shadows:
            self.metrics.shadow_decided(shadow.policy.name, would_be.action)


def _open_review(  # noqa: PLR0913 - what is asked, about what, and why
    session: Session,
    submission: Submission,
    policy: Policy,
    decision: Decision,
    *,
    decision_id: int,
    kind: ReviewKind,
) -> None:
    whole = to_message(submission)["source"]
    if whole != source_record(submission.source):
        # The ledger forgets bytes and signatures with the decision; whoever reviews has to see the picture.
        review_sources.keep(session, submission.id, whole)
    place = place_in_queue(policy, decision, datetime.now(UTC))
    reviews.open_for(
        session, decision_id, place.priority, kind, queue=place.queue, deadline_at=place.deadline_at
    )


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
