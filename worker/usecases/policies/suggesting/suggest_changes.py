"""Suggests which words of a policy to change, from stored embeddings and verdicts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.domain.evaluation.backtest import Backtest
from worker.domain.evaluation.suggesting.sample import Sample
from worker.domain.evaluation.suggesting.suggest import LEAST_PICTURES, Suggest, Uploads
from worker.domain.evaluation.suggesting.suggestions import Suggestions
from worker.domain.policies.policy import Policy
from worker.encoder.phrases import encode_phrases
from worker.encoder.protocol import Encoder
from worker.errors import UsageError
from worker.store.engine.database import Database
from worker.store.operations import archive
from worker.store.operations.archive import ArchiveChunk, Span
from worker.usecases.policies.suggesting.sampling import MOST_PICTURES, Sampling

#: Called with the number of decisions examined so far, and the total.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class SuggestedChanges:
    """What was found, and what it rests on."""

    policy: Policy
    span: Span
    #: The model's name, as configured.
    model: str
    #: Submissions that were examined, and those that were not: no picture, or another model judged it.
    looked_at: int
    undecoded: int
    of_other_models: int
    #: Different pictures among those examined.
    pictures: int
    #: None if there are too few pictures.
    found: Suggestions | None


@dataclass(frozen=True, slots=True)
class SuggestChanges:
    """Look for words to change; nothing is written, no picture is read."""

    encoder: Encoder
    model_digest: str
    database: Database
    #: Harmless things that pictures show, candidates for background and lookalikes.
    nouns: Sequence[str]
    #: How many different pictures are sampled, beside those with a verdict.
    most_pictures: int = MOST_PICTURES

    def __call__(self, policy: Policy, span: Span, most: int, progress: Progress) -> SuggestedChanges:
        """Return at most `most` suggestions of each kind, from the submissions of `span`.

        UsageError if the policy has no labels.
        """
        if not policy.labels:
            raise UsageError(
                f"the policy {policy.name} has no labels, so nothing can be flagged", hint="write one first"
            )
        vectors = encode_phrases(self.encoder, list(policy.phrases()), policy.templates)
        scale = self.encoder.info.scale
        with self.database.reading(unhurried=True) as session:
            total = archive.count(session, span)
            counting = _Counting(Backtest([(policy, vectors)], scale), Sampling(session, self.most_pictures))
            for _ in map(counting.take, archive.stream(session, span, self.model_digest)):
                progress(counting.seen, total)
        sample = counting.sampling.sample(policy)
        return SuggestedChanges(
            policy=policy,
            span=span,
            model=self.encoder.info.name,
            looked_at=counting.looked_at,
            undecoded=counting.undecoded,
            of_other_models=counting.of_other_models,
            pictures=len(sample.views),
            found=self._suggest(policy, sample, counting.uploads, most),
        )

    def _suggest(self, policy: Policy, sample: Sample, uploads: Uploads, most: int) -> Suggestions | None:
        if len(sample.views) < LEAST_PICTURES:
            return None
        vectors = encode_phrases(self.encoder, [*policy.phrases(), *self.nouns], policy.templates)
        return Suggest(policy, vectors, self.nouns, self.encoder.info.scale)(sample, uploads, most)


class _Counting:
    """Counts the flags of all uploads chunk by chunk, and samples the pictures."""

    def __init__(self, backtest: Backtest, sampling: Sampling) -> None:
        self.sampling = sampling
        self.seen = self.looked_at = self.undecoded = self.of_other_models = 0
        self._backtest = backtest
        self._flagged: NDArray[np.intp] = np.zeros(len(backtest.policies[0].labels), np.intp)

    @property
    def uploads(self) -> Uploads:
        """The counts so far."""
        return Uploads(self.looked_at, self._flagged)

    def take(self, chunk: ArchiveChunk) -> None:
        """Judge a chunk and sample from it."""
        self.undecoded += chunk.undecoded
        self.of_other_models += chunk.of_other_models
        self.looked_at += len(chunk.submission_ids)
        self.seen += len(chunk.submission_ids) + chunk.undecoded + chunk.of_other_models
        if not chunk.submission_ids:
            return
        (outcome,) = self._backtest.judge(chunk.vectors, chunk.views)
        self._flagged += outcome.flagged.sum(axis=1)
        self.sampling.take(chunk)
