"""Compares what two policies would decide about past uploads, from stored embeddings."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from worker.domain.evaluation.backtest import Backtest
from worker.domain.evaluation.comparison import Change, Tally
from worker.domain.moderation.caption import Caption, CaptionRule
from worker.domain.moderation.decision import Decision, decide
from worker.domain.moderation.scoring import LabelScore, Logits, PhraseVectors, Scorer
from worker.domain.moderation.seen import Seen
from worker.domain.moderation.view import Views
from worker.domain.policies.policy import Action, Policy
from worker.encoder.phrases import encode_policy
from worker.encoder.protocol import Encoder
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.operations import archive
from worker.store.operations.archive import ArchiveChunk, ArchivedSubmission, Span
from worker.store.reviews import verdicts
from worker.usecases.learning.load_learned import LoadLearned
from worker.usecases.moderation.recall_captions import RecallCaptions

#: How many flipped submissions are listed, the largest changes first; all flips are counted.
DEFAULT_KEPT: Final = 1000

#: Called with the number of decisions compared so far, and the total.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class LabelFlip:
    """A label whose action differs between the policies; the scores name the phrases that caused it."""

    label: str
    #: What each policy would do because of this label alone; ALLOW if it is not flagged.
    old_action: Action
    new_action: Action
    #: None if the policy has no such label.
    old: LabelScore | None
    new: LabelScore | None


@dataclass(frozen=True, slots=True)
class Flip:
    """A submission that the new policy decides differently."""

    submission: ArchivedSubmission
    sha256: str
    #: In UTC.
    decided_at: datetime
    old: Decision
    new: Decision
    labels: tuple[LabelFlip, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The counts of what would have changed, and the largest changes."""

    old: Policy
    new: Policy
    span: Span
    until: datetime
    #: The name of the model whose embeddings were compared, as configured.
    model: str
    #: Decided submissions that were not compared: no picture was judged, or another model judged it.
    undecoded: int
    of_other_models: int
    tally: Tally
    #: The largest changes first.
    flips: tuple[Flip, ...]

    @property
    def decided(self) -> int:
        """The number of submissions in the span."""
        return self.tally.pictures + self.undecoded + self.of_other_models


@dataclass(frozen=True, slots=True)
class ComparePolicies:
    """Judge the archive by two policies; nothing is written, no picture is read."""

    encoder: Encoder
    model_digest: str
    database: Database
    learned: LoadLearned

    def __call__(
        self, old: Policy, new: Policy, span: Span, progress: Progress, kept: int = DEFAULT_KEPT
    ) -> Comparison:
        """Compare the policies over the submissions of `span`, and list at most `kept` flips."""
        old_vectors, new_vectors = self._vectors(old), self._vectors(new)
        rules = [_rule(old, old_vectors), _rule(new, new_vectors)]
        learned = self.learned(old), self.learned(new)
        backtest = Backtest([(old, old_vectors), (new, new_vectors)], self.encoder.info.scale, learned)
        with self.database.reading(unhurried=True) as session:
            until = database_now(session)
            total = archive.count(session, span)
            texts = _Texts(
                session, RecallCaptions(self.encoder, self.model_digest), rules, self.encoder.info.scale
            )
            counting = _Counting(session, backtest, kept, texts)
            for _ in map(counting.take, archive.stream(session, span, self.model_digest)):
                progress(counting.seen, total)
            found = [flip for _, _, flip in sorted(counting.kept, key=lambda flip: flip[:2], reverse=True)]
            flipped = archive.find(session, [flip.submission_id for flip in found])
        scorers = Scorer(old, old_vectors, learned[0]), Scorer(new, new_vectors, learned[1])
        explain = _Explain(old, new, *scorers, self.encoder.info.scale, rules)
        flips = (explain(flip, flipped[flip.submission_id]) for flip in found)
        return Comparison(
            old=old,
            new=new,
            span=span,
            until=until,
            model=self.encoder.info.name,
            undecoded=counting.undecoded,
            of_other_models=counting.of_other_models,
            tally=counting.tally,
            # A score exactly on a threshold may be rounded to either side of it.
            flips=tuple(flip for flip in flips if flip.labels or flip.old.action is not flip.new.action),
        )

    def _vectors(self, policy: Policy) -> PhraseVectors:
        return encode_policy(self.encoder, policy)


def _rule(policy: Policy, vectors: PhraseVectors) -> CaptionRule | None:
    return CaptionRule(policy, vectors) if policy.captions else None


@dataclass(frozen=True, slots=True)
class _Texts:
    """What the texts of submissions add under each policy."""

    session: Session
    recall: RecallCaptions
    #: One for each policy; None if it reads no texts.
    rules: Sequence[CaptionRule | None]
    scale: float

    def captions(self, ids: Sequence[str]) -> dict[str, Caption]:
        """Return the captions of these submissions, those that have one; none if no policy reads texts."""
        return self.recall(self.session, ids) if any(self.rules) else {}

    def additions(self, ids: Sequence[str], captions: Mapping[str, Caption]) -> list[Logits | None]:
        """Return what is added to the logits under each policy, shape (labels, pictures)."""
        return [self._additions(rule, ids, captions) if captions else None for rule in self.rules]

    def _additions(
        self, rule: CaptionRule | None, ids: Sequence[str], captions: Mapping[str, Caption]
    ) -> Logits | None:
        if rule is None:
            return None
        found = zip(captions, rule.of_many(list(captions.values()), self.scale), strict=True)
        added = {name: additions.logits for name, additions in found}
        nothing = np.zeros_like(next(iter(added.values())))
        return np.stack([added.get(name, nothing) for name in ids], axis=1)


@dataclass(frozen=True, slots=True)
class _FoundFlip:
    """What is kept of a flipped submission until all are compared."""

    submission_id: str
    sha256: str
    decided_at: float
    views: Views
    seen: Seen
    vectors: NDArray[np.float16]
    caption: Caption | None


class _Counting:
    """Counts changes chunk by chunk, and keeps the largest flips in a heap of bounded size."""

    def __init__(self, session: Session, backtest: Backtest, most: int, texts: _Texts) -> None:
        self.tally = Tally.of(*backtest.policies)
        self.seen = self.undecoded = self.of_other_models = 0
        #: A heap of (size of the change, id of the decision, flip), the smallest first.
        self.kept: list[tuple[float, int, _FoundFlip]] = []
        self._session, self._backtest, self._most, self._texts = session, backtest, most, texts

    def take(self, chunk: ArchiveChunk) -> None:
        """Judge a chunk by both policies and count the changes."""
        self.undecoded += chunk.undecoded
        self.of_other_models += chunk.of_other_models
        self.seen += len(chunk.submission_ids) + chunk.undecoded + chunk.of_other_models
        if not chunk.submission_ids:
            return
        captions = self._texts.captions(chunk.submission_ids)
        additions = self._texts.additions(chunk.submission_ids, captions)
        judged = self._backtest.judge(chunk.vectors, chunk.views, chunk.partly_seen, additions)
        old, new = zip(self._backtest.policies, judged, strict=True)
        change = Change.between(old, new)
        self.tally.add(change, chunk.decided_at)
        self._add_verdicts(chunk, change)
        self._keep(chunk, change, captions)

    def _add_verdicts(self, chunk: ArchiveChunk, change: Change) -> None:
        asked = np.flatnonzero(chunk.has_verdict).tolist()
        if not asked:
            return
        found = verdicts.latest_of(self._session, [chunk.submission_ids[n] for n in asked])
        # Verdicts about other bytes say nothing about the bytes that were judged.
        seen = [n for n in asked if found[chunk.submission_ids[n]].picture_seen]
        if not seen:
            return
        judged = np.array(seen, np.intp)
        answers = [found[chunk.submission_ids[n]] for n in seen]
        blocked = np.array([answer.action is Action.BLOCK for answer in answers])
        true = np.array([[label.name in answer.labels for answer in answers] for label in self.tally.labels])
        self.tally.add_verdicts(change, judged, blocked, true)

    def _keep(self, chunk: ArchiveChunk, change: Change, captions: Mapping[str, Caption]) -> None:
        flipped = np.flatnonzero(change.changed)
        sizes = change.sizes(flipped)
        if len(self.kept) == self._most:
            larger = sizes > self.kept[0][0]
            flipped, sizes = flipped[larger], sizes[larger]
        ends = np.cumsum(chunk.views)
        for n, size in zip(flipped.tolist(), sizes.tolist(), strict=True):
            # A copy: a view would keep the whole chunk alive.
            vectors = chunk.vectors[ends[n] - chunk.views[n] : ends[n]].copy()
            flip = _FoundFlip(
                chunk.submission_ids[n],
                chunk.sha256s[n],
                float(chunk.decided_at[n]),
                chunk.views_of(n),
                chunk.seen(n),
                vectors,
                captions.get(chunk.submission_ids[n]),
            )
            heapq.heappush(self.kept, (size, chunk.decision_ids[n], flip))
            if len(self.kept) > self._most:
                heapq.heappop(self.kept)


@dataclass(frozen=True, slots=True)
class _Explain:
    """Makes both decisions on one submission again by the ordinary rule, with their reasons."""

    old: Policy
    new: Policy
    score_old: Scorer
    score_new: Scorer
    scale: float
    rules: Sequence[CaptionRule | None]

    def __call__(self, flip: _FoundFlip, submission: ArchivedSubmission) -> Flip:
        old_rule, new_rule = self.rules
        old = self._decide(self.score_old, old_rule, flip)
        new = self._decide(self.score_new, new_rule, flip)
        return Flip(
            submission=submission,
            sha256=flip.sha256,
            decided_at=datetime.fromtimestamp(flip.decided_at, UTC),
            old=old,
            new=new,
            labels=tuple(self._label_flips(old.scores, new.scores)),
        )

    def _decide(self, scorer: Scorer, rule: CaptionRule | None, flip: _FoundFlip) -> Decision:
        additions = rule(flip.caption, self.scale) if rule and flip.caption else None
        embedding = flip.vectors.astype(np.float32)
        return decide(
            scorer.policy, scorer(embedding, self.scale, flip.views, additions=additions), flip.seen
        )

    def _label_flips(self, old: Sequence[LabelScore], new: Sequence[LabelScore]) -> list[LabelFlip]:
        before, after = ({found.label: found for found in scores} for scores in (old, new))
        flips = [
            LabelFlip(
                name,
                _label_action(self.old, before.get(name)),
                _label_action(self.new, after.get(name)),
                before.get(name),
                after.get(name),
            )
            for name in dict.fromkeys([*before, *after])
        ]
        return [flip for flip in flips if flip.old_action is not flip.new_action]


def _label_action(policy: Policy, found: LabelScore | None) -> Action:
    """Return the action that a label's score alone leads to."""
    if found is None:
        return Action.ALLOW
    label = policy.label(found.label)
    if found.score < label.review:
        return Action.ALLOW
    return Action.BLOCK if label.block is not None and found.score >= label.block else Action.REVIEW
