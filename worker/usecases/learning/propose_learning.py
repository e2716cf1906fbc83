"""Proposes what a policy can learn from its reviewers' verdicts; nothing comes into force by it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.evaluation.backtest import Backtest
from worker.domain.learning.evidence import Archive, Evidence
from worker.domain.learning.guard import Proposal, propose
from worker.domain.learning.thresholds import Threshold, precision_threshold, recall_threshold
from worker.domain.moderation.additions import sigmoid
from worker.domain.moderation.learned import ARCHIVE_SIZE, Learned, contest_digest
from worker.domain.moderation.scoring import Logits, Matrix, PhraseVectors
from worker.domain.policies.policy import Label, Policy
from worker.domain.policies.stored_policy import LearnedThresholds
from worker.encoder.phrases import encode_phrases
from worker.encoder.protocol import Encoder
from worker.errors import UsageError
from worker.store.decisions import embeddings
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.operations import labelled_pictures
from worker.store.operations.archive import Span
from worker.store.operations.labelled_pictures import LabelledPicture
from worker.store.policies import learned_states
from worker.store.policies.learned_states import LearnedState

#: Verdicts beyond these are older ones, and hardly improve what is learned.
MOST_VERDICTS: Final = 20_000
#: Recent uploads from which the sample of the archive is drawn.
_RECENT: Final = 8_000
#: With fewer uploads, nothing says how alike pictures are.
LEAST_ARCHIVE: Final = 50
_SEED: Final = 19

#: Called with the number of labels done, and the total.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class LabelProposal:
    """What one label learns, and the thresholds that follow from its targets."""

    label: str
    proposal: Proposal
    #: None if the label names no such target.
    review: Threshold | None = None
    block: Threshold | None = None


@dataclass(frozen=True, slots=True)
class LearningProposal:
    """What a policy can learn, as it is stored."""

    #: The version without and with what it learns; the same if nothing is learned.
    before: Policy
    after: Policy
    labels: tuple[LabelProposal, ...]
    #: Verdicts that were used.
    verdicts: int

    @property
    def figures(self) -> dict[str, Any]:
        """What was measured, by label, as JSON types."""
        return _figures(self.labels)

    @property
    def is_something(self) -> bool:
        """Whether anything is learned."""
        return bool(self.after.learned)


@dataclass(frozen=True, slots=True)
class ProposeLearning:
    """Fit what each label can learn, and store it as a proposal."""

    encoder: Encoder
    model_digest: str
    database: Database

    def __call__(self, policy: Policy, span: Span, progress: Progress) -> LearningProposal:
        """Return the proposal for `policy`, as its file says it, from the verdicts of the span.

        UsageError if too few uploads are stored under this model.
        """
        with self.database.reading(unhurried=True) as session:
            pictures = list(labelled_pictures.newest(session, span, self.model_digest, MOST_VERDICTS))
            recent = embeddings.newest(session, self.model_digest, _RECENT)
            examples = self._examples(session, policy)
            now = database_now(session)
        if len(recent) < LEAST_ARCHIVE:
            raise UsageError(
                f"{len(recent)} uploads are stored under this model; learning needs {LEAST_ARCHIVE}",
                hint="wait for more uploads, or enqueue some that were judged before",
            )
        archive = Archive.of(_sample(recent), self.encoder.info.scale)
        labelled = _Labelled.of(pictures, policy, self._vectors(policy), self.encoder.info.scale)
        found = []
        for number, label in enumerate(policy.labels):
            chosen = examples.get(label.name, recent[:0])
            found.append(_propose(label, contest_digest(policy, label), labelled, archive, chosen))
            progress(number + 1, len(policy.labels))
        learned = Learned(
            self.model_digest,
            archive.vectors,
            {one.label: one.proposal.learned for one in found if one.proposal.learned},
        )
        thresholds = _thresholds(found)
        if not learned.labels and not thresholds:
            return LearningProposal(policy, policy, tuple(found), len(pictures))
        state = LearnedThresholds(learned.digest, thresholds)
        after = policy.with_learned(state)
        with self.database.transaction() as session:
            learned_states.keep(
                session,
                learned.to_bytes(),
                LearnedState(
                    state.digest, policy.name, policy.digest, self.model_digest, state, _figures(found), now
                ),
            )
        return LearningProposal(policy, after, tuple(found), len(pictures))

    def _vectors(self, policy: Policy) -> PhraseVectors:
        return encode_phrases(self.encoder, list(policy.phrases()), policy.templates)

    def _examples(self, session: Any, policy: Policy) -> Mapping[str, Matrix]:
        """Return the vectors of the policy's examples by label; UsageError if one is unknown."""
        found = {}
        for label in policy.labels:
            if not label.examples:
                continue
            stored = embeddings.find_all(session, label.examples, self.model_digest)
            missing = [name for name, one in zip(label.examples, stored, strict=True) if one is None]
            if missing:
                raise UsageError(
                    f"label {label.name} names an example that this model never judged: {missing[0]}",
                    hint="submit the picture, or remove the line from the policy",
                )
            found[label.name] = np.stack([one.embedding[0] for one in stored if one])
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Labelled:
    """All pictures with a verdict, and each label's logits in each of their views."""

    pictures: Sequence[LabelledPicture]
    #: All views of all pictures, shape (views, dimension), and the first row of each picture.
    vectors: Matrix
    firsts: NDArray[np.intp]
    #: Shape (labels, views), in the policy's order.
    logits: Mapping[str, Logits]

    @classmethod
    def of(
        cls, pictures: Sequence[LabelledPicture], policy: Policy, vectors: PhraseVectors, scale: float
    ) -> "_Labelled":
        dimension = vectors.matrix.shape[1]
        views = [one.embedding.embedding for one in pictures]
        stacked = np.concatenate(views) if views else np.empty((0, dimension), np.float32)
        firsts = np.cumsum([0, *map(len, views)])[: len(views)].astype(np.intp)
        alone = [(replace(policy, labels=(label,)), vectors) for label in policy.labels]
        one_view_each = np.ones(len(stacked), np.intp)
        logits = {
            label.name: Backtest([one], scale).logits(stacked.astype(np.float16), one_view_each)[0]
            for label, one in zip(policy.labels, alone, strict=True)
        }
        return cls(pictures, stacked, firsts, logits)

    def evidence(self, label: str, archive: Archive) -> Evidence:
        """Return the evidence about a label: of each picture, the view that shows it most."""
        logits = self.logits[label]
        ends = np.append(self.firsts[1:], len(logits))[: len(self.pictures)]
        best = np.array(
            [first + int(logits[first:end].argmax()) for first, end in zip(self.firsts, ends, strict=True)],
            np.intp,
        )
        digests = {one.sha256: number for number, one in enumerate(self.pictures)}
        return Evidence.of(
            logits[best],
            self.vectors[best],
            np.array([label in one.labels for one in self.pictures], np.bool_),
            np.array([one.probability for one in self.pictures], np.float64),
            np.array([digests[one.sha256] for one in self.pictures], np.intp),
            archive,
        )


def _propose(
    label: Label, contest: str, labelled: _Labelled, archive: Archive, chosen: Matrix
) -> LabelProposal:
    evidence = labelled.evidence(label.name, archive)
    proposal = propose(label.name, contest, evidence, archive, chosen)
    logits = evidence.logits if proposal.held_out is None else proposal.held_out
    scores = sigmoid(logits)
    review = block = None
    if label.review_recall is not None:
        review = recall_threshold(scores, evidence.truth, evidence.weights, label.review_recall)
    if label.block_precision is not None:
        # Of what people saw because of its score, not of the audit.
        shown = np.array([one.probability >= 1 for one in labelled.pictures], np.bool_)
        block = precision_threshold(scores[shown], evidence.truth[shown], label.block_precision)
    return LabelProposal(label.name, proposal, review, block)


def _thresholds(found: Sequence[LabelProposal]) -> tuple[tuple[str, float | None, float | None], ...]:
    return tuple(
        (one.label, one.review.score if one.review else None, one.block.score if one.block else None)
        for one in found
        if (one.review and one.review.score is not None) or (one.block and one.block.score is not None)
    )


def _figures(found: Sequence[LabelProposal]) -> dict[str, Any]:
    """Return what was measured, by label, as JSON types."""
    return {one.label: figures_of(one) for one in found}


def figures_of(one: LabelProposal) -> dict[str, Any]:
    """Return what was measured for one label, as JSON types."""
    proposal = one.proposal
    return {
        "verdicts": proposal.verdicts,
        "right": proposal.right,
        "adopted": proposal.adopted,
        "reason": proposal.reason,
        "before": asdict(proposal.before) if proposal.before else None,
        "after": asdict(proposal.after) if proposal.after else None,
        "review": asdict(one.review) if one.review else None,
        "block": asdict(one.block) if one.block else None,
    }


def _sample(recent: Matrix) -> Matrix:
    """Draw the sample of the archive, the same one for the same uploads."""
    count = min(ARCHIVE_SIZE, len(recent))
    chosen = np.random.default_rng(_SEED).choice(len(recent), count, replace=False)
    return recent[np.sort(chosen)]
