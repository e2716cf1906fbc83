"""The archive: decisions with their embeddings, streamed in constant memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Float, Select, String, and_, cast, exists, extract, func, select, text
from sqlalchemy import type_coerce as read_as
from sqlalchemy.orm import Session, aliased

from worker.domain.moderation.seen import ENOUGH, Seen
from worker.domain.moderation.view import Views
from worker.store.engine.counting import count_up_to
from worker.store.engine.tables import DecisionRow, EmbeddingRow, SubmissionRow, VerdictRow
from worker.store.reviews import verdicts

#: Submissions in memory at once: 1 MiB of vectors of 512 numbers, 64 MiB if each has 64 frames.
CHUNK: Final = 1024
#: Up to this number of decisions indexes are used; for more, whole tables are read.
SHORT: Final = 100_000


@dataclass(frozen=True, slots=True)
class Span:
    """Selects decisions: since a time, by the policy of one name or by any."""

    since: datetime
    #: None for any policy.
    policy: str | None = None


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ArchiveChunk:
    """Decided submissions, each once, with their vectors of the requested model."""

    #: How many submissions of the chunk have no vectors, since they were not decoded.
    undecoded: int
    #: How many have no vectors of the requested model, though they were judged.
    of_other_models: int
    #: From here on only submissions with vectors: their newest decisions.
    decision_ids: Sequence[int]
    submission_ids: Sequence[str]
    #: Seconds since 1970 in UTC.
    decided_at: NDArray[np.float64]
    actions: Sequence[str]
    sha256s: Sequence[str]
    has_verdict: NDArray[np.bool_]
    #: Of the decoded picture.
    frames: Sequence[int]
    parts: Sequence[int]
    is_tall: Sequence[bool]
    time_shares: Sequence[float]
    area_shares: Sequence[float]
    #: How many rows of `vectors` each submission has.
    views: NDArray[np.intp]
    #: float16, shape (sum of views, dimension), read-only.
    vectors: NDArray[np.float16]

    @property
    def partly_seen(self) -> NDArray[np.bool_]:
        """Which pictures were only partly seen."""
        least = np.minimum(np.array(self.time_shares, np.float64), np.array(self.area_shares, np.float64))
        return least < ENOUGH

    def seen(self, number: int) -> Seen:
        """Return how much of a submission's picture was examined."""
        return Seen(self.time_shares[number], self.area_shares[number])

    def views_of(self, number: int) -> Views:
        """Return which view each vector of a submission belongs to."""
        frames, parts = self.frames[number], self.parts[number]
        return Views(frames, parts, int(self.views[number]) // (frames * parts), bool(self.is_tall[number]))


@dataclass(frozen=True, slots=True)
class ArchivedSubmission:
    """What reports show of a submission."""

    id: str
    reference: str
    #: As in the message; None if the picture came inside the message.
    source: dict[str, Any] | None


def count(session: Session, span: Span) -> int:
    """Return the number of decisions: at least that of submissions, and cheap enough for a progress bar."""
    return session.scalar(select(func.count()).select_from(DecisionRow).where(*_within(span))) or 0


def stream(session: Session, span: Span, model_digest: str) -> Iterator[ArchiveChunk]:
    """Yield every submission decided within the span, `CHUNK` at a time, in no particular order.

    Of several decisions about a submission the newest counts. Other statements may run between chunks.
    """
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        # PostgreSQL plans a cursor for its first rows; this one reads all of them.
        connection.execute(text("SET LOCAL cursor_tuple_fraction = 1"))
        if count_up_to(session, SHORT, *_within(span)) <= SHORT:
            # Whatever the planner estimates: a day must not read the vectors of the whole archive.
            for method in ("hashjoin", "mergejoin", "seqscan"):
                connection.execute(text(f"SET LOCAL enable_{method} = off"))
    # Bypass the session, whose rows cost half as much again.
    result = connection.execute(_archived(span, model_digest), execution_options={"yield_per": CHUNK})
    # Not a loop or `partitions`, which would keep a chunk in memory while the next is read.
    return map(_chunk, iter(lambda: result.fetchmany(CHUNK), []))


def find(session: Session, submission_ids: Sequence[str]) -> dict[str, ArchivedSubmission]:
    """Return those of these submissions that exist, by id."""
    query = select(SubmissionRow.id, SubmissionRow.reference, SubmissionRow.source)
    found: dict[str, ArchivedSubmission] = {}
    for start in range(0, len(submission_ids), CHUNK):
        ids = submission_ids[start : start + CHUNK]
        for row in session.execute(query.where(SubmissionRow.id.in_(ids))):
            found[row.id] = ArchivedSubmission(*row)
    return found


def _archived(span: Span, model_digest: str) -> Select[Any]:
    later = aliased(DecisionRow)
    superseded = exists().where(later.submission_id == DecisionRow.submission_id, later.id > DecisionRow.id)
    if span.policy is not None:
        # An expression, so that SQLite uses the index by submission: by policy it would read every decision.
        superseded = superseded.where(func.coalesce(later.policy, "") == span.policy)
    judged = exists().where(VerdictRow.submission_id == DecisionRow.submission_id, verdicts.in_force())
    embedded = and_(EmbeddingRow.sha256 == DecisionRow.sha256, EmbeddingRow.model_digest == model_digest)
    return (
        select(
            DecisionRow.id,
            DecisionRow.submission_id,
            cast(extract("epoch", DecisionRow.created_at), Float),
            read_as(DecisionRow.action, String),
            DecisionRow.sha256,
            judged,
            EmbeddingRow.frames,
            EmbeddingRow.parts,
            EmbeddingRow.height > EmbeddingRow.width,
            EmbeddingRow.time_share,
            EmbeddingRow.area_share,
            EmbeddingRow.dimension,
            EmbeddingRow.vectors,
        )
        .outerjoin(EmbeddingRow, embedded)
        .where(*_within(span), ~superseded)
    )


def _within(span: Span) -> list[ColumnElement[bool]]:
    of_policy = [] if span.policy is None else [DecisionRow.policy == span.policy]
    return [DecisionRow.created_at >= span.since, *of_policy]


def _chunk(rows: Sequence[Any]) -> ArchiveChunk:
    stored = [row for row in rows if row[-1] is not None]
    undecoded = sum(row[4] is None for row in rows)
    columns = zip(*stored, strict=True) if stored else ((),) * 13
    ids, submission_ids, decided_at, actions, sha256s, has_verdict, *picture, dimensions, vectors = columns
    frames, parts, is_tall, time_shares, area_shares = picture
    sizes = np.fromiter(map(len, vectors), np.intp, len(vectors))
    flat = np.frombuffer(b"".join(vectors), "<f2")
    return ArchiveChunk(
        undecoded=undecoded,
        of_other_models=len(rows) - len(stored) - undecoded,
        decision_ids=ids,
        submission_ids=submission_ids,
        decided_at=np.array(decided_at, np.float64),
        actions=actions,
        sha256s=sha256s,
        has_verdict=np.array(has_verdict, np.bool_),
        frames=frames,
        parts=parts,
        is_tall=is_tall,
        time_shares=time_shares,
        area_shares=area_shares,
        views=sizes // (flat.itemsize * np.array(dimensions, np.intp)),
        vectors=flat.reshape(-1, dimensions[0]) if stored else np.empty((0, 0), "<f2"),
    )
