"""The figures of a run, and the breakdown of what one picture costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

#: Decisions that span a smaller share of their window came in one burst, which has no rate.
_LEAST_SPAN: Final = 0.5


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that was measured."""

    processor: str
    #: Processors that this process may use; fractional if a container has a CPU quota.
    cores: float
    #: Free memory; None if the system does not report it.
    free_bytes: int | None
    #: Whether the processor has instructions for this number format.
    has_bfloat16: bool
    has_int8: bool


@dataclass(frozen=True, slots=True)
class TowerCost:
    """The cost of one picture in the picture tower."""

    precision: str
    batch_size: int
    core_ms: float


@dataclass(frozen=True, slots=True)
class Alone:
    """The cost of each part of the work, measured in isolation, in core-milliseconds a picture."""

    #: As configured.
    tower: TowerCost
    #: In other batch sizes, and in the other precision if the processor supports it.
    other_towers: tuple[TowerCost, ...]
    decode: float
    score: float
    #: Claim, read the file and record, without the score.
    store: float


@dataclass(frozen=True, slots=True)
class FullLoad:
    """What a worker does while its queue is never empty."""

    rate: float
    #: Decisions that were counted, and the seconds in which they were made.
    pictures: int
    seconds: float
    #: Submissions in one message.
    per_message: int
    #: Processor time of the worker process and of its decoders; None if the system does not report it.
    worker_core_ms: float | None
    decoders_core_ms: float | None
    #: Processor time that this command used to send pictures and to poll for decisions.
    sender_core_ms: float
    #: Idle time of the processors; None if the system does not report it.
    idle_core_ms: float | None
    #: The mean batch size of a pass through the model; 0 if there was no pass.
    pictures_a_pass: float


@dataclass(frozen=True, slots=True)
class PacedLoad:
    """Latency at a fraction of the full load."""

    #: Pictures a second, on average; they arrive at random moments.
    rate: float
    pictures: int
    #: From enqueue to committed decision.
    median_seconds: float
    p95_seconds: float
    #: Mean milliseconds of each stage inside the worker, including queueing.
    stages: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PeakMemory:
    """The peak resident memory."""

    worker_bytes: int
    #: The sum over all decoders.
    decoders_bytes: int
    decoders: int


@dataclass(frozen=True, slots=True)
class Configured:
    """The settings that the advice depends on."""

    precision: str
    batch_size: int
    passes: int
    #: 0 if it is derived from the others.
    concurrency: int
    #: Whether the model is an int8 export.
    is_int8: bool = False
    #: Whether the model runs on the CPU.
    on_processor: bool = True

    def jobs_for(self, batch_size: int) -> int:
        """Return how many threads keep passes of this batch size full: a batch for each, and one more."""
        return batch_size * (self.passes + 1)


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of a run."""

    machine: Machine
    configured: Configured
    alone: Alone
    single: FullLoad
    many: FullLoad
    paced: PacedLoad
    repeats: FullLoad
    #: None if the system does not report it.
    memory: PeakMemory | None
    #: Pictures that were decided, and those among them that could not be judged.
    decided: int
    unjudged: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the cost of one picture at full load."""

    name: str
    core_ms: float


def core_ms_a_picture(cores: float, rate: float) -> float:
    """Return the cost of a picture if `rate` of them a second occupy all `cores`."""
    return 1000 * cores / rate


def parts(figures: Figures) -> tuple[Part, ...]:
    """Return the breakdown of the cores' time at full load; the parts sum to `core_ms_a_picture`.

    The cost of each part is measured in isolation. If the system reports processor time, the remainder is
    split into overhead of running all parts at once, time of other programs, and idle time. A part can be
    negative if the machine was busier while the others were measured.
    """
    alone, load = figures.alone, figures.single
    total = core_ms_a_picture(figures.machine.cores, load.rate)
    known = (
        Part("tower", alone.tower.core_ms),
        Part("decode", alone.decode),
        Part("score", alone.score),
        Part("store", alone.store),
    )
    accounted = sum(part.core_ms for part in known)
    used = used_core_ms(load)
    if used is None:
        return (*known, Part("rest", total - accounted))
    idle = idle_core_ms(figures) or 0.0
    return (
        *known,
        Part("rest", used - accounted),
        Part("others", total - used - idle),
        Part("idle", idle),
    )


def idle_core_ms(figures: Figures) -> float | None:
    """Return the idle time per picture at full load; None if unknown.

    If the system reports only the worker's time, as in a container with a CPU quota, everything that the
    worker did not use counts as idle.
    """
    load, used = figures.single, used_core_ms(figures.single)
    if used is None:
        return None
    left = core_ms_a_picture(figures.machine.cores, load.rate) - used
    return max(0.0, left if load.idle_core_ms is None else min(left, load.idle_core_ms))


def other_programs_core_ms(figures: Figures) -> float:
    """Return the time that other programs used per picture; 0 if unknown."""
    load, used, idle = figures.single, used_core_ms(figures.single), idle_core_ms(figures)
    if used is None or idle is None:
        return 0.0
    total = core_ms_a_picture(figures.machine.cores, load.rate)
    return max(0.0, total - used - idle - load.sender_core_ms)


def used_core_ms(load: FullLoad) -> float | None:
    """Return the processor time per picture of the worker and its decoders; None if unknown."""
    if load.worker_core_ms is None or load.decoders_core_ms is None:
        return None
    return load.worker_core_ms + load.decoders_core_ms


def rate_of(moments: Sequence[float], began: float, ended: float) -> float:
    """Return events a second between two moments, from a linear fit of their count over time.

    Decisions come in bursts, one for each pass through the model, so plain counting would be wrong by up to
    one burst. Events outside the window are ignored.
    """
    inside = np.array([moment for moment in moments if began <= moment <= ended])
    if len(inside) < 2 or inside[-1] - inside[0] < _LEAST_SPAN * (ended - began):
        return len(inside) / (ended - began)
    return float(np.polyfit(inside - began, np.arange(len(inside)), 1)[0])
