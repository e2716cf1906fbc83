"""Judges a picture's bytes by a policy: decode, embed, score, decide; stores nothing."""

import hashlib
import logging
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.moderation.caption import Caption
from worker.domain.moderation.decision import Decision, decide, decide_undecodable
from worker.domain.moderation.picture import PictureFacts
from worker.domain.moderation.scoring import Matrix, Vector
from worker.domain.moderation.view import Views
from worker.encoder.protocol import Encoder
from worker.errors import UnavailableError, UndecodablePictureError
from worker.images.limits import Limits
from worker.images.processes.pool import DecoderPool
from worker.observability.metrics import Stage, unmeasured
from worker.policy_files.library import LivePolicy

log = logging.getLogger(__name__)

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
    #: The text that was judged with it; None if there was none, or if the policy reads no texts.
    caption: Caption | None = None


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

    def __call__(self, live: LivePolicy, data: bytes, text: str = "") -> Judgement:
        """Judge a picture's bytes; if they cannot be decoded, the policy's `on_undecodable` decides.

        `text` accompanies the picture.
        """
        try:
            picture = self.embed(data)
        except UndecodablePictureError as refusal:
            return Judgement(decide_undecodable(live.policy, refusal))
        return self.judge(live, picture, text)

    def judge(self, live: LivePolicy, picture: EmbeddedPicture, text: str = "") -> Judgement:
        """Judge an embedded picture, and the text that accompanies it if the policy reads texts."""
        scale, caption = self.encoder.info.scale, self._caption(live, text)
        with self.stage("score"):
            additions = live.captions(caption, scale) if live.captions and caption else None
            scores = live.score(
                picture.embedding, scale, picture.views, most=self.most_scores, additions=additions
            )
            decision = decide(live.policy, scores, picture.facts.seen)
            return Judgement(decision, picture, caption=caption)

    def _caption(self, live: LivePolicy, text: str) -> Caption | None:
        if not text or live.captions is None:
            return None
        with self.stage("encode"):
            return Caption(text, _rounded(self._meaning(text)))

    def _meaning(self, text: str) -> Vector:
        """Return the vector of a text; zeros, which are like nothing, if the model cannot read it.

        A text that breaks the model must not keep its picture from being judged.
        """
        try:
            vector: Vector = self.encoder.encode_captions([text])[0]
        except UnavailableError:
            raise
        except Exception:
            log.exception("the text of a submission cannot be encoded; only its words count")
        else:
            if np.isfinite(vector).all():
                return vector
            log.error("the vector of a submission's text is not finite; only its words count")
        return np.zeros(self.encoder.info.dimension, np.float32)

    def embed(self, data: bytes) -> EmbeddedPicture:
        """Decode and embed a picture; UndecodablePictureError if it cannot be judged."""
        with self.stage("decode"):
            picture = self.decoder.decode(data, self.encoder.info.preprocessing)
        with self.stage("encode"):
            embedding = self.encoder.encode_images(list(picture.pixels))
        return EmbeddedPicture(picture.facts, _rounded(embedding))


def _rounded(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round as vectors are stored, so that decisions can be derived again from the store to the last bit."""
    return vectors.astype(np.float16).astype(np.float32)
