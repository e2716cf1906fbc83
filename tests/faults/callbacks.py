"""Faults of the platform that is to be told: it fails, hangs, hangs up, and hears of everything in the end."""

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
TELLING_SECONDS = 150


@fault("a platform that answers 500, hangs, and hangs up")
def rude(scene: Scene, load: Load) -> Iterator[None]:
    with platform(load, 500, 503, HANG, DROP, 429, DROP, 200) as receiver:
        load.strike()
        load.accept(SUBMISSIONS)
        yield
        wait_until_told(load)
        require_that_all_is_heard(load, receiver)
        told = len(receiver.ids)
        load.notes.append(f"{told} requests for {len(set(receiver.ids))} events")


@fault("workers killed while they tell the platform", rounds=3, without_pause=True, patience_seconds=200)
def killed_while_telling(scene: Scene, load: Load) -> Iterator[None]:
    with platform(load, 200) as receiver:
        for _ in range(load.rounds):
            workers = scene.crew.wait_until_ready()
            load.accept(SUBMISSIONS)
            before = len(receiver.ids)
            wait_for(lambda before=before: len(receiver.ids) > before + 3, what="the telling to begin")
            load.strike()
            workers[0].strike(9)
        yield
        wait_until_told(load)
        require_that_all_is_heard(load, receiver)


@contextmanager
def platform(load: Load, *answers: int) -> Iterator[Receiver]:
    """Have every decision on the load told to a platform that answers so, the last for ever."""
    with receiving(*answers) as receiver:
        load.callback = WebhookCallback(receiver.url)
        yield receiver


def wait_until_told(load: Load) -> None:
    """Wait until nothing is left to tell."""
    wait_for(
        lambda: not _pending(load),
        what="the platform to hear of everything",
        seconds=TELLING_SECONDS,
    )


def _pending(load: Load) -> int:
    ours = OutboxRow.submission_id.startswith(f"{load.prefix}.", autoescape=True)
    with load.scene.deployment.database.reading() as session:
        return session.scalar(select(func.count()).where(ours, OutboxRow.state != "delivered")) or 0


def require_that_all_is_heard(load: Load, receiver: Receiver) -> None:
    """Fail unless the platform knows of each decision by exactly one event, however often it heard it."""
    heard = set()
    for body in receiver.bodies:
        # Of a worker that was killed while it spoke, half of an event may have come.
        with suppress(ValueError):
            heard.add(json.loads(body)["data"]["submission"])
    assert heard >= set(load.promised), (
        f"{len(heard & set(load.promised))} of {len(load.promised)} were heard"
    )
    assert len(set(receiver.ids)) == len(heard), "a decision was told by more than one event"
