"""A fault: its injection, its rounds, and the verdict of the oracle."""

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

#: Injects the fault during a load; after its `yield`, once the oracle holds, it may assert more.
Injection = Callable[[Scene, Load], Iterator[None]]
#: Redis redelivers the messages of a killed worker after 60 s, and after 300 s more if the worker died while
#: it held kombu's lock on redelivery.
EMPTY_SECONDS = 400
SLOW_EMPTY_SECONDS = 100
BOTH = (SQLITE, POSTGRESQL)
FAULTS: list["Fault"] = []
#: Suffix of the row for messages that Celery on Redis may lose.
BARE = ": bare messages"


class Skipped(Exception):  # noqa: N818 - not an error
    """This fault cannot be injected here; the message says why."""


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    name: str
    inject: Injection
    rounds: int = 1
    databases: tuple[str, ...] = BOTH
    #: Whether all rounds share one load, without waiting for the oracle in between.
    without_pause: bool = False
    patience_seconds: float = 150


@dataclass
class Outcome:
    """The result of a fault on one database."""

    fault: str
    database: str
    rounds: int = 0
    submitted: int = 0
    decided: int = 0
    lost: int = 0
    doubled: int = 0
    #: Submissions that the ledger republished, and those that were claimed by a worker that died.
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


def fault(name: str, **options: object) -> Callable[[Injection], Injection]:
    """Register a fault."""

    def register(inject: Injection) -> Injection:
        FAULTS.append(Fault(name, inject, **options))
        return inject

    return register


@dataclass
class Case:
    """An injected fault: its loads, and their results so far."""

    fault: Fault
    outcome: Outcome
    #: Result for bare messages, which are only on the queue and which Celery on Redis may lose.
    bare: Outcome
    loads: list[Load] = field(default_factory=list)

    @property
    def outcomes(self) -> list[Outcome]:
        return [self.outcome, self.bare] if self.bare.submitted else [self.outcome]


def inject(one: Fault, scene: Scene, rounds: int, announce: Callable[[str], None]) -> Case:
    """Inject a fault `rounds` times, and wait each time until the oracle holds for the database."""
    case = Case(one, Outcome(one.name, scene.kind), Outcome(one.name + BARE, scene.kind, verdict="known gap"))
    exits_before = len(scene.pool.unexpected_exits)
    for n in range(1 if one.without_pause else rounds):
        announce(f"{one.name}, {scene.kind}" + ("" if one.without_pause else f", round {n + 1} of {rounds}"))
        case.loads.append(Load(scene, f"{_slug(one.name)}-{n}", rounds if one.without_pause else 1))
        _inject_once(one, case.loads[-1], case.outcome)
        if case.outcome.verdict != "holds":
            break
    if exits := scene.pool.unexpected_exits[exits_before:]:
        codes = ", ".join(sorted({str(one.exit_code) for one in exits}))
        case.outcome.notes.append(f"{len(exits)} workers exited by themselves, exit code {codes}")
    return case


def settle(cases: Sequence[Case], scene: Scene) -> None:
    """Wait until Redis has redelivered all unacknowledged messages of dead workers; then run the oracle.

    Once for all faults: until then, these messages disturb no other fault.
    """
    loads = [load for case in cases for load in case.loads]
    started = time.monotonic()
    with suppress(AssertionError, redis.RedisError):
        wait_for(
            lambda: not any(sum(load.in_redis()) for load in loads),
            what="Redis to be empty",
            seconds=EMPTY_SECONDS,
        )
    if (waited := time.monotonic() - started) > SLOW_EMPTY_SECONDS:
        cases[-1].outcome.notes.append(f"Redis kept messages of dead workers for {waited:.0f} s more")
    time.sleep(1)
    for case in cases:
        for load in case.loads:
            _judge(case, load)


def _inject_once(one: Fault, load: Load, outcome: Outcome) -> None:
    injection = one.inject(load.scene, load)
    try:
        load.scene.pool.wait_until_ready()
        next(injection)
        outcome.rounds += max(1, len(load.injected_at))
        findings, seconds = load.wait_for_oracle(one.patience_seconds)
        if not findings.hold:
            outcome.verdict = _verdict(findings)
            outcome.notes.append(str(findings))
            return
        seconds = load.slowest_round() if one.without_pause else seconds
        outcome.seconds_to_heal = max(outcome.seconds_to_heal or 0, seconds)
        next(injection, None)
    except Skipped as reason:
        outcome.verdict = "skipped"
        outcome.notes.append(str(reason))
    except Exception as problem:  # noqa: BLE001 - a failing fault is a row of the table; the others go on
        outcome.verdict = "broken"
        outcome.notes.append(f"{type(problem).__name__}: {problem}".partition("\n")[0])
    finally:
        injection.close()  # type: ignore[attr-defined]
        outcome.notes += [note for note in load.notes if note not in outcome.notes]


def _judge(case: Case, load: Load) -> None:
    """Add the final state of a load to the result."""
    facts = load.facts(with_redis=True)
    if facts is None:
        case.outcome.verdict = "broken"
        case.outcome.notes.append("Redis or the database did not recover")
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
