"""Source faults: while a source is unavailable, its pictures wait undecided, and others are decided."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from faults.fault import fault
from faults.load import PICTURE, Load
from faults.scene import Scene
from moderation_client import InlineBytes, StoredObject, Submission
from sqlalchemy import select
from support.deployment import wait_for

from worker.store.decisions import decisions
from worker.store.engine.tables import DecisionRow, SubmissionRow

PICTURES = 30
#: Longer than three attempts at a picture whose own server fails.
DOWN_SECONDS = 20


@fault("source store away: S3 says that our clock is skewed")
def skewed(scene: Scene, load: Load) -> Iterator[None]:
    stored = _stored(scene, load)
    load.mark_injection()
    scene.s3.refuses_all = (403, "RequestTimeTooSkewed")
    try:
        load.accept_all(stored)
        _others_go_on(load, {one.id for one in stored})
    finally:
        scene.s3.refuses_all = None
    yield
    _require_judgement(load)


@fault("source store away: the media root unmounted and mounted again")
def unmounted(scene: Scene, load: Load) -> Iterator[None]:
    on_disk = load.submissions(PICTURES)
    load.mark_injection()
    with _unmounted(scene):
        load.accept_all(on_disk)
        _others_go_on(load, {one.id for one in on_disk})
    yield
    _require_judgement(load)


@contextmanager
def _unmounted(scene: Scene) -> Iterator[None]:
    """Leave an empty folder at the media root, like a mount point without its mount."""
    root = scene.deployment.settings.media_root
    aside = root.rename(root.with_name("media-aside"))
    root.mkdir()
    try:
        yield
    finally:
        root.rmdir()
        aside.rename(root)


def _stored(scene: Scene, load: Load) -> list[Submission]:
    """Store objects, and return submissions of them."""
    made = []
    for n in range(PICTURES):
        submission_id = f"{load.prefix}.stored.{n}"
        scene.s3.objects[f"uploads/{submission_id}.png"] = PICTURE + submission_id.encode()
        made.append(Submission(submission_id, StoredObject("uploads", f"{submission_id}.png")))
    return made


def _others_go_on(load: Load, held_up: set[str]) -> None:
    """Fail unless pictures from other sources are decided, and those held up only wait."""
    until, sent = time.monotonic() + DOWN_SECONDS, 0
    while time.monotonic() < until:
        names = [f"{load.prefix}.inline.{sent + n}" for n in range(5)]
        sent += len(names)
        load.accept_all([Submission(name, InlineBytes(PICTURE + name.encode())) for name in names])
        wait_for(
            lambda names=names: _decided(load) >= set(names), what="pictures from other sources", seconds=30
        )
        assert not _decided(load) & held_up, "a picture that could not be read is decided"
        time.sleep(1)
    wait_for(
        lambda: load.count_rows(SubmissionRow.waits_for.is_not(None)) == len(held_up),
        what="the ledger to record what they wait for",
        seconds=30,
    )
    load.notes.append(f"{sent} pictures from other sources were decided during the outage")


def _decided(load: Load) -> set[str]:
    query = select(DecisionRow.submission_id).where(DecisionRow.submission_id.in_(load.promised))
    with load.scene.deployment.database.reading() as session:
        return set(session.scalars(query))


def _require_judgement(load: Load) -> None:
    """Fail unless every picture was judged by its content."""
    with load.scene.deployment.database.reading() as session:
        made = decisions.of_submissions(session, list(load.promised))
    unjudged = {one.submission_id: one.reason for one in made if not one.scores}
    assert not unjudged, f"not judged: {unjudged}"
    assert not load.count_rows(SubmissionRow.waits_for.is_not(None))
