"""Workers behind a real PgBouncer that pools transactions decide hundreds of uploads at the first attempt."""

import pytest
from moderation_client import LocalFile
from PIL import Image
from sqlalchemy import func, select
from support.deployment import deploy
from support.pgbouncer import IGNORING_OPTIONS, pgbouncers, running_pgbouncer
from support.pictures import RED, encoded

from worker.store.engine.tables import DecisionRow, SubmissionRow

PROGRAMS = pgbouncers()
UPLOADS = 300


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=list(PROGRAMS))
def test_every_upload_is_decided_once_at_its_first_attempt(
    program, postgres_server, postgres_url, redis_url, tmp_path
):
    with running_pgbouncer(program, postgres_server.folder, IGNORING_OPTIONS) as bouncer:
        deployment = deploy(tmp_path, redis_url, bouncer.in_front_of(postgres_url))
        deployment.save_picture("red.png", encoded(Image.new("RGB", (64, 64), RED), "PNG"))
        with deployment.worker("one"), deployment.worker("two"), deployment.client() as client:
            ids = [client.submit(LocalFile("red.png"), id=f"upload-{n}") for n in range(UPLOADS)]
            assert len(deployment.decided(ids)) == UPLOADS
        with deployment.database.reading() as session:
            attempts = session.execute(
                select(SubmissionRow.attempts, func.count()).group_by(SubmissionRow.attempts)
            )
            assert attempts.all() == [(1, UPLOADS)]
            assert session.scalar(select(func.count()).select_from(DecisionRow)) == UPLOADS
        deployment.database.dispose()
    for name in ("one", "two"):
        assert "Traceback" not in (tmp_path / f"{name}.log").read_text()
