"""The protocol between a process and its children: a JSON header followed by bytes.

Nothing is pickled: a compromised child can lie about its picture, and do nothing else to the parent.
"""

import json
import socket
import struct
import time
from typing import Any, Final

_LENGTHS: Final = struct.Struct("!II")
MAX_HEADER_BYTES: Final = 4096


class BrokenMessageError(Exception):
    """The received bytes are not a valid message."""


def send(connection: socket.socket, header: dict[str, Any], body: Any = b"", *, deadline: float = 0) -> None:
    """Send a message before `deadline`, in the time of `time.monotonic`; 0 waits for ever.

    TimeoutError at the deadline, OSError if the other end is closed.
    """
    text = json.dumps(header).encode()
    _wait_until(connection, deadline)
    connection.sendall(_LENGTHS.pack(len(text), len(body)) + text)
    _wait_until(connection, deadline)
    connection.sendall(body)


def receive(
    connection: socket.socket,
    *,
    most_bytes: int | None = None,
    most_header_bytes: int = MAX_HEADER_BYTES,
    deadline: float = 0,
) -> tuple[dict[str, Any], bytearray]:
    """Return the next message; raises as `send` does, and EOFError if the other end is closed.

    BrokenMessageError if it is invalid, or has more than `most_bytes` after its header.
    """
    header_bytes, body_bytes = _LENGTHS.unpack(_read(connection, _LENGTHS.size, deadline))
    if header_bytes > most_header_bytes or (most_bytes is not None and body_bytes > most_bytes):
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
