"""Labelled pictures: decisions that people answered, with the embeddings they were made on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from worker.domain.policies.policy import Action
from worker.store.decisions import embeddings
from worker.store.decisions.embeddings import StoredEmbedding
from worker.store.engine.tables import GIVEN, DecisionRow, EmbeddingRow, VerdictRow
from worker.store.operations.archive import Span
from worker.store.reviews import verdicts

#: How many rows are read at once: each has an embedding.
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """A picture, the labels that a person named, and how probable it was that a person saw it."""

    submission_id: str
    sha256: str
    labels: frozenset[str]
    #: 1 if it was flagged; the audit's probability if it was allowed.
    probability: float
    embedding: StoredEmbedding


def newest(session: Session, span: Span, model_digest: str, limit: int) -> Iterator[LabelledPicture]:
    """Yield at most `limit` pictures with a verdict in force on the judged bytes, newest first.

    Of each submission the latest verdict counts. Inherited verdicts are left out: they repeat others.
    """
    columns = (
        VerdictRow.submission_id,
        VerdictRow.labels,
        DecisionRow.action,
        DecisionRow.audit_probability,
        DecisionRow.sha256,
    )
    query = (
        select(*columns)
        .join(DecisionRow, DecisionRow.id == VerdictRow.decision_id)
        .join(
            EmbeddingRow,
            and_(EmbeddingRow.sha256 == DecisionRow.sha256, EmbeddingRow.model_digest == model_digest),
        )
        .where(DecisionRow.created_at >= span.since, VerdictRow.picture_seen, GIVEN, verdicts.in_force())
        .order_by(VerdictRow.id.desc())
        .limit(limit)
    )
    if span.policy is not None:
        query = query.where(DecisionRow.policy == span.policy)
    latest: dict[str, Any] = {}
    for row in session.execute(query):
        latest.setdefault(row.submission_id, row)
    rows = list(latest.values())
    for start in range(0, len(rows), _CHUNK):
        yield from _with_embeddings(session, rows[start : start + _CHUNK], model_digest)


def _with_embeddings(session: Session, rows: list[Any], model_digest: str) -> Iterator[LabelledPicture]:
    found = embeddings.find_all(session, [row.sha256 for row in rows], model_digest)
    for row, embedding in zip(rows, found, strict=True):
        if embedding is not None:
            yield LabelledPicture(
                row.submission_id,
                row.sha256,
                frozenset(row.labels),
                row.audit_probability if row.action is Action.ALLOW and row.audit_probability else 1.0,
                embedding,
            )
