"""Every fault there is, and their run on one database after another."""

from collections.abc import Callable, Sequence
from pathlib import Path

from faults import broker, callbacks, databases, messages, pictures, policies, sources, workers
from faults.fault import FAULTS, Case, Fault, Outcome, inflict, settle
from faults.scene import set_scene

#: In the order of the table; importing a family has entered its faults into the list.
FAMILIES = (workers, broker, databases, messages, pictures, policies, sources, callbacks)


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
    done: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Inflict the faults one after another, and return what came of each."""
    outcomes: list[Outcome] = []
    wanted = [one for one in faults if database in one.databases]
    scenes = 0
    while wanted:
        tell(f"setting the scene on {database}")
        scenes += 1
        cases: list[Case] = []
        with set_scene(database, folder / f"{database}-{scenes}") as scene:
            # What does not heal is not left to the next fault.
            while wanted and not any(case.outcome.is_failure for case in cases):
                one = wanted.pop(0)
                cases.append(inflict(one, scene, rounds or one.rounds, tell))
                done(cases[-1].outcome)
            tell(f"waiting for Redis to rest, {database}")
            settle(cases, scene)
        outcomes += [outcome for case in cases for outcome in case.outcomes]
    return outcomes
