"""Reads what a client sends, as far as it may: never more bytes than allowed, never for longer."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import Request
from starlette.requests import ClientDisconnect

from worker.web.problems import ProblemError

JSON: Final = "application/json"
MULTIPART: Final = "multipart/form-data"
#: A picture as base64 in JSON, and the fields beside it.
MAX_JSON_BYTES: Final = 1024 * 1024
MAX_BATCH_BYTES: Final = 16 * 1024 * 1024
#: Whoever sends a byte now and then must not hold a connection for ever.
BODY_SECONDS: Final = 120


def media_type(request: Request) -> str:
    """Return the type of the body, without its parameters."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def unsupported(*understood: str) -> ProblemError:
    """Return the problem with a body of another type."""
    kinds = " or ".join(understood)
    return ProblemError(415, f"the body is not {kinds}", hint=f"send Content-Type: {kinds}")


async def chunks(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body piece by piece; ProblemError where it is too large or ends too early."""
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
async def in_time() -> AsyncIterator[None]:
    """Let a body be read here, and not for ever."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            yield
    except TimeoutError:
        raise ProblemError(408, f"the body did not arrive within {BODY_SECONDS} seconds") from None


async def read_json(request: Request, max_bytes: int) -> dict[str, Any]:
    """Return the JSON object in the body; ProblemError where there is none."""
    if media_type(request) != JSON:
        raise unsupported(JSON)
    async with in_time():
        body = b"".join([chunk async for chunk in chunks(request, max_bytes)])
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise ProblemError(400, "the body is not JSON") from None
    if not isinstance(found, dict):
        raise ProblemError(422, "the body is not a JSON object")
    return found


def too_large(max_bytes: int) -> ProblemError:
    """Return the problem with a body that is larger than allowed."""
    return ProblemError(413, f"the body has more than {max_bytes:,} bytes")


def _announced(request: Request) -> int:
    length = request.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else 0
