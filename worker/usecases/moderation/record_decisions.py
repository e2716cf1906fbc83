"""Writes decisions and all that comes of them, many in one transaction."""

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
from worker.store.submissions import submissions
from worker.usecases.moderation.decision_events import write_decision_events
from worker.usecases.moderation.inherit_verdict import Heir, InheritVerdict
from worker.usecases.moderation.judge_picture import Judgement, JudgePicture

#: A shadow, and what it would decide.
ShadowJudgement = tuple[LivePolicy, Decision]


@dataclass(frozen=True, slots=True)
class JudgedSubmission:
    """A submission that was judged, and is yet to be recorded."""

    submission: Submission
    live: LivePolicy
    judgement: Judgement
    shadows: Sequence[ShadowJudgement] = ()
    #: Why a person is asked, where that does not follow from the decision.
    review: ReviewKind | None = None

    @property
    def decision(self) -> Decision:
        """What was decided."""
        return self.judgement.decision

    @property
    def policy(self) -> Policy:
        """By which policy."""
        return self.live.policy

    @property
    def facts(self) -> PictureFacts | None:
        """The picture's facts; None where it could not be judged."""
        return self.judgement.picture.facts if self.judgement.picture else None


@dataclass(frozen=True, slots=True)
class RecordResult:
    """What was recorded."""

    #: None where another was first.
    decision_id: int | None
    #: As it stands, which may be a review in place of a block.
    decision: Decision


@dataclass(frozen=True, slots=True)
class RecordDecisions:
    """Record in one transaction; the number of statements hardly depends on that of decisions."""

    database: Database
    judge_picture: JudgePicture
    #: Who hears of decisions on submissions that name nobody.
    default_callback: Callback | None = None
    inherit: InheritVerdict = field(default_factory=InheritVerdict)

    def __call__(self, judged: Sequence[JudgedSubmission]) -> list[RecordResult]:
        """Return what was recorded of each, in order; UnavailableError, and then nothing was."""
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
        """Write the decisions that are wanted, and what they name; return their ids, None for the others."""
        policy_versions.keep(session, _versions(judged))
        wanted = submissions.record(
            session,
            [
                submissions.DecidedSubmission(
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
        return [next(ids) if is_meant else None for is_meant in is_wanted]

    def _new_decision(self, judged: JudgedSubmission) -> decisions.NewDecision:
        return decisions.NewDecision(
            judged.submission,
            judged.policy,
            judged.decision,
            model=self.judge_picture.encoder.name,
            model_digest=self.judge_picture.digest,
            facts=judged.facts,
            audit_probability=audit_probability(judged.policy, judged.decision),
        )

    def _follow_up(self, session: Session, made: Sequence[tuple[JudgedSubmission, int]]) -> None:
        """Write what comes of the decisions that were not made before."""
        pictures = [one.judgement.picture for one, _ in made if one.judgement.picture]
        embeddings.keep(session, self.judge_picture.digest, [(one.facts, one.embedding) for one in pictures])
        inherited = self.inherit(
            session,
            [
                Heir(one.submission.id, decision_id, one.facts.sha256, one.policy.digest)
                for one, decision_id in made
                if one.facts
            ],
        )
        _ask(session, [(one, decision_id) for one, decision_id in made if decision_id not in inherited])
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


def _versions(judged: Iterable[JudgedSubmission]) -> Iterable[tuple[Policy, str]]:
    """Return the policies that a decision of these names, with their texts."""
    for one in judged:
        yield one.policy, one.live.text
        for shadow, _ in one.shadows:
            yield shadow.policy, shadow.text


def _ask(session: Session, made: Iterable[tuple[JudgedSubmission, int]]) -> None:
    """Put into the review queue what a person has to look at."""
    asked = [(one, decision_id, kind) for one, decision_id in made if (kind := _kind_of_review(one))]
    if not asked:
        return
    # The ledger forgets bytes and signatures with the decision; whoever reviews has to see the picture.
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
    """Return them with a review in place of each block beyond what its policy may block within the hour."""
    blocked: Counter[str] = Counter()
    # In one order, so that two workers who block under the same policies never wait for each other.
    for name in sorted({one.policy.name for one in judged if _counts(one)}):
        an_hour_ago = database_now(session) - timedelta(hours=1)
        blocked[name] = decisions.automatic_blocks(session, name, since=an_hour_ago)
    return [_held_back(one, blocked) if _counts(one) else one for one in judged]


def _counts(judged: JudgedSubmission) -> bool:
    limited = judged.policy.automatic_blocks_per_hour is not None
    return limited and judged.decision.action is Action.BLOCK


def _held_back(judged: JudgedSubmission, blocked: Counter[str]) -> JudgedSubmission:
    limit = judged.policy.automatic_blocks_per_hour or 0
    if blocked[judged.policy.name] < limit:
        blocked[judged.policy.name] += 1
        return judged
    decision = hold_back(judged.decision, limit)
    return replace(judged, judgement=replace(judged.judgement, decision=decision))
