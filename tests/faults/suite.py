"""Collects all faults, and runs them on a database."""

from collections.abc import Callable, Sequence
from pathlib import Path

from faults import broker, callbacks, databases, messages, pictures, policies, sources, workers
from faults.fault import FAULTS, Case, Fault, Outcome, inject, settle
from faults.scene import set_scene

#: In the order of the table; importing a family registers its faults.
FAMILIES = (workers, broker, databases, messages, pictures, policies, sources, callbacks)


def chosen(words: Sequence[str]) -> list[Fault]:
    """Return the faults with one of the words in their name; all of them if there are no words."""
    found = [one for one in FAULTS if not words or any(word.lower() in one.name.lower() for word in words)]
    order = [family.__name__ for family in FAMILIES]
    return sorted(found, key=lambda one: order.index(one.inject.__module__))


def run_on(  # noqa: PLR0913 - the last three all have a name
    database: str,
    faults: Sequence[Fault],
    folder: Path,
    *,
    rounds: int | None = None,
    announce: Callable[[str], None] = lambda _: None,
    done: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Inject the faults one after another, and return their outcomes."""
    outcomes: list[Outcome] = []
    wanted = [one for one in faults if database in one.databases]
    scenes = 0
    while wanted:
        announce(f"setting up the environment on {database}")
        scenes += 1
        cases: list[Case] = []
        with set_scene(database, folder / f"{database}-{scenes}") as scene:
            # A failure that does not heal must not affect the next fault.
            while wanted and not any(case.outcome.is_failure for case in cases):
                one = wanted.pop(0)
                cases.append(inject(one, scene, rounds or one.rounds, announce))
                done(cases[-1].outcome)
            announce(f"waiting for Redis to be empty, {database}")
            settle(cases, scene)
        outcomes += [outcome for case in cases for outcome in case.outcomes]
    return outcomes
