"""Judges a picture's bytes by a policy: decode, embed, score, decide; stores nothing."""

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

#: Increase it when decoding or preprocessing changes the vector of the same bytes.
DECODING_VERSION: Final = 3


def vector_digest(encoder: Encoder, limits: Limits) -> str:
    """Return the SHA-256 of all that a vector depends on: weights, preprocessing, decoding, frame limit."""
    return vector_digest_of(encoder.info.digest, limits)


def vector_digest_of(model: str, limits: Limits) -> str:
    """Return the same of a model's digest, for a model in another process."""
    parts = (model, str(DECODING_VERSION), str(limits.max_frames))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class EmbeddedPicture:
    """A picture's facts and embedding: one unit vector for each view, shape (views, dimension)."""

    facts: PictureFacts
    embedding: Matrix

    @property
    def views(self) -> Views:
        """What each vector shows."""
        return self.facts.views(len(self.embedding))


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision, and the picture that it is based on; `picture` is None if the bytes were refused."""

    decision: Decision
    picture: EmbeddedPicture | None = None
    #: SHA-256 of the bytes; None if they could not be read.
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class JudgePicture:
    """Judge a picture's bytes."""

    encoder: Encoder
    decoder: DecoderPool
    stage: Stage = unmeasured
    #: A decision keeps this number of scores at most, those that count; None keeps all.
    most_scores: int | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of all that a vector depends on."""
        return vector_digest(self.encoder, self.decoder.limits)

    def __call__(self, live: LivePolicy, data: bytes) -> Judgement:
        """Judge a picture's bytes; if they cannot be decoded, the policy's `on_undecodable` decides."""
        try:
            picture = self.embed(data)
        except UndecodablePictureError as refusal:
            return Judgement(decide_undecodable(live.policy, refusal))
        return self.judge(live, picture)

    def judge(self, live: LivePolicy, picture: EmbeddedPicture) -> Judgement:
        """Judge an embedded picture."""
        with self.stage("score"):
            scores = live.score(
                picture.embedding, self.encoder.info.scale, picture.views, most=self.most_scores
            )
            return Judgement(decide(live.policy, scores, picture.facts.seen), picture)

    def embed(self, data: bytes) -> EmbeddedPicture:
        """Decode and embed a picture; UndecodablePictureError if it cannot be judged."""
        with self.stage("decode"):
            picture = self.decoder.decode(data, self.encoder.info.preprocessing)
        with self.stage("encode"):
            embedding = self.encoder.encode_images(list(picture.pixels))
        # Rounded as it is stored, so that the decision can be derived again from the store to the last bit.
        return EmbeddedPicture(picture.facts, embedding.astype(np.float16).astype(np.float32))
