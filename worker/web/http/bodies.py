"""Reads request bodies within limits: bytes and seconds per body, and bytes of all bodies together."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio.to_thread
from fastapi import Request
from starlette.requests import ClientDisconnect

from worker.web.http.problems import ProblemError

JSON: Final = "application/json"
MULTIPART: Final = "multipart/form-data"
#: Enough for a picture as base64 in JSON and the other fields.
MAX_JSON_BYTES: Final = 1024 * 1024
MAX_BATCH_BYTES: Final = 16 * 1024 * 1024
#: Bytes of JSON bodies that one process holds at once: two full batches, or hundreds of ordinary bodies.
MAX_BYTES_AT_ONCE: Final = 2 * MAX_BATCH_BYTES
#: Values and keys in one body. Bytes are cheap, Python objects are not: `[{},{},...]` of 16 MiB would take
#: half a gigabyte, and all other requests would wait for it.
MAX_VALUES: Final = 100_000
#: Up to this size a body is parsed in the event loop.
_SMALL_BYTES: Final = 16 * 1024
#: `Retry-After` if there is no room for a body.
BUSY_SECONDS: Final = 2
#: A client that sends a byte now and then must not hold a connection forever.
BODY_SECONDS: Final = 120


def media_type(request: Request) -> str:
    """Return the body's media type without parameters."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def unsupported(*understood: str) -> ProblemError:
    """Return the problem for a body of another media type."""
    kinds = " or ".join(understood)
    return ProblemError(415, f"the body is not {kinds}", hint=f"send Content-Type: {kinds}")


async def chunks(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body in chunks; ProblemError if it is too large or ends too early."""
    size = 0
    if _announced(request) > max_bytes:
        raise too_large(max_bytes)
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > max_bytes:
                raise too_large(max_bytes)
            yield chunk
    except ClientDisconnect:
        raise ProblemError(400, "the body ends too early") from None


@asynccontextmanager
async def body_deadline() -> AsyncIterator[None]:
    """Limit the time for reading a body; ProblemError after BODY_SECONDS."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            yield
    except TimeoutError:
        raise ProblemError(408, f"the body did not arrive within {BODY_SECONDS} seconds") from None


class JsonBodies:
    """Reads JSON bodies and bounds their total memory; belongs to one event loop."""

    def __init__(self) -> None:
        self._held_bytes = 0
        # One large body at a time: parsing holds the GIL.
        self._parsing = anyio.CapacityLimiter(1)

    async def read(self, request: Request, max_bytes: int) -> dict[str, Any]:
        """Return the JSON object in the body; ProblemError if it is invalid, or there is no room for it."""
        if media_type(request) != JSON:
            raise unsupported(JSON)
        body = bytearray()
        try:
            async with body_deadline():
                async for chunk in chunks(request, max_bytes):
                    self._make_room(len(chunk))
                    body += chunk
            if len(body) <= _SMALL_BYTES:
                return _parsed(body)
            return await anyio.to_thread.run_sync(_parsed, body, limiter=self._parsing)
        finally:
            self._held_bytes -= len(body)

    def _make_room(self, size: int) -> None:
        if self._held_bytes + size > MAX_BYTES_AT_ONCE:
            raise ProblemError(
                503,
                "too many large bodies are arriving at once",
                hint="send smaller batches, or fewer at once",
                Retry_After=str(BUSY_SECONDS),
            )
        self._held_bytes += size


async def read_json(request: Request, max_bytes: int) -> dict[str, Any]:
    """Return the JSON object in the body; ProblemError if it is invalid."""
    bodies: JsonBodies = request.app.state.bodies
    return await bodies.read(request, max_bytes)


def _parsed(body: bytearray) -> dict[str, Any]:
    # Each value except the first follows one of these characters.
    if sum(body.count(mark) for mark in (b",", b":", b"[", b"{")) > MAX_VALUES:
        raise ProblemError(413, f"the body has more than {MAX_VALUES:,} values", hint="send fewer at once")
    try:
        found = json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise ProblemError(400, "the body is not JSON") from None
    if not isinstance(found, dict):
        raise ProblemError(422, "the body is not a JSON object")
    return found


def _refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity: Python parses them, JSON has neither."""
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    """Refuse a number that is too large for a float and would become Infinity."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:80]} is too large")
    return value


def too_large(max_bytes: int) -> ProblemError:
    """Return the problem for a body that is too large."""
    return ProblemError(413, f"the body has more than {max_bytes:,} bytes")


def _announced(request: Request) -> int:
    length = request.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else 0
