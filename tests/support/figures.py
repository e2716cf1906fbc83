"""Example figures of a run of `moderate bench` on a machine with two cores."""

from dataclasses import replace
from typing import Any

from worker.bench.figures import (
    Alone,
    Configured,
    Figures,
    FullLoad,
    Machine,
    PacedLoad,
    PeakMemory,
    TowerCost,
)

GB = 10**9


def full_load(**changes: Any) -> FullLoad:
    """Return a load that leaves the cores no idle time."""
    usual = FullLoad(
        rate=10.0,
        pictures=200,
        seconds=20.0,
        per_message=1,
        worker_core_ms=165.0,
        decoders_core_ms=30.0,
        sender_core_ms=3.0,
        idle_core_ms=2.0,
        pictures_a_pass=15.0,
    )
    return replace(usual, **changes)


def towers(configured: float, *others: TowerCost) -> Alone:
    """Return parts in which the configured tower takes this many core-milliseconds."""
    tower = TowerCost("float32", 16, configured)
    return Alone(tower, others, decode=25.0, score=0.5, store=12.0)


def figures(**changes: Any) -> Figures:
    """Return figures that give rise to no advice, except for `changes`."""
    usual = Figures(
        machine=Machine("A processor", 2.0, 8 * GB, has_bfloat16=True, has_int8=False),
        configured=Configured("float32", batch_size=16, passes=2, concurrency=0),
        alone=towers(130.0, TowerCost("float32", 8, 131.0), TowerCost("bfloat16", 16, 128.0)),
        single=full_load(),
        many=full_load(per_message=20),
        paced=PacedLoad(7.0, 100, 0.4, 0.9, {"decode": 30.0, "encode": 300.0}),
        repeats=full_load(rate=90.0),
        memory=PeakMemory(1 * GB, GB // 10, 2),
        decided=500,
        unjudged=0,
    )
    return replace(usual, **changes)
