"""What a run finds out, and where the time of one picture goes: plain numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

#: Decisions that span less of their window came all at once, and say nothing of how fast they follow.
_LEAST_SPAN: Final = 0.5


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured."""

    processor: str
    #: Processors that this process may use; a container's share need not be a whole number.
    cores: float
    #: Memory that is free for more; None where the system does not say.
    free_bytes: int | None
    #: Whether the processor multiplies these numbers in hardware.
    has_bfloat16: bool
    has_int8: bool


@dataclass(frozen=True, slots=True)
class TowerCost:
    """What one picture costs in the picture tower alone."""

    precision: str
    batch_size: int
    core_ms: float


@dataclass(frozen=True, slots=True)
class Alone:
    """Each part of the work with nothing else running, in core-milliseconds a picture."""

    #: As it is configured.
    tower: TowerCost
    #: In other batch sizes, and in the other precision where the processor has it.
    other_towers: tuple[TowerCost, ...]
    decode: float
    score: float
    #: Claim, read the file and record, without the score.
    store: float


@dataclass(frozen=True, slots=True)
class FullLoad:
    """What a worker does while there is always more to do."""

    rate: float
    #: Decisions that were counted, in so many seconds.
    pictures: int
    seconds: float
    #: How many submissions one message carried.
    per_message: int
    #: Processor time of the worker's process and of its decoders; None where the system does not say.
    worker_core_ms: float | None
    decoders_core_ms: float | None
    #: What this command used to send pictures and to look for decisions.
    sender_core_ms: float
    #: Time in which processors had nothing to do; None where the system does not say.
    idle_core_ms: float | None
    #: How many pictures shared a pass through the model, on average; 0 where there was no pass.
    pictures_a_pass: float


@dataclass(frozen=True, slots=True)
class PacedLoad:
    """What uploads wait at a part of the full load."""

    #: Pictures a second, on average, that were sent at random moments.
    rate: float
    pictures: int
    #: From enqueue to decision committed.
    median_seconds: float
    p95_seconds: float
    #: Mean milliseconds of each stage inside the worker, waiting for its turn included.
    stages: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PeakMemory:
    """The largest resident memory that was seen."""

    worker_bytes: int
    #: All decoders together.
    decoders_bytes: int
    decoders: int


@dataclass(frozen=True, slots=True)
class Configured:
    """The settings that advice is about."""

    precision: str
    batch_size: int
    passes: int
    #: 0 where it follows from the others.
    concurrency: int
    #: Whether the model is a copy in int8.
    is_int8: bool = False
    #: Whether it is computed on the processor.
    on_processor: bool = True

    def jobs_for(self, batch_size: int) -> int:
        """Return how many jobs in hand keep passes of this size busy: one batch for each, and one more."""
        return batch_size * (self.passes + 1)


@dataclass(frozen=True, slots=True)
class Figures:
    """All that a run finds out."""

    machine: Machine
    configured: Configured
    alone: Alone
    single: FullLoad
    many: FullLoad
    paced: PacedLoad
    repeats: FullLoad
    #: None where the system does not say.
    memory: PeakMemory | None
    #: Pictures that were sent, all of which were decided; and those among them that could not be judged.
    decided: int
    unjudged: int


@dataclass(frozen=True, slots=True)
class Part:
    """A share of what one picture costs at full load."""

    name: str
    core_ms: float


def core_ms_a_picture(cores: float, rate: float) -> float:
    """Return what a picture costs where `rate` of them a second keep this many cores."""
    return 1000 * cores / rate


def parts(figures: Figures) -> tuple[Part, ...]:
    """Return where the cores' time goes at full load; the parts sum to `core_ms_a_picture`.

    Each part is what it costs alone. Where the system tells processor time, the rest is split: what comes on
    top when all run together, what other programs used, and what was idle. A part can be below 0 where the
    machine was busier while the others were measured.
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
    """Return the time that nobody used while a picture was judged at full load; None where nobody can say.

    Where the system tells the worker's time alone, as in a container with a share of the processors, it is
    all that the worker left.
    """
    load, used = figures.single, used_core_ms(figures.single)
    if used is None:
        return None
    left = core_ms_a_picture(figures.machine.cores, load.rate) - used
    return max(0.0, left if load.idle_core_ms is None else min(left, load.idle_core_ms))


def strangers_core_ms(figures: Figures) -> float:
    """Return the time that other programs used while a picture was judged; 0 where nobody can say."""
    load, used, idle = figures.single, used_core_ms(figures.single), idle_core_ms(figures)
    if used is None or idle is None:
        return 0.0
    total = core_ms_a_picture(figures.machine.cores, load.rate)
    return max(0.0, total - used - idle - load.sender_core_ms)


def used_core_ms(load: FullLoad) -> float | None:
    """Return the processor time that a picture costs in the worker and its decoders together."""
    if load.worker_core_ms is None or load.decoders_core_ms is None:
        return None
    return load.worker_core_ms + load.decoders_core_ms


def rate_of(moments: Sequence[float], began: float, ended: float) -> float:
    """Return events a second between two moments, by the line that fits their number over time best.

    Decisions come in clumps, a pass through the model each; counting those within the window would be wrong
    by up to a clump. Events outside the window are left out.
    """
    inside = np.array([moment for moment in moments if began <= moment <= ended])
    if len(inside) < 2 or inside[-1] - inside[0] < _LEAST_SPAN * (ended - began):
        return len(inside) / (ended - began)
    return float(np.polyfit(inside - began, np.arange(len(inside)), 1)[0])
