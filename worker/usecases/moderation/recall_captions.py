"""Finds the captions of submissions: stored vectors, and texts that no policy has read so far."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy.orm import Session

from worker.domain.moderation.caption import Caption
from worker.encoder.protocol import Encoder
from worker.store.submissions import captions


@dataclass(frozen=True, slots=True)
class RecallCaptions:
    """Look up captions; those without a vector under this model are encoded, and not stored."""

    encoder: Encoder
    model_digest: str

    def __call__(self, session: Session, ids: Collection[str]) -> dict[str, Caption]:
        """Return the captions of those of these submissions that have one."""
        found = captions.find(session, ids, self.model_digest)
        missing = {name: text for name, (text, vector) in found.items() if vector is None}
        encoded = self.encoder.encode_captions(list(missing.values())) if missing else ()
        vectors = dict(zip(missing, encoded, strict=True))
        return {
            name: Caption(text, vectors[name] if vector is None else vector)
            for name, (text, vector) in found.items()
        }
