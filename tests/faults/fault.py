"""A fault: what is done to the scene, how often, and the judgement of its oracle."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import redis
from faults.load import Load
from faults.oracle import Findings, examine
from faults.scene import POSTGRESQL, SQLITE, Scene
from support.deployment import wait_for

from worker.store.engine.tables import SubmissionRow

#: Inflicts the fault on a load; after its `yield`, when the oracle holds, it may claim more.
Infliction = Callable[[Scene, Load], Iterator[None]]
#: Redis delivers what a killed worker had in hand after 60 s; after 300 s more where the worker died while it
#: held kombu's lock on doing so.
REST_SECONDS = 400
SLOW_REST_SECONDS = 100
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
    #: Submissions that the ledger put on the queue again, and those in the hands of a worker that died.
    published_again: int = 0
    crashed: int = 0
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


@dataclass
class Case:
    """A fault that was inflicted: its loads, and what is known of them so far."""

    fault: Fault
    outcome: Outcome
    #: Of messages that were on the queue alone, which Celery on Redis may lose.
    bare: Outcome
    loads: list[Load] = field(default_factory=list)

    @property
    def outcomes(self) -> list[Outcome]:
        return [self.outcome, self.bare] if self.bare.submitted else [self.outcome]


def inflict(one: Fault, scene: Scene, rounds: int, tell: Callable[[str], None]) -> Case:
    """Inflict a fault so often, and wait each time until the database says that all is well again."""
    case = Case(one, Outcome(one.name, scene.kind), Outcome(one.name + BARE, scene.kind, verdict="known gap"))
    departed = len(scene.crew.departures)
    for n in range(1 if one.without_pause else rounds):
        tell(f"{one.name}, {scene.kind}" + ("" if one.without_pause else f", round {n + 1} of {rounds}"))
        case.loads.append(Load(scene, f"{_slug(one.name)}-{n}", rounds if one.without_pause else 1))
        _inflict_once(one, case.loads[-1], case.outcome)
        if case.outcome.verdict != "holds":
            break
    if left := scene.crew.departures[departed:]:
        codes = ", ".join(sorted({str(departure.exit_code) for departure in left}))
        case.outcome.notes.append(f"{len(left)} workers left by themselves, exit code {codes}")
    return case


def settle(cases: Sequence[Case], scene: Scene) -> None:
    """Wait until Redis has delivered again all that it holds for the dead; then let the oracle judge it all.

    Once for all faults: what a killed worker had not acknowledged is in nobody's way until then.
    """
    loads = [load for case in cases for load in case.loads]
    started = time.monotonic()
    with suppress(AssertionError, redis.RedisError):
        wait_for(
            lambda: not any(sum(load.in_redis()) for load in loads),
            what="Redis to rest",
            seconds=REST_SECONDS,
        )
    if (waited := time.monotonic() - started) > SLOW_REST_SECONDS:
        cases[-1].outcome.notes.append(f"Redis kept messages of the dead for {waited:.0f} s more")
    time.sleep(1)
    for case in cases:
        for load in case.loads:
            _judge(case, load)


def _inflict_once(one: Fault, load: Load, outcome: Outcome) -> None:
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


def _judge(case: Case, load: Load) -> None:
    """Add what became of a load in the end."""
    facts = load.facts(with_redis=True)
    if facts is None:
        case.outcome.verdict = "broken"
        case.outcome.notes.append("Redis or the database did not come back")
        return
    findings = examine(facts, load.expectation)
    if case.outcome.verdict == "holds" and not findings.hold:
        case.outcome.verdict = _verdict(findings)
        case.outcome.notes.append(f"healed, but in the end: {findings}")
    decided = {decision.submission_id for decision in facts.decisions}
    outcome, bare = case.outcome, case.bare
    outcome.submitted += len({*load.promised, *load.refused})
    outcome.decided += len(decided - load.bare)
    outcome.lost += len(findings.lost)
    outcome.doubled += len(findings.doubled)
    outcome.published_again += load.count_rows(SubmissionRow.published_again > 0)
    outcome.crashed += load.count_rows(SubmissionRow.crashes > 0)
    bare.rounds = outcome.rounds
    bare.submitted += len(load.bare)
    bare.decided += len(decided & load.bare)
    bare.lost += len(findings.gone)


def _verdict(findings: Findings) -> str:
    return "lost" if findings.lost else "doubled" if findings.doubled else "stuck"


def _slug(name: str) -> str:
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
