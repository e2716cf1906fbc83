"""Detects what the machine offers: processors and their speed, memory, and number formats."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.bench.figures import Machine
from worker.concurrency.processors import allowed_processors, quota, usable_processors
from worker.control_groups import MEMBERSHIP, MOUNT, groups

_CPU_INFO: Final = Path("/proc/cpuinfo")
_MEMORY_INFO: Final = Path("/proc/meminfo")
#: Files of cgroup v2 and of v1.
_LIMIT_AND_USE: Final = (
    ("memory.max", "memory.current"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes"),
)
#: As large as the matrices of a batch; smaller ones do not reach a processor's full speed. For ViT-B/32 it
#: predicts 21 pictures a second on a machine on which PyTorch's tower alone reaches 19.
_SIDE: Final = 2048
#: The fastest round counts.
_ROUNDS: Final = 3


def this_machine() -> Machine:
    """Return the resources of this machine that this process may use."""
    from worker.encoder.towers.device import has_int8  # noqa: PLC0415 - torch takes seconds to import

    return Machine(
        processor=_processor(),
        cores=cores(),
        free_bytes=_free_bytes(),
        has_bfloat16=precision_for("auto", "cpu") == "bfloat16",
        has_int8=has_int8(),
    )


def precision_for(asked: str, device: str) -> str:
    """Return the precision in which a tower computes on this device; resolves `auto`."""
    from worker.encoder.towers.device import device_for, dtype_for  # noqa: PLC0415 - as above

    return str(dtype_for(asked, device_for(device))).removeprefix("torch.")


def is_processor(device: str) -> bool:
    """Return whether this device is the CPU and not an accelerator."""
    from worker.encoder.towers.device import device_for  # noqa: PLC0415 - as above

    return device_for(device).type == "cpu"


def is_int8(model: str) -> bool:
    """Return whether a model, already in the cache, is an int8 export."""
    from worker.encoder.hub import model_files  # noqa: PLC0415 - as above

    return model_files.int8_tower(model_files.find(model)) is not None


def cores() -> float:
    """Return how many processors this process may use, by its affinity and its control group."""
    allowed = len(allowed_processors()) or os.cpu_count() or 1
    return min(allowed, quota() or allowed)


def multiplications_a_second() -> float:
    """Measure how many float32 multiplications a second the usable processors do, in matrix products.

    Counts processor time, so other programs do not distort the result.
    """
    matrix = np.ones((_SIDE, _SIDE), np.float32)
    return usable_processors() * _SIDE**3 / min(_processor_seconds(matrix) for _ in range(_ROUNDS))


def _processor_seconds(matrix: NDArray[np.float32]) -> float:
    start = time.process_time()
    matrix @ matrix
    return time.process_time() - start


def _processor() -> str:
    lines = _text(_CPU_INFO).splitlines()
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(found, "") or platform.processor() or platform.machine()


def _free_bytes() -> int | None:
    """Return the free memory of the machine or of a control group, whichever is less."""
    free = [
        int(line.split()[1]) * 1024
        for line in _text(_MEMORY_INFO).splitlines()
        if line.startswith("MemAvailable:")
    ]
    return min([*free, *free_in_groups()], default=None)


def free_in_groups(membership: Path = MEMBERSHIP, mount: Path = MOUNT) -> Iterator[int]:
    """Yield the remaining memory of each control group that has a limit."""
    for group in groups("memory", membership, mount):
        for names in _LIMIT_AND_USE:
            limit, used = (_text(group / name).strip() for name in names)
            if limit.isdecimal() and used.isdecimal():
                yield max(0, int(limit) - int(used))


def _text(file: Path) -> str:
    """Return the text of a file; empty if it cannot be read."""
    with suppress(OSError):
        return file.read_text(encoding="utf-8", errors="replace")
    return ""
