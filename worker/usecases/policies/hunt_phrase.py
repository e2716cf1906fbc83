"""Ranks the pictures of the archive by how strongly they show a phrase."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.evaluation.backtest import Backtest
from worker.domain.moderation.scoring import LabelScore, score
from worker.domain.moderation.view import Views
from worker.domain.policies.policy import Action, Label, Policy
from worker.encoder.phrases import encode_phrases
from worker.encoder.protocol import Encoder
from worker.errors import UsageError
from worker.store.engine.database import Database
from worker.store.operations import archive
from worker.store.operations.archive import ArchiveChunk, ArchivedSubmission, Span

_HUNTED: Final = "hunted"
#: A matrix product rounds the same vector differently at another position.
_ROUNDING: Final = 1e-3

#: Called with the number of decisions examined so far, and the total.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A picture of the archive, and how strongly it shows the phrase."""

    #: The latest submission of these bytes.
    submission: ArchivedSubmission
    sha256: str
    #: In UTC; and the decision at that time.
    decided_at: datetime
    action: Action
    #: How often these bytes were submitted.
    uploads: int
    #: Score of the phrase against the policy's background.
    score: LabelScore


@dataclass(frozen=True, slots=True)
class Hunt:
    """The pictures that show the phrase most strongly, the strongest first."""

    phrase: str
    policy: Policy
    span: Span
    #: The model's name, as configured.
    model: str
    #: Submissions that were examined, and those that were not: no picture, or another model judged it.
    looked_at: int
    undecoded: int
    of_other_models: int
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True)
class HuntPhrase:
    """Search stored embeddings for a phrase; nothing is written, no picture is read."""

    encoder: Encoder
    model_digest: str
    database: Database

    def __call__(self, phrase: str, policy: Policy, span: Span, top: int, progress: Progress) -> Hunt:
        """Return the `top` pictures that show `phrase` most, against the background of `policy`.

        The same bytes appear once, however often they were submitted. UsageError if the phrase is empty or
        belongs to the background.
        """
        hunted = _phrase_policy(phrase, policy)
        vectors = encode_phrases(self.encoder, list(hunted.phrases()), hunted.templates)
        ranking = _Ranking(Backtest([(hunted, vectors)], self.encoder.info.scale), top)
        with self.database.reading(unhurried=True) as session:
            total = archive.count(session, span)
            for _ in map(ranking.take, archive.stream(session, span, self.model_digest)):
                progress(ranking.seen, total)
            found = sorted(ranking.best.values(), key=lambda seen: seen.logit, reverse=True)
            submissions = archive.find(session, [seen.submission_id for seen in found])

        def sighting(seen: "_Candidate") -> Sighting:
            (shown,) = score(
                hunted, seen.vectors.astype(np.float32), vectors, self.encoder.info.scale, seen.views
            )
            return Sighting(
                submission=submissions[seen.submission_id],
                sha256=seen.sha256,
                decided_at=datetime.fromtimestamp(seen.decided_at, UTC),
                action=Action(seen.action),
                uploads=seen.uploads,
                score=shown,
            )

        return Hunt(
            phrase=phrase,
            policy=policy,
            span=span,
            model=self.encoder.info.name,
            looked_at=ranking.looked_at,
            undecoded=ranking.undecoded,
            of_other_models=ranking.of_other_models,
            sightings=tuple(map(sighting, found)),
        )


def _phrase_policy(phrase: str, policy: Policy) -> Policy:
    """Return a policy with one label, the phrase, and the background of `policy`."""
    if not phrase.strip():
        raise UsageError("there is no phrase to hunt for", hint='write it in quotes: "a hookah"')
    if phrase in policy.background:
        raise UsageError(
            f"{phrase!r} is a background phrase of the policy {policy.name}: it cannot beat itself",
            hint="choose other words, or another --policy",
        )
    return replace(policy, labels=(Label(_HUNTED, (phrase,)),))


@dataclass(slots=True)
class _Candidate:
    sha256: str
    logit: float
    views: Views
    vectors: NDArray[np.float16]
    #: The latest upload, and how many there are.
    decision_id: int = -1
    submission_id: str = ""
    decided_at: float = 0.0
    action: str = ""
    uploads: int = 0


class _Ranking:
    """Keeps the best pictures, chunk by chunk.

    The logit to beat only rises, and the same bytes always have the same logit. So a picture that is among
    the best at the end was among them since it was first seen, and all its uploads are counted.
    """

    def __init__(self, backtest: Backtest, top: int) -> None:
        self.best: dict[str, _Candidate] = {}
        self.seen = self.looked_at = self.undecoded = self.of_other_models = 0
        self._backtest, self._top = backtest, top
        self._heap: list[tuple[float, str]] = []

    def take(self, chunk: ArchiveChunk) -> None:
        """Rank the pictures of a chunk."""
        self.undecoded += chunk.undecoded
        self.of_other_models += chunk.of_other_models
        self.looked_at += len(chunk.submission_ids)
        self.seen += len(chunk.submission_ids) + chunk.undecoded + chunk.of_other_models
        if not chunk.submission_ids:
            return
        logits = self._backtest.logits(chunk.vectors, chunk.views)[0]
        least = self._heap[0][0] if len(self._heap) == self._top else -np.inf
        ends = np.cumsum(chunk.views)
        for n in np.flatnonzero(logits >= least - _ROUNDING).tolist():
            self._note(chunk, n, float(logits[n]), ends[n])

    def _note(self, chunk: ArchiveChunk, n: int, logit: float, end: int) -> None:
        sha256 = chunk.sha256s[n]
        seen = self.best.get(sha256)
        if seen is None:
            if len(self._heap) == self._top and logit <= self._heap[0][0]:
                return
            # A copy: a view would keep the whole chunk alive.
            vectors = chunk.vectors[end - chunk.views[n] : end].copy()
            seen = _Candidate(sha256, logit, chunk.views_of(n), vectors)
            self.best[sha256] = seen
            heapq.heappush(self._heap, (logit, sha256))
            if len(self._heap) > self._top:
                del self.best[heapq.heappop(self._heap)[1]]
        seen.uploads += 1
        if chunk.decision_ids[n] > seen.decision_id:
            seen.decision_id, seen.decided_at = chunk.decision_ids[n], float(chunk.decided_at[n])
            seen.submission_id, seen.action = chunk.submission_ids[n], chunk.actions[n]
