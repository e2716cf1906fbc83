"""Picture faults: pictures that kill, hang or bloat the decoder, the worker, or a batch of the model."""

from collections.abc import Iterator

from faults.fault import fault
from faults.load import PICTURE, Load
from faults.scene import Scene
from faults.worker_process import TOO_MUCH
from PIL import Image
from sqlalchemy import select
from support.pictures import encoded
from support.poisoned_child import poisoned

from worker.store.decisions import decisions
from worker.store.engine.tables import DecisionRow, ReviewRow

NEIGHBOURS = 30
POISONS = ("segfault", "kill", "exit", "hang", "bloat", "babble")


@fault("pictures that kill, hang and bloat the decoder")
def poison(scene: Scene, load: Load) -> Iterator[None]:
    load.accept(NEIGHBOURS)
    load.mark_injection()
    bad = [one for kind in POISONS for one in load.accept(1, "poison", poisoned(PICTURE, kind))]
    load.accept(NEIGHBOURS)
    yield
    unjudged = _unjudged(load)
    assert set(unjudged) == set(bad), f"not judged: {sorted(unjudged)}"


@fault("a picture that kills every worker", patience_seconds=240)
def kills_workers(scene: Scene, load: Load) -> Iterator[None]:
    load.accept(NEIGHBOURS)
    load.mark_injection()
    (killer,) = load.accept(1, "die-judging-99")
    load.accept(NEIGHBOURS)
    yield
    unjudged = _unjudged(load)
    assert set(unjudged) == {killer}, f"not judged: {sorted(unjudged)}"
    died = len(list(scene.pool.notes.glob(f"{killer}.*")))
    load.notes.append(f"{died} workers died, then: {unjudged[killer]}")
    assert died == 3, f"{died} workers died instead of 3"
    assert _review_kinds(scene, killer) == ["quarantine"]


@fault("a picture too large for the model's memory, in a batch")
def out_of_memory(scene: Scene, load: Load) -> Iterator[None]:
    culprit = encoded(Image.new("RGB", (96, 96), TOO_MUCH), "PNG")
    load.accept(NEIGHBOURS)
    load.mark_injection()
    (bad,) = load.accept(1, "memory", culprit)
    load.accept(NEIGHBOURS)
    yield
    unjudged = _unjudged(load)
    assert set(unjudged) == {bad}, f"not judged: {sorted(unjudged)}"


def _unjudged(load: Load) -> dict[str, str]:
    """Return the ids of decisions without scores, and their reasons."""
    with load.scene.deployment.database.reading() as session:
        made = decisions.of_submissions(session, list(load.promised))
    return {one.submission_id: one.reason for one in made if not one.scores}


def _review_kinds(scene: Scene, submission_id: str) -> list[str]:
    query = (
        select(ReviewRow.kind)
        .join(DecisionRow, DecisionRow.id == ReviewRow.decision_id)
        .where(DecisionRow.submission_id == submission_id)
    )
    with scene.deployment.database.reading() as session:
        return list(session.scalars(query))
