"""Every fault there is, and their run on one database after another."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from faults import broker, databases, messages, pictures, policies, workers
from faults.fault import FAULTS, Fault, Outcome, run
from faults.scene import Scene, set_scene

#: In the order of the table; importing a family has entered its faults into the list.
FAMILIES = (workers, broker, databases, messages, pictures, policies)


def chosen(words: Sequence[str]) -> list[Fault]:
    """Return the faults that have one of the words in their name; all of them where there are no words."""
    found = [one for one in FAULTS if not words or any(word.lower() in one.name.lower() for word in words)]
    order = [family.__name__ for family in FAMILIES]
    return sorted(found, key=lambda one: order.index(one.inflict.__module__))


def run_on(  # noqa: PLR0913 - the last three all have a name
    database: str,
    faults: Sequence[Fault],
    folder: Path,
    *,
    rounds: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
    done: Callable[[Sequence[Outcome]], None] = lambda _: None,
) -> list[Outcome]:
    """Inflict the faults one after another; what does not heal is not left to the next one."""
    outcomes: list[Outcome] = []
    scenes = 0
    with ExitStack() as stack:
        scene: Scene | None = None
        for one in (one for one in faults if database in one.databases):
            if scene is None:
                tell(f"setting the scene on {database}")
                scenes += 1
                scene = stack.enter_context(set_scene(database, folder / f"{database}-{scenes}"))
            rows = run(one, scene, rounds or one.rounds, tell)
            outcomes += rows
            done(rows)
            if any(row.is_failure for row in rows):
                stack.close()
                scene = None
    return outcomes
