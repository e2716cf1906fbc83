"""A process that holds the model for heat maps and answers one request at a time, within limits.

A web process starts it when a person asks for a heat map, so that it needs no model itself.
"""

import json
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from worker.encoder.explaining.protocol import Contrast
from worker.errors import ModerationError
from worker.images.processes.messages import receive, send
from worker.images.processes.own_limits import exit_with_parent, limit

log = logging.getLogger(__name__)

#: A request's phrases and templates: more than any policy may have.
_MOST_HEADER_BYTES: Final = 1_000_000
_MOST_CHARACTERS: Final = 1000
#: If the kernel runs out of memory it kills this process first, and not the one that serves people.
_KILL_FIRST: Final = "1000"

_Answer = tuple[dict[str, Any], bytes]


def main() -> None:
    """Load the model, say so, and serve the parent at the other end of standard input."""
    connection = socket.socket(fileno=0)
    settings = json.loads(sys.argv[1])
    exit_with_parent(connection)
    # The parent stops this process: signals to its process group must not interrupt a request.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    if sys.platform == "linux":  # elsewhere this limit is refused or has no effect
        limit(resource.RLIMIT_DATA, settings["memory_bytes"])
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_KILL_FIRST, encoding="ascii")
    limit(resource.RLIMIT_CORE, 0)
    with suppress(EOFError, ConnectionError):
        _serve(connection, settings)


def _serve(connection: socket.socket, settings: dict[str, Any]) -> None:
    # Torch takes seconds to import and much memory: within the limits, and with errors that are reported.
    loaded: list[Any] = []

    def load() -> _Answer:
        from worker.encoder.explaining.model_explainer import ModelExplainer  # noqa: PLC0415
        from worker.encoder.towers.transformers_encoder import TransformersEncoder  # noqa: PLC0415

        # In float32 on the processor: workers have the accelerator to themselves.
        explainer = ModelExplainer(TransformersEncoder.load(settings["model"], threads=settings["threads"]))
        loaded.append(explainer)
        return asdict(explainer.model()), b""

    send(connection, *_reported(load))
    while loaded:
        request, data = receive(connection, most_header_bytes=_MOST_HEADER_BYTES)
        send(connection, *_reported(partial(_answer, loaded[0], request, data)))


def _answer(explainer: Any, request: dict[str, Any], data: bytearray) -> _Answer:
    pixels = np.frombuffer(data, np.uint8).reshape(request["shape"])
    contrast = Contrast(request["prompt"], request["background"], tuple(request["templates"]))
    cells = np.ascontiguousarray(explainer.explain(pixels, contrast), np.float32)
    return {"shape": cells.shape}, cells.tobytes()


def _reported(work: Callable[[], _Answer]) -> _Answer:
    """Return the answer, or the error that the parent is to raise."""
    try:
        return work()
    except ModerationError as error:
        return {"error": error.message[:_MOST_CHARACTERS]}, b""
    except MemoryError:
        return {"error": "it needs more memory than it may take"}, b""
    except Exception as problem:
        # A library may raise anything, and PyTorch says RuntimeError when memory is short.
        log.exception("a heat map failed")
        return {"error": f"{type(problem).__name__}: {problem}".splitlines()[0][:_MOST_CHARACTERS]}, b""


if __name__ == "__main__":
    main()
