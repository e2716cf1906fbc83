"""Policy faults: policies saved under load, and policies that workers have not loaded yet."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from faults.fault import fault
from faults.load import Load
from faults.scene import Scene
from moderation_client import Submission

from worker.store.engine.tables import SubmissionRow

#: Delay until a file that the web process has loaded reaches the workers.
ROLL_OUT_SECONDS = 8


@fault("a policy saved five times under load")
def saved(scene: Scene, load: Load) -> Iterator[None]:
    file = scene.deployment.policy_file
    before = file.read_text(encoding="utf-8")
    after = before.replace("review: 0.5", "review: 0.4", 1)
    try:
        with load.flowing():
            load.wait_for_decisions(10)
            for n in range(5):
                load.mark_injection()
                file.write_text(before if n % 2 else after, encoding="utf-8")
                time.sleep(1.5)
    finally:
        file.write_text(before, encoding="utf-8")
    yield
    facts = load.facts()
    assert facts
    digests = {one.policy_digest for one in facts.decisions}
    assert len(digests) == 2, f"{len(digests)} versions judged: the fault had no effect"


@fault("a policy not yet loaded", rounds=2)
def not_yet_loaded(scene: Scene, load: Load) -> Iterator[None]:
    """Save one file just before its uploads, and another that the web process loads before the workers."""
    text = scene.deployment.policy_file.read_text(encoding="utf-8")
    policies, elsewhere = scene.deployment.settings.policies, scene.deployment.folder / f"{load.prefix}-web"
    elsewhere.mkdir()
    now, later = f"{load.prefix}-now", f"{load.prefix}-later"
    load.mark_injection()
    _save(policies, now, text)
    load.accept_all(_naming(now, load.submissions(20)))
    _save(elsewhere, later, text)
    load.accept_all(_naming(later, load.submissions(20)), replace(scene.accept, policies=elsewhere))
    load.enqueue(_naming(later, load.submissions(20)))
    load.accept(10)
    time.sleep(ROLL_OUT_SECONDS)
    waiting = load.count_rows(SubmissionRow.error.is_not(None))
    _save(policies, later, text)
    yield
    load.notes.append(f"{waiting} waited for their policy")
    assert waiting == 40, f"{waiting} waited for their policy instead of 40"


def _save(folder: Path, name: str, text: str) -> None:
    named = text.replace("name: stickers", f"name: {name}", 1)
    (folder / f"{name}.yaml").write_text(named, encoding="utf-8")


def _naming(policy: str, submissions: Sequence[Submission]) -> list[Submission]:
    return [replace(one, policy=policy) for one in submissions]
