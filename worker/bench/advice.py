"""What to set, by what a run measured: each piece of advice rests on its figures."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from worker.bench.figures import (
    Figures,
    core_ms_a_picture,
    idle_core_ms,
    strangers_core_ms,
    used_core_ms,
)

#: What gains less is left as it is: another run may say the opposite.
_WORTH: Final = 1.05
#: From this share of a picture's cost on, a part is the wall.
_WALL: Final = 0.4
#: Cores that are idle to this share have room for more.
_ROOM: Final = 0.15
#: What is left for everything else on the machine.
_MEMORY_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Advice:
    """Something to set or to do, and why."""

    what: str
    why: str


def advise(figures: Figures) -> list[Advice]:
    """Return what would make this machine faster, the largest gain first; a note where there is nothing."""
    found = [
        *_quiet(figures),
        *_precision(figures),
        *_batch_size(figures),
        *_concurrency(figures),
        *_decoders(figures),
    ]
    found += [*_int8(figures), *_decoding(figures), *_store(figures), *_messages(figures)]
    # Who shares the cores with others cannot tell whether there is room for more of us.
    found += [] if _strangers(figures) > _ROOM else _processes(figures)
    return found or [Advice("nothing", "no setting that was tried is better than yours.")]


def _quiet(figures: Figures) -> Iterator[Advice]:
    share, rate = _strangers(figures), figures.single.rate
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
            "look at thresholds again.",
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
        f"a pass through the model had {mean:.1f} pictures where {batch_size} have room, and {idle:.0%} of "
        "the cores' time was idle: with more in hand, as many as the worker chooses by itself, the next "
        "pass is decoded during this one.",
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
    if can and not configured.is_int8 and share > _WALL:
        yield Advice(
            "moderate model export --int8",
            f"the tower is {share:.0%} of what a picture costs, and this processor multiplies 8-bit integers "
            "faster than anything else. Measure the exported model with this command, and look at "
            "thresholds again.",
        )


def _decoding(figures: Figures) -> Iterator[Advice]:
    alone, total = figures.alone, _ours(figures)
    if alone.decode > alone.tower.core_ms and alone.decode / total > _WALL:
        yield Advice(
            "smaller pictures",
            f"the wall is decoding: {alone.decode:.1f} of {total:.1f} core-ms a picture, and the model has "
            f"{alone.tower.core_ms:.1f}. Submit a scaled copy where your platform makes one anyway.",
        )


def _store(figures: Figures) -> Iterator[Advice]:
    store, total = figures.alone.store, _ours(figures)
    if store / total > _WALL:
        yield Advice(
            "PostgreSQL, and messages of many",
            f"the wall is the database: {store:.1f} of {total:.1f} core-ms a picture; here it was SQLite in "
            "a temporary folder.",
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
    """Return the rate where a picture costs so much less, if nothing else gets in the way."""
    ours = _ours(figures)
    return figures.single.rate * ours / max(ours - saved_core_ms, 1e-9)


def _total(figures: Figures) -> float:
    return core_ms_a_picture(figures.machine.cores, figures.single.rate)


def _ours(figures: Figures) -> float:
    """Return what a picture costs without what other programs used meanwhile."""
    return _total(figures) - strangers_core_ms(figures)


def _strangers(figures: Figures) -> float:
    return strangers_core_ms(figures) / _total(figures)


def _idle(figures: Figures) -> float | None:
    """Return the share of the cores' time that nobody used."""
    idle = idle_core_ms(figures)
    return None if idle is None else idle / _total(figures)


def in_bytes(number: float) -> str:
    """Return a size as people say it: 690 kB, 87 MB, 1.2 GB."""
    for unit, size, most in (("kB", 1e3, 1e6), ("MB", 1e6, 1e9)):
        if number < most:
            return f"{number / size:.0f} {unit}"
    return f"{number / 1e9:.1f} GB"
