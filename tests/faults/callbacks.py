"""Callback faults: the platform fails, hangs or hangs up, and receives every event in the end."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from faults.fault import fault
from faults.load import Load
from faults.scene import Scene
from moderation_client.callback import WebhookCallback
from sqlalchemy import func, select
from support.deployment import wait_for
from support.receiver import DROP, HANG, Receiver, receiving

from worker.store.engine.tables import OutboxRow

SUBMISSIONS = 20
DELIVERY_SECONDS = 150


@fault("a platform that answers 500, hangs, and hangs up")
def unreliable(scene: Scene, load: Load) -> Iterator[None]:
    with platform(load, 500, 503, HANG, DROP, 429, DROP, 200) as receiver:
        load.mark_injection()
        load.accept(SUBMISSIONS)
        yield
        wait_until_delivered(load)
        require_all_delivered(load, receiver)
        load.notes.append(f"{len(receiver.ids)} requests for {len(set(receiver.ids))} events")


@fault("workers killed while they notify the platform", rounds=3, without_pause=True, patience_seconds=200)
def killed_while_notifying(scene: Scene, load: Load) -> Iterator[None]:
    with platform(load, 200) as receiver:
        for _ in range(load.rounds):
            workers = scene.pool.wait_until_ready()
            load.accept(SUBMISSIONS)
            before = len(receiver.ids)
            wait_for(lambda before=before: len(receiver.ids) > before + 3, what="deliveries to begin")
            load.mark_injection()
            workers[0].send_signal(9)
        yield
        wait_until_delivered(load)
        require_all_delivered(load, receiver)


@contextmanager
def platform(load: Load, *answers: int) -> Iterator[Receiver]:
    """Send the callbacks of the load to a platform that gives these answers, the last one repeatedly."""
    with receiving(*answers) as receiver:
        load.callback = WebhookCallback(receiver.url)
        yield receiver


def wait_until_delivered(load: Load) -> None:
    """Wait until every event is delivered."""
    wait_for(
        lambda: not _pending(load),
        what="every event to be delivered",
        seconds=DELIVERY_SECONDS,
    )


def _pending(load: Load) -> int:
    ours = OutboxRow.submission_id.startswith(f"{load.prefix}.", autoescape=True)
    with load.scene.deployment.database.reading() as session:
        return session.scalar(select(func.count()).where(ours, OutboxRow.state != "delivered")) or 0


def require_all_delivered(load: Load, receiver: Receiver) -> None:
    """Fail unless the platform received exactly one event for each decision, however often it was sent."""
    received = set()
    for body in receiver.bodies:
        # A worker that was killed during a delivery may have sent half an event.
        with suppress(ValueError):
            received.add(json.loads(body)["data"]["submission"])
    assert received >= set(load.promised), (
        f"{len(received & set(load.promised))} of {len(load.promised)} were received"
    )
    assert len(set(receiver.ids)) == len(received), "a decision has more than one event"
