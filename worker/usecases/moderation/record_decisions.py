"""Writes decisions, with their embeddings, reviews and events, many in one transaction."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import compress

from moderation_client.callback import Callback
from moderation_client.messages import source_record, unrecorded_source
from moderation_client.submission import Submission
from sqlalchemy.orm import Session

from worker.domain.moderation.decision import Decision, hold_back
from worker.domain.moderation.picture import PictureFacts
from worker.domain.policies.policy import Action, Policy
from worker.domain.reviews.audit import audit_probability, is_drawn
from worker.domain.reviews.review import ReviewKind, kind_of_review, place_in_queue
from worker.policy_files.library import LivePolicy
from worker.store.decisions import decisions, embeddings, shadow_decisions
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.policies import policy_versions
from worker.store.reviews import review_sources, reviews
from worker.store.submissions import captions, outcomes
from worker.usecases.moderation.decision_events import write_decision_events
from worker.usecases.moderation.inherit_verdict import Heir, InheritVerdict
from worker.usecases.moderation.judge_picture import Judgement, JudgePicture

#: A shadow policy, and what it would decide.
ShadowJudgement = tuple[LivePolicy, Decision]


@dataclass(frozen=True, slots=True)
class JudgedSubmission:
    """A judged submission that is not recorded yet."""

    submission: Submission
    live: LivePolicy
    judgement: Judgement
    shadows: Sequence[ShadowJudgement] = ()
    #: Why a person is asked, if that does not follow from the decision.
    review: ReviewKind | None = None

    @property
    def decision(self) -> Decision:
        """The decision."""
        return self.judgement.decision

    @property
    def policy(self) -> Policy:
        """The policy that decided."""
        return self.live.policy

    @property
    def facts(self) -> PictureFacts | None:
        """The picture's facts; None if it could not be judged."""
        return self.judgement.picture.facts if self.judgement.picture else None


@dataclass(frozen=True, slots=True)
class RecordResult:
    """What was recorded for one submission."""

    #: None if the submission was decided before.
    decision_id: int | None
    #: As recorded: a block beyond the hourly limit became a review.
    decision: Decision


@dataclass(frozen=True, slots=True)
class RecordDecisions:
    """Record decisions in one transaction; their number hardly changes the number of statements."""

    database: Database
    judge_picture: JudgePicture
    #: Notified of decisions on submissions that name no callback.
    default_callback: Callback | None = None
    inherit: InheritVerdict = field(default_factory=InheritVerdict)

    def __call__(self, judged: Sequence[JudgedSubmission]) -> list[RecordResult]:
        """Return the result of each, in order; after UnavailableError nothing is recorded."""
        with self.database.transaction() as session:
            judged = _within_limits(session, judged)
            ids = self._write(session, judged)
            made = [
                (one, decision_id)
                for one, decision_id in zip(judged, ids, strict=True)
                if decision_id is not None
            ]
            self._follow_up(session, made)
        return [RecordResult(decision_id, one.decision) for decision_id, one in zip(ids, judged, strict=True)]

    def _write(self, session: Session, judged: Sequence[JudgedSubmission]) -> list[int | None]:
        """Write the submissions, and decisions on those not decided yet; return their ids, else None."""
        policy_versions.keep(session, _policy_versions(judged))
        wanted = outcomes.record(
            session,
            [
                outcomes.DecidedSubmission(
                    one.submission,
                    one.policy.name,
                    one.policy.digest,
                    one.judgement.sha256,
                    source_record(one.submission.source),
                )
                for one in judged
            ],
        )
        is_wanted = [(one.submission.id, one.policy.digest) in wanted for one in judged]
        made = decisions.insert(session, [self._new_decision(one) for one in compress(judged, is_wanted)])
        ids = iter(made)
        return [next(ids) if wants_one else None for wants_one in is_wanted]

    def _new_decision(self, judged: JudgedSubmission) -> decisions.NewDecision:
        return decisions.NewDecision(
            judged.submission,
            judged.policy,
            judged.decision,
            model=self.judge_picture.encoder.info.name,
            model_digest=self.judge_picture.digest,
            facts=judged.facts,
            audit_probability=audit_probability(judged.policy, judged.decision),
        )

    def _follow_up(self, session: Session, made: Sequence[tuple[JudgedSubmission, int]]) -> None:
        """Write embeddings, reviews and events for newly inserted decisions."""
        pictures = [one.judgement.picture for one, _ in made if one.judgement.picture]
        embeddings.keep(session, self.judge_picture.digest, [(one.facts, one.embedding) for one in pictures])
        read = {one.submission.id: one.judgement.caption for one, _ in made if one.judgement.caption}
        captions.keep(session, self.judge_picture.digest, {name: one.vector for name, one in read.items()})
        inherited = self.inherit(
            session,
            [
                Heir(one.submission.id, decision_id, one.facts.sha256, one.policy.digest)
                for one, decision_id in made
                # A verdict on the bytes says nothing about what a text added.
                if one.facts and not one.decision.is_flagged_by_text
            ],
        )
        _ask_for_reviews(
            session, [(one, decision_id) for one, decision_id in made if decision_id not in inherited]
        )
        shadow_decisions.keep(
            session,
            [
                shadow_decisions.ShadowDecision(one.submission.id, decision_id, shadow.policy, would_be)
                for one, decision_id in made
                for shadow, would_be in one.shadows
            ],
        )
        write_decision_events(
            session,
            [(one.submission, decision_id) for one, decision_id in made],
            inherited,
            self.default_callback,
        )


def _policy_versions(judged: Iterable[JudgedSubmission]) -> Iterable[tuple[Policy, str]]:
    """Yield every policy that these decisions name, with its text."""
    for one in judged:
        yield one.policy, one.live.text
        for shadow, _ in one.shadows:
            yield shadow.policy, shadow.text


def _ask_for_reviews(session: Session, made: Iterable[tuple[JudgedSubmission, int]]) -> None:
    """Put the decisions that need a person into the review queue."""
    asked = [(one, decision_id, kind) for one, decision_id in made if (kind := _kind_of_review(one))]
    if not asked:
        return
    # The ledger deletes bytes and signatures once decided, but a reviewer must still see the picture.
    sources = ((one.submission.id, unrecorded_source(one.submission.source)) for one, *_ in asked)
    review_sources.keep(session, {name: whole for name, whole in sources if whole})
    now = database_now(session)
    reviews.ask_all(
        session,
        [
            reviews.Question(decision_id, kind, place_in_queue(one.policy, one.decision, now))
            for one, decision_id, kind in asked
        ],
    )


def _kind_of_review(judged: JudgedSubmission) -> ReviewKind | None:
    probability = audit_probability(judged.policy, judged.decision)
    drawn = is_drawn(judged.policy.name, judged.submission.id, probability)
    return judged.review or kind_of_review(judged.decision, drawn=drawn)


def _within_limits(session: Session, judged: Sequence[JudgedSubmission]) -> list[JudgedSubmission]:
    """Return them with a review in place of each block beyond its policy's hourly limit."""
    blocked: Counter[str] = Counter()
    # Always in the same order: two workers that block under the same policies must not deadlock.
    for name in sorted({one.policy.name for one in judged if _is_limited(one)}):
        an_hour_ago = database_now(session) - timedelta(hours=1)
        blocked[name] = decisions.automatic_blocks(session, name, since=an_hour_ago)
    return [_held_back_if_over_limit(one, blocked) if _is_limited(one) else one for one in judged]


def _is_limited(judged: JudgedSubmission) -> bool:
    limited = judged.policy.automatic_blocks_per_hour is not None
    return limited and judged.decision.action is Action.BLOCK


def _held_back_if_over_limit(judged: JudgedSubmission, blocked: Counter[str]) -> JudgedSubmission:
    limit = judged.policy.automatic_blocks_per_hour or 0
    if blocked[judged.policy.name] < limit:
        blocked[judged.policy.name] += 1
        return judged
    decision = hold_back(judged.decision, limit)
    return replace(judged, judgement=replace(judged.judgement, decision=decision))
