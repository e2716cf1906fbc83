"""The fault of policies: one is saved while its uploads are judged, so that two versions live at once."""

import time
from collections.abc import Iterator

from faults.fault import fault
from faults.load import Load
from faults.scene import Scene


@fault("a policy saved five times under load")
def saved(scene: Scene, load: Load) -> Iterator[None]:
    load.versions = 2
    file = scene.deployment.policy_file
    before = file.read_text(encoding="utf-8")
    after = before.replace("review: 0.5", "review: 0.4", 1)
    try:
        with load.flowing():
            load.wait_for_decisions(10)
            for n in range(5):
                load.strike()
                file.write_text(before if n % 2 else after, encoding="utf-8")
                time.sleep(1.5)
    finally:
        file.write_text(before, encoding="utf-8")
    yield
    facts = load.facts()
    assert facts
    digests = {one.policy_digest for one in facts.decisions}
    assert len(digests) == 2, f"{len(digests)} versions judged: the fault shows nothing"
    load.notes.append(f"{len(facts.decisions) - len(facts.states)} judged by both versions")
