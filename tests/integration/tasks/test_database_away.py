"""A worker whose PostgreSQL crashes under load waits, keeps every job, and goes on by itself when it is back."""

from moderation_client import InlineBytes
from sqlalchemy import func, select
from support.deployment import Deployment, deploy, wait_for
from support.pictures import drawing, encoded

from worker.store.engine.tables import DecisionRow

CAT = encoded(drawing(40, 40), "PNG")


def count_decisions(deployment: Deployment) -> int:
    with deployment.database.reading() as session:
        return session.scalar(select(func.count(DecisionRow.id))) or 0


def submit(deployment: Deployment, count: int, name: str) -> list[str]:
    with deployment.client() as client:
        return [client.submit(InlineBytes(CAT), id=f"{name}-{n}") for n in range(count)]


def test_while_the_server_is_away_nothing_is_acknowledged_and_afterwards_all_is_decided_once(
    postgres_server, postgres_url, redis_url, tmp_path
):
    deployment = deploy(tmp_path, redis_url, postgres_url)
    log = tmp_path / "worker.log"
    with deployment.worker():
        ids = submit(deployment, 80, "before")
        wait_for(lambda: count_decisions(deployment) >= 1, what="the first decision")
        with postgres_server.stopped():
            later = submit(deployment, 10, "meanwhile")
            # More often than there are threads: some have gone back to the queue and come again.
            wait_for(lambda: log.read_text().count("waiting: ") > 16, what="the worker to wait")
            kept = wait_for(lambda: deployment.unfinished() >= set(later), what="all to be in Redis")
        assert kept
        decided = deployment.decided(ids + later)
        wait_for(lambda: not deployment.unfinished(), what="every message to be acknowledged")
    assert len(decided) == count_decisions(deployment) == len(ids + later)
    deployment.database.dispose()
