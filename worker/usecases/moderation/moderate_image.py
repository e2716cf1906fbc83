"""Moderates a submission: read the picture, judge it by the policy, record one decision."""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from moderation_client.submission import Submission

from worker.domain.moderation.decision import Decision, decide_poison, decide_undecodable, decide_unreadable
from worker.domain.policies.policy import Policy
from worker.domain.reviews.review import ReviewKind
from worker.errors import SourceError, SourceNotReadyError, UndecodablePictureError
from worker.images.sources.reader import ImageReader, verify_sha256
from worker.observability.metrics import Metrics
from worker.policy_files.library import LivePolicy, PolicyLibrary
from worker.store.engine.database import Database
from worker.usecases.moderation.judge_picture import EmbeddedPicture, Judgement, JudgePicture
from worker.usecases.moderation.record_decisions import JudgedSubmission, RecordResult, ShadowJudgement

log = logging.getLogger(__name__)

#: `RecordDecisions`, batched: records decisions, and returns the result of each.
Record = Callable[[Sequence[JudgedSubmission]], Sequence[RecordResult]]
#: Counts a decision that was recorded, for the operator.
Count = Callable[[Policy, Decision], object]
#: `RecallEmbeddings`, batched: returns the stored embeddings of the same bytes under this model.
Recall = Callable[[Sequence[str]], Sequence[EmbeddedPicture | None]]


@dataclass(frozen=True, slots=True)
class ModerateImage:
    """Judge a submission and record the decision; safe to repeat, also concurrently."""

    policies: PolicyLibrary
    default_policy: str
    reader: ImageReader
    judge_picture: JudgePicture
    database: Database
    metrics: Metrics
    recall: Recall
    record: Record
    count: Count = lambda _policy, _decision: None

    def __call__(
        self, submission: Submission, live: LivePolicy | None = None, *, is_last_try: bool = True
    ) -> int | None:
        """Decide `submission` by `live`; return the decision's id, or None if it was decided before.

        `live` is the version that claimed it, None for the version in force: one version decides the whole
        job, even if the policy changes during it.

        UnknownPolicyError if no version is in force here; InvalidSubmissionError if its source is not
        allowed; SourceNotReadyError if the picture is missing and this is not the last try; UnavailableError
        if the database or the picture's source is unavailable. After an error nothing is written.
        """
        started = time.monotonic()
        live = live or self.policy_of(submission)
        self.reader.allowed.check(submission.source)
        try:
            judgement = self._fetch_and_judge(submission, live)
        except SourceNotReadyError as problem:
            if not is_last_try:
                raise
            judgement = Judgement(decide_unreadable(live.policy, problem.message))
        return self._record_decision(submission, live, judgement, started=started)

    def policy_of(self, submission: Submission) -> LivePolicy:
        """Return the policy version that decides now; UnknownPolicyError if none is in force here."""
        return self.policies.current(submission.policy or self.default_policy)

    def give_up(self, submission: Submission, problem: str, live: LivePolicy | None = None) -> int | None:
        """Decide a submission that keeps failing by the policy's `on_error`."""
        live = live or self.policy_of(submission)
        return self._record_decision(submission, live, Judgement(decide_unreadable(live.policy, problem)))

    def quarantine(self, submission: Submission, crashes: int, live: LivePolicy | None = None) -> int | None:
        """Leave a submission that crashed `crashes` worker processes to a person."""
        live, judgement = live or self.policy_of(submission), Judgement(decide_poison(crashes))
        decision_id = self._record_decision(submission, live, judgement, ReviewKind.QUARANTINE)
        if decision_id is not None:
            self.metrics.quarantined(live.policy.name)
        return decision_id

    def _fetch_and_judge(self, submission: Submission, live: LivePolicy) -> Judgement:
        try:
            with self.metrics.stage("fetch"):
                data = self.reader.read(submission.source)
                verify_sha256(data, submission.sha256)
        except SourceNotReadyError:
            raise
        except SourceError as problem:
            return Judgement(decide_unreadable(live.policy, problem.message))
        except UndecodablePictureError as refusal:
            return Judgement(decide_undecodable(live.policy, refusal))
        sha256 = hashlib.sha256(data).hexdigest()
        (known,) = self.recall([sha256])
        text = submission.text
        judgement = (
            self.judge_picture.judge(live, known, text) if known else self.judge_picture(live, data, text)
        )
        return replace(judgement, sha256=sha256)

    def _record_decision(
        self,
        submission: Submission,
        live: LivePolicy,
        judgement: Judgement,
        review: ReviewKind | None = None,
        *,
        started: float | None = None,
    ) -> int | None:
        """Write a decision and all that belongs to it; return its id, or None if it was decided before.

        `review` is why a person is asked, if that does not follow from the decision.
        """
        started = time.monotonic() if started is None else started
        shadows = self._judge_by_shadows(judgement.picture, submission.text)
        with self.metrics.stage("record"):
            (recorded,) = self.record([JudgedSubmission(submission, live, judgement, shadows, review)])
        if recorded.decision_id is None:
            log.info("submission %s was decided before", submission.id)
        else:
            self._count_decision(live, recorded.decision, shadows)
            self._log_decision(submission, live, recorded, time.monotonic() - started)
        return recorded.decision_id

    def _judge_by_shadows(self, picture: EmbeddedPicture | None, text: str) -> list[ShadowJudgement]:
        """Return what each shadow policy would decide by the same embeddings; leave out those that fail."""
        judged: list[ShadowJudgement] = []
        if picture is None:
            return judged
        for shadow in self.policies.shadows:
            try:
                judged.append((shadow, self.judge_picture.judge(shadow, picture, text).decision))
            except Exception:
                log.exception(
                    "shadow policy %s failed on this picture; its decision is not recorded",
                    shadow.policy.name,
                )
        return judged

    def _log_decision(
        self, submission: Submission, live: LivePolicy, recorded: RecordResult, seconds: float
    ) -> None:
        """Log the decision, and measure how long the platform waited for it."""
        decision, version = recorded.decision, live.policy.digest[:12]
        waited = None
        if submission.sent_at:
            waited = max(0.0, (datetime.now(UTC) - submission.sent_at).total_seconds())
            self.metrics.decided_after(live.policy.name, waited)
        labels = f" ({', '.join(decision.flagged)})" if decision.flagged else ""
        fields = {
            "submission": submission.id,
            "decision": recorded.decision_id,
            "policy": live.policy.name,
            "policy_version": version,
            "action": decision.action.value,
            "labels": list(decision.flagged),
            "duration_ms": round(1000 * seconds),
            "latency_ms": None if waited is None else round(1000 * waited),
        }
        log.info(
            "submission %s decided: %s%s by %s %s in %d ms",
            *(submission.id, decision.action.value, labels, live.policy.name, version, 1000 * seconds),
            extra={"fields": fields},
        )

    def _count_decision(
        self, live: LivePolicy, decision: Decision, shadows: Sequence[ShadowJudgement]
    ) -> None:
        version = live.policy.digest[:12]
        self.metrics.decided(
            live.policy.name, version, decision.action, decision.flagged, held_back=decision.held_back
        )
        self.count(live.policy, decision)
        for shadow, would_be in shadows:
            self.metrics.shadow_decided(shadow.policy.name, would_be.action)
