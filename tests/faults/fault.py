"""A fault: what is done to the scene, how often, and the judgement of its oracle."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from faults.load import Load
from faults.oracle import Findings, examine
from faults.scene import POSTGRESQL, SQLITE, Scene

#: Inflicts the fault on a load; after its `yield`, when the oracle holds, it may claim more.
Infliction = Callable[[Scene, Load], Iterator[None]]
BOTH = (SQLITE, POSTGRESQL)
FAULTS: list["Fault"] = []
#: Names the row of what Celery on Redis itself may lose.
BARE = ": bare messages"


class Skipped(Exception):  # noqa: N818 - not an error
    """This fault cannot be had here; the message says why."""


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    name: str
    inflict: Infliction
    rounds: int = 1
    databases: tuple[str, ...] = BOTH
    #: Whether the rounds follow each other under one load, without waiting for the oracle in between.
    without_pause: bool = False
    patience_seconds: float = 150


@dataclass
class Outcome:
    """What came of a fault on one database."""

    fault: str
    database: str
    rounds: int = 0
    submitted: int = 0
    decided: int = 0
    lost: int = 0
    doubled: int = 0
    #: Of the slowest round.
    seconds_to_heal: float | None = None
    #: holds, lost, doubled, stuck, broken (another claim of the fault does not hold), known gap, skipped.
    verdict: str = "holds"
    notes: list[str] = field(default_factory=list)

    @property
    def is_failure(self) -> bool:
        return self.verdict not in {"holds", "known gap", "skipped"}


def fault(name: str, **options: object) -> Callable[[Infliction], Infliction]:
    """Enter a fault into the list."""

    def enter(inflict: Infliction) -> Infliction:
        FAULTS.append(Fault(name, inflict, **options))
        return inflict

    return enter


def run(one: Fault, scene: Scene, rounds: int, tell: Callable[[str], None] = lambda _: None) -> list[Outcome]:
    """Inflict a fault so often; return its row, and another for bare messages where there were any."""
    outcome, bare = Outcome(one.name, scene.kind), Outcome(one.name + BARE, scene.kind, verdict="known gap")
    departed = len(scene.crew.departures)
    for n in range(1 if one.without_pause else rounds):
        tell(f"{one.name}, {scene.kind}" + ("" if one.without_pause else f", round {n + 1} of {rounds}"))
        load = Load(scene, f"{_slug(one.name)}-{n}", rounds if one.without_pause else 1)
        _run_round(one, load, outcome)
        _count(load, outcome, bare)
        if outcome.verdict != "holds":
            break
    if left := scene.crew.departures[departed:]:
        codes = ", ".join(sorted({str(departure.exit_code) for departure in left}))
        outcome.notes.append(f"{len(left)} workers left by themselves, exit code {codes}")
    return [outcome, bare] if bare.submitted else [outcome]


def _run_round(one: Fault, load: Load, outcome: Outcome) -> None:
    inflicting = one.inflict(load.scene, load)
    try:
        load.scene.crew.wait_until_ready()
        next(inflicting)
        outcome.rounds += max(1, len(load.struck))
        findings, seconds = load.wait_for_oracle(one.patience_seconds)
        if not findings.hold:
            outcome.verdict = _verdict(findings)
            outcome.notes.append(str(findings))
            return
        seconds = load.slowest_round() if one.without_pause else seconds
        outcome.seconds_to_heal = max(outcome.seconds_to_heal or 0, seconds)
        next(inflicting, None)
    except Skipped as reason:
        outcome.verdict = "skipped"
        outcome.notes.append(str(reason))
    except Exception as problem:  # noqa: BLE001 - one fault's mishap is a row of the table; the others go on
        outcome.verdict = "broken"
        outcome.notes.append(f"{type(problem).__name__}: {problem}".partition("\n")[0])
    finally:
        inflicting.close()
        outcome.notes += [note for note in load.notes if note not in outcome.notes]


def _count(load: Load, outcome: Outcome, bare: Outcome) -> None:
    """Add what became of a load, as it is now."""
    facts = load.facts()
    if facts is None:
        return
    findings = examine(facts, load.expectation)
    decided = {decision.submission_id for decision in facts.decisions}
    outcome.submitted += len({*load.promised, *load.refused})
    outcome.decided += len(decided - load.bare)
    outcome.lost += len(findings.lost)
    outcome.doubled += len(findings.doubled)
    bare.rounds = outcome.rounds
    bare.submitted += len(load.bare)
    bare.decided += len(decided & load.bare)
    bare.lost += len(findings.gone)


def _verdict(findings: Findings) -> str:
    return "lost" if findings.lost else "doubled" if findings.doubled else "stuck"


def _slug(name: str) -> str:
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
