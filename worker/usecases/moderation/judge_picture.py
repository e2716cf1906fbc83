"""Judges a picture's bytes under a policy: decode, embed, score, decide; stores nothing."""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from worker.domain.moderation.decision import Decision, decide, decide_undecodable
from worker.domain.moderation.picture import PictureFacts
from worker.domain.moderation.scoring import Matrix
from worker.domain.moderation.view import Views
from worker.encoder.protocol import Encoder
from worker.errors import UndecodablePictureError
from worker.images.limits import Limits
from worker.images.processes.pool import DecoderPool
from worker.observability.metrics import Stage, unmeasured
from worker.policy_files.library import LivePolicy

#: Counts up whenever decoding, or what follows it, changes the vector of the same bytes.
DECODING_VERSION: Final = 3


def vector_digest(encoder: Encoder, limits: Limits) -> str:
    """Return the SHA-256 of what shapes a vector: weights, preprocessing, decoding, number of frames."""
    parts = (encoder.digest, str(DECODING_VERSION), str(limits.max_frames))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class EmbeddedPicture:
    """A picture as the model sees it: facts, and one unit vector a view, shape (views, dimension)."""

    facts: PictureFacts
    embedding: Matrix

    @property
    def views(self) -> Views:
        """What each vector stands for."""
        return self.facts.views(len(self.embedding))


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision and what it rests on; `picture` is None where the bytes were refused."""

    decision: Decision
    picture: EmbeddedPicture | None = None
    #: SHA-256 of the bytes; None where they could not be had.
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class JudgePicture:
    """From bytes to a decision."""

    encoder: Encoder
    decoder: DecoderPool
    stage: Stage = unmeasured
    #: Of more labels, decisions have the scores of those that count alone; None: of all.
    most_scores: int | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of all that lies between bytes and vector."""
        return vector_digest(self.encoder, self.decoder.limits)

    def __call__(self, live: LivePolicy, data: bytes) -> Judgement:
        """Judge a picture's bytes; what cannot be decoded is decided by the policy's `on_undecodable`."""
        try:
            picture = self.embed(data)
        except UndecodablePictureError as refusal:
            return Judgement(decide_undecodable(live.policy, refusal))
        return self.judge(live, picture)

    def judge(self, live: LivePolicy, picture: EmbeddedPicture) -> Judgement:
        """Judge a picture whose embedding is known."""
        with self.stage("score"):
            scores = live.score(picture.embedding, self.encoder.scale, picture.views, most=self.most_scores)
            return Judgement(decide(live.policy, scores, picture.facts.seen), picture)

    def embed(self, data: bytes) -> EmbeddedPicture:
        """Decode and embed a picture; UndecodablePictureError where it is none we judge."""
        with self.stage("decode"):
            picture = self.decoder.decode(data, self.encoder.preprocessing)
        with self.stage("encode"):
            embedding = self.encoder.encode_images(list(picture.pixels))
        # Rounded as it is stored, so that the decision can be re-derived from the store to the last bit.
        return EmbeddedPicture(picture.facts, embedding.astype(np.float16).astype(np.float32))
