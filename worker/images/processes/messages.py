"""What a worker and its decoding children say to each other: a JSON header with bytes after it.

Nothing is pickled: a child that hostile bytes took over can lie about a picture, and do nothing else here.
"""

import json
import socket
import struct
import time
from typing import Any, Final

_LENGTHS: Final = struct.Struct("!II")
_MAX_HEADER_BYTES: Final = 4096


class BrokenMessageError(Exception):
    """What came is no message."""


def send(connection: socket.socket, header: dict[str, Any], body: Any = b"", *, deadline: float = 0) -> None:
    """Send a message before `deadline`, a moment of `time.monotonic`; 0 waits for ever.

    TimeoutError where it passes, OSError where nobody listens any more.
    """
    text = json.dumps(header).encode()
    _wait_until(connection, deadline)
    connection.sendall(_LENGTHS.pack(len(text), len(body)) + text)
    _wait_until(connection, deadline)
    connection.sendall(body)


def receive(
    connection: socket.socket, *, most_bytes: int | None = None, deadline: float = 0
) -> tuple[dict[str, Any], bytearray]:
    """Return the next message; errors as `send`, EOFError at the end, BrokenMessageError at what is none.

    More than `most_bytes` beside the header are none.
    """
    header_bytes, body_bytes = _LENGTHS.unpack(_read(connection, _LENGTHS.size, deadline))
    if header_bytes > _MAX_HEADER_BYTES or (most_bytes is not None and body_bytes > most_bytes):
        raise BrokenMessageError
    try:
        header = json.loads(_read(connection, header_bytes, deadline))
    except (ValueError, RecursionError) as problem:
        raise BrokenMessageError from problem
    if not isinstance(header, dict):
        raise BrokenMessageError
    return header, _read(connection, body_bytes, deadline)


def _read(connection: socket.socket, count: int, deadline: float) -> bytearray:
    data = bytearray(count)
    unread = memoryview(data)
    while unread:
        _wait_until(connection, deadline)
        read = connection.recv_into(unread)
        if not read:
            raise EOFError
        unread = unread[read:]
    return data


def _wait_until(connection: socket.socket, deadline: float) -> None:
    if not deadline:
        connection.settimeout(None)
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)
