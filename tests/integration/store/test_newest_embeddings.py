"""The newest embeddings of a model, from both databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from sqlalchemy import update
from support.store_records import FACTS

from worker.store.decisions import embeddings
from worker.store.engine.tables import EmbeddingRow


def keep(database, number, model_digest, *, frames=1):
    facts = replace(FACTS, sha256=f"{number:064}", frames=frames)
    vectors = np.zeros((frames, 3), np.float32)
    vectors[:, 0] = number
    vectors[1:, 1] = 9
    with database.transaction() as session:
        embeddings.keep(session, model_digest, [(facts, vectors)])
        session.execute(
            update(EmbeddingRow)
            .where(EmbeddingRow.sha256 == facts.sha256)
            .values(created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number))
        )


def newest(database, model_digest, limit):
    with database.reading() as session:
        return embeddings.newest(session, model_digest, limit)


def test_the_newest_of_this_model_come_first_and_no_more_than_asked_for(database):
    for number in (3, 1, 4, 2):
        keep(database, number, "a" * 64)
    keep(database, 5, "b" * 64)

    found = newest(database, "a" * 64, 3)

    assert found[:, 0].tolist() == [4, 3, 2]
    assert (found.shape, found.dtype) == ((3, 3), np.float32)


def test_an_animated_picture_is_there_with_its_first_frame(database):
    keep(database, 1, "a" * 64, frames=4)
    assert newest(database, "a" * 64, 10).tolist() == [[1, 0, 0]]


def test_there_may_be_none(database):
    assert len(newest(database, "a" * 64, 10)) == 0
