"""A process that decodes untrusted pictures for the pool, one at a time, within limits it sets on itself.

It imports only Pillow and numpy, opens nothing, and reads no setting of the service.
"""

import json
import math
import resource
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, Final

import numpy as np
from PIL import Image

from worker.errors import UndecodablePictureError
from worker.images.decoding.decoder import Picture, decode
from worker.images.limits import Limits
from worker.images.parts import Parts
from worker.images.preprocessing import Pixels, Preprocessing, prepare_parts
from worker.images.processes.messages import receive, send
from worker.images.processes.own_limits import at_most, exit_with_parent, limit

#: Standard streams, the connection, and a few for Python's imports.
_MAX_FILES: Final = 16
_MAX_REASON_CHARACTERS: Final = 500


def main() -> None:
    """Serve the parent at the other end of standard input until it closes the connection."""
    connection = socket.socket(fileno=0)
    settings = json.loads(sys.argv[1])
    exit_with_parent(connection)
    # The parent stops this process: signals to its process group must not interrupt a picture in flight.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    if sys.platform == "linux":  # elsewhere this limit is refused or has no effect
        limit(resource.RLIMIT_AS, settings["memory_bytes"])
    limit(resource.RLIMIT_FSIZE, 0)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_NOFILE, _MAX_FILES)
    # Replaces Pillow's own limit, which also applies to frames that are only skipped.
    Image.MAX_IMAGE_PIXELS = settings["limits"]["max_pixels"]
    with suppress(EOFError, ConnectionError):
        _serve(connection, Limits(**settings["limits"]), settings["seconds"])


def _serve(connection: socket.socket, limits: Limits, seconds: float) -> None:
    """Answer requests in turn; send an empty answer at the start, and to an empty request (a ping)."""
    send(connection, {})
    while True:
        request, data = receive(connection)
        if request:
            _limit_cpu_time(seconds)
            send(connection, *_answer(request, bytes(data), limits))
        else:
            send(connection, {})


def _answer(request: dict[str, Any], data: bytes, limits: Limits) -> tuple[dict[str, Any], bytes]:
    preprocessing = Preprocessing(**request["preprocessing"])
    try:
        scaling = preprocessing.resized if request["scaled"] else None
        picture = decode(data, limits, scaling, bytes.fromhex(request["seed"]))
        pixels = _pixels(picture, preprocessing, request["most_parts"])
        return _facts(picture) | {"shape": pixels.shape}, pixels.tobytes()
    except UndecodablePictureError as refusal:
        return {"refusal": refusal.message[:_MAX_REASON_CHARACTERS], "kind": refusal.kind}, b""
    except MemoryError:
        return {"out_of_memory": True}, b""


def _facts(picture: Picture) -> dict[str, Any]:
    return {
        "format": picture.format,
        "width": picture.width,
        "height": picture.height,
        "frames": len(picture.frames),
        "pages": len(picture.pages),
        "time_share": picture.time_share,
    }


def _pixels(picture: Picture, preprocessing: Preprocessing, most_parts: int) -> Pixels:
    """Return every view as the model expects it, shape (views, height, width, 3), in the order of `Views`."""
    shown = len(picture.frames) * len(picture.pages)
    parts = Parts.of((picture.width, picture.height), preprocessing, shown=shown, most=most_parts)
    # All get the size of the first frame: later frames of a GIF may be larger.
    pages = [
        [prepare_parts(frame, parts.preprocessing, parts.resized, parts.count) for frame in frames]
        for frames in picture.pages
    ]
    return np.stack([frame[part] for frames in pages for part in range(parts.count) for frame in frames])


def _limit_cpu_time(seconds: float) -> None:
    """Have the kernel kill this process if the next picture takes longer, even without a watching parent."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime + seconds)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (at_most(soft, hard), hard))


if __name__ == "__main__":
    main()
