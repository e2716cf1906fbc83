"""A picture tower in int8, which OpenVINO computes on the processor."""

import importlib
import logging
import sys
from collections.abc import Mapping
from queue import SimpleQueue
from typing import Any, Final, cast

import torch

from worker.encoder.towers.device import has_int8
from worker.errors import ModelError

log = logging.getLogger(__name__)

_HINTS: Final = {torch.float32: "f32", torch.bfloat16: "bf16"}


class OpenVinoTower:
    """A tower that `moderate model export` wrote.

    OpenVINO and not ONNX Runtime: what that makes in int8 with the tower alone, a worker with this one makes
    with decoding and all (benchmarks/README.md).
    """

    def __init__(
        self, tower: Any, dtype: torch.dtype = torch.float32, *, passes: int = 1, threads: int = 0
    ) -> None:
        """Take up a tower: a file's path, or what OpenVINO has in memory.

        ModelError where OpenVINO is missing or cannot read it. `passes` callers are served at once, others
        wait; each has `threads` threads, 0 shares out all processors. `dtype` is for what is not int8.
        """
        self.dtype = dtype
        compiled = _compile(tower, _HINTS[dtype], passes, threads)
        # One that works for somebody must not be asked by anybody else.
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(passes):
            self._idle.put(compiled.create_infer_request())

    def __call__(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the vectors of a model's inputs, shape (pictures, dimension), float32."""
        request = self._idle.get()
        try:
            # Read where they lie; what comes back is a copy, since the next caller overwrites the original.
            vectors = request.infer({0: inputs["pixel_values"].numpy()}, share_inputs=True)[0]
        finally:
            self._idle.put(request)
        return torch.from_numpy(vectors)


def import_openvino(extra: str = "openvino") -> Any:
    """Return OpenVINO; ModelError naming the `extra` that brings it where it is not installed."""
    # It tells its makers of every import and conversion, unless the package that does so is missing. Who
    # judges other people's pictures tells nobody what runs where.
    cast("dict[str, object]", sys.modules)["openvino_telemetry"] = None
    try:
        return importlib.import_module("openvino")
    except ImportError as missing:
        raise missing_package("OpenVINO", extra) from missing


def missing_package(what: str, extra: str) -> ModelError:
    """Return the error that says what is not installed and how to have it."""
    return ModelError(
        f"an int8 model needs {what}, which is not installed",
        hint=f"pip install 'moderation-worker[{extra}]'",
    )


def _compile(tower: Any, precision: str, passes: int, threads: int) -> Any:
    if not has_int8():
        log.warning("this processor has no int8 arithmetic: vectors differ from those of the export's report")
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": passes,
        "INFERENCE_PRECISION_HINT": precision,
        # Each worker process would hold on to the same first processors.
        "ENABLE_CPU_PINNING": False,
    }
    if threads:
        settings["INFERENCE_NUM_THREADS"] = passes * threads
    core = import_openvino().Core()
    try:
        return core.compile_model(tower, "CPU", settings)
    except Exception as problem:
        # Of a broken file OpenVINO raises whatever its reader stumbled over.
        raise ModelError(
            f"{tower} cannot be loaded: {_last_line(problem)}", hint="export the model again"
        ) from problem


def _last_line(problem: Exception) -> str:
    """Return the last thing said: before it, OpenVINO names places in its own sources."""
    return next(
        (line.strip() for line in reversed(str(problem).splitlines()) if line.strip()), "no reason given"
    )
