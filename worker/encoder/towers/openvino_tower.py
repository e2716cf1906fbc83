"""An int8 picture tower that runs in OpenVINO on the processor."""

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

    OpenVINO and not ONNX Runtime: in int8, a whole worker with OpenVINO, decoding included, is as fast as the
    tower alone in ONNX Runtime (benchmarks/README.md).
    """

    def __init__(
        self, tower: Any, dtype: torch.dtype = torch.float32, *, passes: int = 1, threads: int = 0
    ) -> None:
        """Compile `tower`, a path or a model of OpenVINO in memory.

        ModelError if OpenVINO is not installed or cannot read it. `passes` callers run concurrently, others
        wait; each uses `threads` threads, 0 divides all processors. `dtype` is for layers that are not int8.
        """
        self.dtype = dtype
        compiled = _compile(tower, _HINTS[dtype], passes, threads)
        # A request serves one caller at a time.
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(passes):
            self._idle.put(compiled.create_infer_request())

    def __call__(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the vectors of a model's inputs, shape (pictures, dimension), float32."""
        request = self._idle.get()
        try:
            # Inputs are shared without a copy. The result is copied: the next caller overwrites it.
            vectors = request.infer({0: inputs["pixel_values"].numpy()}, share_inputs=True)[0]
        finally:
            self._idle.put(request)
        return torch.from_numpy(vectors)


def import_openvino(extra: str = "openvino") -> Any:
    """Return OpenVINO; ModelError that names the `extra` to install if it is missing."""
    # Disables telemetry: OpenVINO reports every import and conversion to its makers unless this package is
    # missing. A moderation service must not report what it runs.
    cast("dict[str, object]", sys.modules)["openvino_telemetry"] = None
    try:
        return importlib.import_module("openvino")
    except ImportError as missing:
        raise missing_package("OpenVINO", extra) from missing


def missing_package(what: str, extra: str) -> ModelError:
    """Return the error for a package that is not installed, with the command to install it."""
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
        # Otherwise every worker process would pin the same first processors.
        "ENABLE_CPU_PINNING": False,
    }
    if threads:
        settings["INFERENCE_NUM_THREADS"] = passes * threads
    core = import_openvino().Core()
    try:
        return core.compile_model(tower, "CPU", settings)
    except Exception as problem:
        # For a broken file OpenVINO may raise anything.
        raise ModelError(
            f"{tower} cannot be loaded: {_last_line(problem)}", hint="export the model again"
        ) from problem


def _last_line(problem: Exception) -> str:
    """Return the last line of a message; the lines before it name OpenVINO's source files."""
    return next(
        (line.strip() for line in reversed(str(problem).splitlines()) if line.strip()), "no reason given"
    )
