"""Accepts submissions over HTTP: commit them to the ledger first, then publish them to the queue."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from moderation_client.messages import source_record, to_message
from moderation_client.submission import Submission
from sqlalchemy.orm import Session

from worker.domain.policies.stored_policy import StoredPolicy
from worker.errors import (
    CallbackNotAllowedError,
    DatabaseUnavailableError,
    InvalidSubmissionError,
    PermanentError,
    SubmissionConflictError,
    UnknownPolicyError,
    UsageError,
)
from worker.images.sources.allowed_sources import AllowedSources
from worker.notifications.allowed_callbacks import NO_CALLBACKS, AllowedCallbacks
from worker.observability.metrics import WebMetrics
from worker.policy_files.intake import policy_saved_at, require_policy
from worker.store.engine.database import Database
from worker.store.policies import policy_states, policy_versions
from worker.store.submissions import accepting, publishing
from worker.store.submissions import submissions as ledger
from worker.usecases.submissions.publish_submissions import PublishSubmissions

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A submission that is in the ledger."""

    id: str
    #: Whether the request brought work: a new submission, or a request for a second judgement.
    is_new: bool


@dataclass(frozen=True, slots=True)
class AcceptSubmissions:
    """Enter submissions into the ledger, then publish them to the queue; safe to repeat."""

    database: Database
    policies: Path
    publish: PublishSubmissions
    metrics: WebMetrics
    #: Checked here, since what is accepted must be deliverable later.
    callbacks: AllowedCallbacks = NO_CALLBACKS
    #: Where pictures may be read from; None skips the check.
    sources: AllowedSources | None = None

    def __call__(self, submissions: Sequence[Submission]) -> list[Acceptance | PermanentError]:
        """Return for each, in the order given, that it is accepted or known, or why it is refused.

        DatabaseUnavailableError if the database is unavailable; then none is accepted. An unavailable broker
        is no error: accepted submissions are published later.
        """
        unknown = self._unknown_policies(submissions)
        forbidden = self._forbidden_callbacks(submissions) | self._forbidden_sources(submissions)
        outcomes: dict[int, Acceptance | PermanentError] = {}
        # In the order of ids: two requests with the same ids must not deadlock.
        order = sorted(enumerate(submissions), key=lambda pair: pair[1].id)
        with self.database.transaction() as session:
            for n, one in order:
                outcomes[n] = unknown.get(one.policy) or forbidden.get(n) or _accept(session, one)
        self._publish_new(submissions, outcomes)
        return [outcomes[n] for n in range(len(submissions))]

    def _unknown_policies(self, submissions: Sequence[Submission]) -> dict[str | None, PermanentError]:
        problems: dict[str | None, PermanentError] = {}
        for name in {one.policy for one in submissions if one.policy is not None}:
            if not self._can_decide(name):
                problems[name] = UnknownPolicyError(
                    f"there is no policy {name!r} that decides here",
                    hint="leave the policy out for the default one",
                )
        return problems

    def _can_decide(self, name: str) -> bool:
        """Whether a policy is in force, or will be once workers have read its file."""
        try:
            require_policy(self.policies, name, self._last_good)
            return not self._is_refused(name)
        except UsageError:
            # Its message names a folder of this deployment.
            return False

    def _last_good(self, name: str) -> StoredPolicy | None:
        with self.database.reading() as session:
            return policy_versions.last_good(session, name)

    def _is_refused(self, name: str) -> bool:
        """Whether every worker refuses the policy's current file, and has no earlier version in force."""
        with self.database.reading() as session:
            reports = policy_states.of_policy(session, name)
        saved_at = policy_saved_at(self.policies, name)
        return bool(reports) and all(
            one.digest is None and one.refused_at and saved_at < one.refused_at for one in reports
        )

    def _forbidden_callbacks(self, submissions: Sequence[Submission]) -> dict[int, PermanentError]:
        problems: dict[int, PermanentError] = {}
        for n, one in enumerate(submissions):
            try:
                self.callbacks.check(one.callback)
            except CallbackNotAllowedError as error:
                problems[n] = error
        return problems

    def _forbidden_sources(self, submissions: Sequence[Submission]) -> dict[int, PermanentError]:
        problems: dict[int, PermanentError] = {}
        if self.sources is None:
            return problems
        for n, one in enumerate(submissions):
            try:
                self.sources.check(one.source)
            except InvalidSubmissionError as error:
                problems[n] = error
        return problems

    def _publish_new(
        self, submissions: Sequence[Submission], outcomes: Mapping[int, Acceptance | PermanentError]
    ) -> None:
        are_new = [isinstance(one := outcomes[n], Acceptance) and one.is_new for n in range(len(submissions))]
        new = list(compress(submissions, are_new))
        self.metrics.accepted(len(new))
        left = self.publish(new)
        if left:
            log.warning("the broker is unavailable: %d accepted submissions are published later", len(left))
            # They are in the ledger; if this fails too, they are due in a minute anyway.
            with suppress(DatabaseUnavailableError), self.database.transaction() as session:
                publishing.publish_soon(session, left)


def _accept(session: Session, submission: Submission) -> Acceptance | PermanentError:
    source, pending_source = source_record(submission.source), to_message(submission)["source"]
    if accepting.accept(session, submission, source, pending_source):
        return Acceptance(submission.id, is_new=True)
    known = ledger.find(session, submission.id)
    if known is not None and accepting.is_same(known, submission, source):
        # A message sent without HTTP may wait for its policy, to be refused after a minute.
        accepting.wait_for_policy(session, submission.id)
        asked = submission.again is not None and accepting.ask_again(
            session, submission, source, pending_source
        )
        return Acceptance(submission.id, is_new=asked)
    return SubmissionConflictError(
        f"the id {submission.id!r} belongs to another submission",
        hint="with the same source, sha256, text and policy it is the same submission; else take a new id",
    )
