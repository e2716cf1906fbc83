"""Recommends settings from the figures of a run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from worker.bench.figures import (
    Figures,
    core_ms_a_picture,
    idle_core_ms,
    other_programs_core_ms,
    used_core_ms,
)

#: A smaller gain is no reason to change a setting: another run may show the opposite.
_WORTH: Final = 1.05
#: A part that takes at least this share of a picture's cost is the bottleneck.
_BOTTLENECK: Final = 0.4
#: If at least this share of the cores' time is idle, there is room for more work.
_ROOM: Final = 0.15
#: The share of the free memory that further workers may take.
_MEMORY_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Advice:
    """A setting or an action, and the reason for it."""

    what: str
    why: str


def advise(figures: Figures) -> list[Advice]:
    """Return advice that makes this machine faster; a note if nothing would."""
    found = [
        *_quiet(figures),
        *_precision(figures),
        *_batch_size(figures),
        *_concurrency(figures),
        *_decoders(figures),
    ]
    found += [*_int8(figures), *_decoding(figures), *_store(figures), *_messages(figures)]
    # If other programs use the cores, the figures do not show whether another worker has room.
    found += [] if _share_of_other_programs(figures) > _ROOM else _processes(figures)
    return found or [Advice("nothing", "none of the settings that were tried is better than yours.")]


def _quiet(figures: Figures) -> Iterator[Advice]:
    share, rate = _share_of_other_programs(figures), figures.single.rate
    if share > _ROOM:
        yield Advice(
            "measure on a quiet machine",
            f"other programs used {share:.0%} of the cores' time under full load; without them it might be "
            f"about {rate / (1 - share):.1f} pictures a second instead of {rate:.1f}.",
        )


def _precision(figures: Figures) -> Iterator[Advice]:
    tower = figures.alone.tower
    for other in figures.alone.other_towers:
        saved = tower.core_ms - other.core_ms
        if other.precision == tower.precision or not _is_worth(figures, saved):
            continue
        setting = "auto" if other.precision == "bfloat16" else other.precision
        yield Advice(
            f"MODERATION_PRECISION={setting}",
            f"the tower takes {other.core_ms:.1f} core-ms a picture in {other.precision} instead of "
            f"{tower.core_ms:.1f}: {_faster(figures, saved)}. Scores move a little: "
            "check the thresholds again.",
        )


def _batch_size(figures: Figures) -> Iterator[Advice]:
    tower, configured = figures.alone.tower, figures.configured
    same = [one for one in figures.alone.other_towers if one.precision == tower.precision]
    best = min(same, key=lambda one: one.core_ms, default=tower)
    saved = tower.core_ms - best.core_ms
    if not _is_worth(figures, saved):
        return
    what = f"MODERATION_BATCH_SIZE={best.batch_size}"
    if 0 < configured.concurrency < (jobs := configured.jobs_for(best.batch_size)):
        what += f" MODERATION_CONCURRENCY={jobs}"
    yield Advice(
        what,
        f"the tower takes {best.core_ms:.1f} core-ms a picture {best.batch_size} at a time instead of "
        f"{tower.core_ms:.1f}: {_faster(figures, saved)}.",
    )


def _concurrency(figures: Figures) -> Iterator[Advice]:
    configured, idle = figures.configured, _idle(figures)
    batch_size, mean = configured.batch_size, figures.single.pictures_a_pass
    enough = configured.concurrency == 0 or configured.concurrency >= configured.jobs_for(batch_size)
    if idle is None or idle < _ROOM or enough or mean > 0.75 * batch_size:
        return
    yield Advice(
        "MODERATION_CONCURRENCY=0",
        f"a pass through the model had {mean:.1f} pictures on average, but {batch_size} fit, and {idle:.0%} "
        "of the cores' time was idle: with the default number of worker threads, the next batch is decoded "
        "during this pass.",
    )


def _decoders(figures: Figures) -> Iterator[Advice]:
    load, cores, idle = figures.single, figures.machine.cores, _idle(figures)
    if figures.memory is None or load.decoders_core_ms is None or idle is None or idle < _ROOM:
        return
    decoders = figures.memory.decoders
    busy = load.decoders_core_ms / 1000 * load.rate / decoders if decoders else 0
    if busy < 0.8 or decoders >= cores:
        return
    yield Advice(
        f"MODERATION_DECODER_PROCESSES={int(min(cores, 2 * decoders))}",
        f"the {decoders} decoders were busy {busy:.0%} of the time, and {idle:.0%} of the cores' time was "
        "not used.",
    )


def _int8(figures: Figures) -> Iterator[Advice]:
    share, configured = figures.alone.tower.core_ms / _ours(figures), figures.configured
    can = figures.machine.has_int8 and configured.on_processor
    if can and not configured.is_int8 and share > _BOTTLENECK:
        yield Advice(
            "moderate model export --int8",
            f"the tower is {share:.0%} of what a picture costs, and this processor multiplies 8-bit integers "
            "faster than anything else. Measure the exported model with this command, and check the "
            "thresholds again.",
        )


def _decoding(figures: Figures) -> Iterator[Advice]:
    alone, total = figures.alone, _ours(figures)
    if alone.decode > alone.tower.core_ms and alone.decode / total > _BOTTLENECK:
        yield Advice(
            "smaller pictures",
            f"the bottleneck is decoding: {alone.decode:.1f} of {total:.1f} core-ms a picture, and the model "
            f"takes {alone.tower.core_ms:.1f}. Submit a scaled copy if your platform makes one anyway.",
        )


def _store(figures: Figures) -> Iterator[Advice]:
    store, total = figures.alone.store, _ours(figures)
    if store / total > _BOTTLENECK:
        yield Advice(
            "PostgreSQL, and messages of many",
            f"the bottleneck is the database: {store:.1f} of {total:.1f} core-ms a picture; here it was "
            "SQLite in a temporary folder.",
        )


def _messages(figures: Figures) -> Iterator[Advice]:
    single, many = figures.single, figures.many
    if many.rate > _WORTH * single.rate:
        yield Advice(
            "client.submit_many",
            f"{many.rate:.1f} pictures a second came from messages of {many.per_message} instead of "
            f"{single.rate:.1f} from messages of one.",
        )


def _processes(figures: Figures) -> Iterator[Advice]:
    memory, free, idle = figures.memory, figures.machine.free_bytes, _idle(figures)
    used = used_core_ms(figures.single)
    if memory is None or free is None or idle is None or used is None:
        return
    each = memory.worker_bytes + memory.decoders_bytes
    takes = f"each takes {in_bytes(each)}, and {in_bytes(free)} are free beside this one"
    if idle < _ROOM:
        yield Advice(
            "one worker process on this machine",
            f"{1 - idle:.0%} of the cores' time was used; more processes belong on other machines ({takes}).",
        )
    elif (room := int(_MEMORY_SHARE * free / each)) > 0:
        wanted = max(1, round(idle * _total(figures) / used))
        yield Advice(
            f"{1 + min(room, wanted)} worker processes on this machine",
            f"{idle:.0%} of the cores' time was idle; {takes}.",
        )
    else:
        yield Advice(
            "memory for a second worker process", f"{idle:.0%} of the cores' time was idle; {takes}."
        )


def _is_worth(figures: Figures, saved_core_ms: float) -> bool:
    return _rate_without(figures, saved_core_ms) > _WORTH * figures.single.rate


def _faster(figures: Figures, saved_core_ms: float) -> str:
    faster = _rate_without(figures, saved_core_ms)
    return f"about {faster:.1f} pictures a second instead of {figures.single.rate:.1f}"


def _rate_without(figures: Figures, saved_core_ms: float) -> float:
    """Return the rate if a picture costs `saved_core_ms` less and nothing else becomes the bottleneck."""
    ours = _ours(figures)
    return figures.single.rate * ours / max(ours - saved_core_ms, 1e-9)


def _total(figures: Figures) -> float:
    return core_ms_a_picture(figures.machine.cores, figures.single.rate)


def _ours(figures: Figures) -> float:
    """Return the cost of a picture without the time that other programs used."""
    return _total(figures) - other_programs_core_ms(figures)


def _share_of_other_programs(figures: Figures) -> float:
    return other_programs_core_ms(figures) / _total(figures)


def _idle(figures: Figures) -> float | None:
    """Return the share of the cores' time that was idle; None if unknown."""
    idle = idle_core_ms(figures)
    return None if idle is None else idle / _total(figures)


def in_bytes(number: float) -> str:
    """Format a size for people: 690 kB, 87 MB, 1.2 GB."""
    for unit, size, most in (("kB", 1e3, 1e6), ("MB", 1e6, 1e9)):
        if number < most:
            return f"{number / size:.0f} {unit}"
    return f"{number / 1e9:.1f} GB"
