"""The main way: a submission comes in, one decision goes to the database."""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from moderation_client.submission import Submission

from worker.domain.moderation.decision import Decision, decide_poison, decide_undecodable, decide_unreadable
from worker.domain.reviews.review import ReviewKind
from worker.errors import SourceError, SourceNotReadyError, UndecodablePictureError
from worker.images.sources.reader import ImageReader, verify_sha256
from worker.observability.metrics import Metrics
from worker.policy_files.library import LivePolicy, PolicyLibrary
from worker.store.engine.database import Database
from worker.usecases.moderation.judge_picture import EmbeddedPicture, Judgement, JudgePicture
from worker.usecases.moderation.record_decisions import JudgedSubmission, RecordResult, ShadowJudgement

log = logging.getLogger(__name__)

#: Records decisions, and returns what became of each.
Record = Callable[[Sequence[JudgedSubmission]], Sequence[RecordResult]]
#: Returns the embeddings that are stored of the same bytes under this model: no need to compute them again.
Recall = Callable[[Sequence[str]], Sequence[EmbeddedPicture | None]]


@dataclass(frozen=True, slots=True)
class ModerateImage:
    """Judge a submission and record the decision; safe to repeat, and safe to run twice at once."""

    policies: PolicyLibrary
    default_policy: str
    reader: ImageReader
    judge_picture: JudgePicture
    database: Database
    metrics: Metrics
    recall: Recall
    record: Record

    def __call__(
        self, submission: Submission, live: LivePolicy | None = None, *, is_last_try: bool = True
    ) -> int | None:
        """Decide `submission` by `live`; return the decision's id, or None if it was decided before.

        `live` is the version that claimed it, None for the one in force: one version for the whole of a job,
        whatever is saved in between. UnknownPolicyError if none is in force here; InvalidSubmissionError if
        pictures are never read from there; SourceNotReadyError if the picture is missing and this is not the
        last try; UnavailableError if the database or the place of the picture is unavailable. Nothing is
        written then.
        """
        started = time.monotonic()
        live = live or self.policy_of(submission)
        self.reader.allowed.check(submission.source)
        try:
            judgement = self._judge(submission, live)
        except SourceNotReadyError as problem:
            if not is_last_try:
                raise
            judgement = Judgement(decide_unreadable(live.policy, problem.message))
        return self._record(submission, live, judgement, started=started)

    def policy_of(self, submission: Submission) -> LivePolicy:
        """Return the version that decides now; UnknownPolicyError where none is in force here."""
        return self.policies.current(submission.policy or self.default_policy)

    def give_up(self, submission: Submission, problem: str, live: LivePolicy | None = None) -> int | None:
        """Decide by the policy's `on_error` a submission that fails in an unforeseen way."""
        live = live or self.policy_of(submission)
        return self._record(submission, live, Judgement(decide_unreadable(live.policy, problem)))

    def quarantine(self, submission: Submission, crashes: int, live: LivePolicy | None = None) -> int | None:
        """Leave to people a submission of which as many worker processes died."""
        live, judgement = live or self.policy_of(submission), Judgement(decide_poison(crashes))
        decision_id = self._record(submission, live, judgement, ReviewKind.QUARANTINE)
        if decision_id is not None:
            self.metrics.quarantined(live.policy.name)
        return decision_id

    def _judge(self, submission: Submission, live: LivePolicy) -> Judgement:
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
        judgement = self.judge_picture.judge(live, known) if known else self.judge_picture(live, data)
        return replace(judgement, sha256=sha256)

    def _record(
        self,
        submission: Submission,
        live: LivePolicy,
        judgement: Judgement,
        review: ReviewKind | None = None,
        *,
        started: float | None = None,
    ) -> int | None:
        """Write everything about a decision in one transaction; None where another was first.

        `review` says why a person is asked, where that does not follow from the decision.
        """
        started = time.monotonic() if started is None else started
        shadows = self._judge_by_shadows(judgement.picture)
        with self.metrics.stage("record"):
            (recorded,) = self.record([JudgedSubmission(submission, live, judgement, shadows, review)])
        if recorded.decision_id is None:
            log.info("submission %s was decided before", submission.id)
        else:
            self._count(live, recorded.decision, shadows)
            self._report(submission, live, recorded, time.monotonic() - started)
        return recorded.decision_id

    def _judge_by_shadows(self, picture: EmbeddedPicture | None) -> list[ShadowJudgement]:
        """Return what each shadow would decide by the same embedding; one that fails is left out."""
        judged: list[ShadowJudgement] = []
        if picture is None:
            return judged
        for shadow in self.policies.shadows:
            try:
                judged.append((shadow, self.judge_picture.judge(shadow, picture).decision))
            except Exception:
                log.exception("the shadow policy %s failed, the decision is none of its", shadow.policy.name)
        return judged

    def _report(
        self, submission: Submission, live: LivePolicy, recorded: RecordResult, seconds: float
    ) -> None:
        """Log the decision, and measure how long the platform has waited for it."""
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

    def _count(self, live: LivePolicy, decision: Decision, shadows: Sequence[ShadowJudgement]) -> None:
        version = live.policy.digest[:12]
        self.metrics.decided(
            live.policy.name, version, decision.action, decision.flagged, held_back=decision.held_back
        )
        for shadow, would_be in shadows:
            self.metrics.shadow_decided(shadow.policy.name, would_be.action)
