"""Draws a sample of the archive's different pictures while it is streamed; all with a verdict are in it."""

import heapq
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from worker.domain.evaluation.suggesting.sample import FALSE, RIGHT, UNKNOWN, Sample
from worker.domain.policies.policy import Policy
from worker.store.operations.archive import ArchiveChunk
from worker.store.reviews import verdicts
from worker.store.reviews.verdicts import Verdict

#: Pictures drawn at random, and views of them: 40 MiB of vectors of 512 numbers.
MOST_PICTURES: Final = 20_000
MOST_VIEWS: Final = 40_000
#: Pictures with a verdict: years of a team's work.
MOST_JUDGED: Final = 50_000


@dataclass(slots=True)
class _Picture:
    sha256: str
    submission_id: str
    vectors: NDArray[np.float16]
    #: The verdict on the newest decision that has one, and that decision.
    verdict: Verdict | None = None
    decision_id: int = -1
    #: 1 / the probability with which a person was shown the picture.
    weight: float = 1.0


class Sampling:
    """Keeps the pictures with the smallest SHA-256, each once, and those with a verdict.

    A SHA-256 is as good as a random number, and the same picture always has the same: however the archive is
    cut, the sample is the same.
    """

    def __init__(self, session: Session, most_pictures: int = MOST_PICTURES) -> None:
        self._session, self._most = session, most_pictures
        self._drawn, self._judged = _Smallest(), _Smallest()

    def take(self, chunk: ArchiveChunk) -> None:
        """Sample from a chunk."""
        answers = self._answers(chunk)
        drawn = self._audited(answers)
        ends = np.cumsum(chunk.views)
        for n, (submission_id, sha256) in enumerate(zip(chunk.submission_ids, chunk.sha256s, strict=True)):
            verdict = answers.get(submission_id)
            picture = self._drawn.get(sha256) or self._judged.get(sha256)
            if picture is None:
                if verdict is None and not self._drawn.takes(sha256):
                    continue
                # A copy: a view would keep the whole chunk alive.
                vectors = chunk.vectors[ends[n] - chunk.views[n] : ends[n]].copy()
                picture = _Picture(sha256, submission_id, vectors)
            if verdict is not None and chunk.decision_ids[n] > picture.decision_id:
                picture.verdict, picture.decision_id = verdict, chunk.decision_ids[n]
                picture.weight = max(picture.weight, 1 / drawn.get(submission_id, 1.0))
            self._drawn.add(picture)
            while len(self._drawn) > self._most or self._drawn.views > MOST_VIEWS:
                self._drawn.drop()
            if picture.verdict is not None:
                self._judged.add(picture)
                if len(self._judged) > MOST_JUDGED:
                    self._judged.drop()

    def sample(self, policy: Policy) -> Sample:
        """Return the sample, with the truth about the labels of a policy."""
        pictures = sorted(
            {one.sha256: one for part in (self._drawn, self._judged) for one in part.pictures()}.values(),
            key=lambda one: one.sha256,
        )
        vectors = [one.vectors for one in pictures]
        return Sample(
            submission_ids=[one.submission_id for one in pictures],
            sha256s=[one.sha256 for one in pictures],
            views=np.array([len(own) for own in vectors], np.intp),
            vectors=np.concatenate(vectors) if vectors else np.empty((0, 0), np.float16),
            truth=np.array([_truth(policy, one.verdict) for one in pictures], np.int8).reshape(
                len(pictures), len(policy.labels)
            ),
            weights=np.array([one.weight for one in pictures]),
            drawn=np.array([self._drawn.get(one.sha256) is not None for one in pictures], np.bool_),
        )

    def _answers(self, chunk: ArchiveChunk) -> dict[str, Verdict]:
        asked = [chunk.submission_ids[n] for n in np.flatnonzero(chunk.has_verdict).tolist()]
        found = verdicts.latest_of(self._session, asked) if asked else {}
        # Verdicts about other bytes say nothing about the bytes that were judged.
        return {key: verdict for key, verdict in found.items() if verdict.picture_seen}

    def _audited(self, answers: dict[str, Verdict]) -> dict[str, float]:
        return verdicts.audited(self._session, list(answers)) if answers else {}


class _Smallest:
    """Pictures by SHA-256; once one is dropped, only smaller ones are taken."""

    def __init__(self) -> None:
        self.views = 0
        self._by_sha256: dict[str, _Picture] = {}
        #: Negative numbers, since a heap drops its smallest.
        self._heap: list[tuple[int, str]] = []
        #: Above every SHA-256 until one is dropped.
        self._bound = "g"

    def __len__(self) -> int:
        return len(self._by_sha256)

    def takes(self, sha256: str) -> bool:
        """Whether a picture of these bytes would be kept."""
        return sha256 < self._bound

    def get(self, sha256: str) -> _Picture | None:
        """Return the picture of these bytes if it is kept."""
        return self._by_sha256.get(sha256)

    def pictures(self) -> list[_Picture]:
        """Return all that are kept."""
        return list(self._by_sha256.values())

    def add(self, picture: _Picture) -> None:
        """Keep a picture if it is small enough and not kept yet."""
        if picture.sha256 in self._by_sha256 or not self.takes(picture.sha256):
            return
        self._by_sha256[picture.sha256] = picture
        self.views += len(picture.vectors)
        heapq.heappush(self._heap, (-int(picture.sha256, 16), picture.sha256))

    def drop(self) -> None:
        """Drop the picture with the largest SHA-256."""
        _, self._bound = heapq.heappop(self._heap)
        self.views -= len(self._by_sha256.pop(self._bound).vectors)


def _truth(policy: Policy, verdict: Verdict | None) -> list[int]:
    if verdict is None:
        return [UNKNOWN] * len(policy.labels)
    return [RIGHT if label.name in verdict.labels else FALSE for label in policy.labels]
