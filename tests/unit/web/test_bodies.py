"""What JSON bodies may cost: values, bytes of all at once, and never the event loop's time."""

import asyncio
import json
import threading

import pytest
from starlette.requests import Request

from worker.web.http import bodies
from worker.web.http.bodies import MAX_BATCH_BYTES, MAX_BYTES_AT_ONCE, MAX_VALUES, JsonBodies
from worker.web.http.problems import ProblemError

MANY = b'{"submissions":[' + b",".join([b'{"a":[{}]}'] * 100_000) + b"]}"


def request(*chunks, then=None):
    """Return a request that sends these chunks, and waits for `then` before the last one."""
    left = list(chunks)

    async def receive():
        if len(left) == 1 and then is not None:
            await then.wait()
        chunk = left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    headers = [(b"content-type", b"application/json")]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)


def read(body, most=MAX_BATCH_BYTES):
    return asyncio.run(JsonBodies().read(request(body), most))


def refused(body):
    with pytest.raises(ProblemError) as error:
        read(body)
    return error.value.status, error.value.detail


def test_a_body_of_too_many_values_is_refused_before_it_is_parsed(monkeypatch):
    monkeypatch.setattr(bodies.json, "loads", None)
    assert refused(MANY) == (413, f"the body has more than {MAX_VALUES:,} values")


def test_a_full_batch_of_large_inline_pictures_is_read():
    picture = "A" * 60_000
    sent = {"submissions": [{"source": {"kind": "bytes", "base64": picture}} for _ in range(256)]}
    assert read(json.dumps(sent).encode()) == sent


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e400", "-1e999"])
def test_a_number_that_json_does_not_have_is_refused(text):
    assert refused(b'{"zoom": %s}' % text.encode()) == (400, "the body is not JSON")


def test_all_bodies_together_have_so_many_bytes_and_room_comes_back(monkeypatch):
    async def together():
        all_of = JsonBodies()
        chunk = b" " * (MAX_BATCH_BYTES - 2)
        go_on = asyncio.Event()
        held = [
            asyncio.create_task(all_of.read(request(chunk, b"{}", then=go_on), MAX_BATCH_BYTES)) for _ in "ab"
        ]
        await asyncio.sleep(0)
        with pytest.raises(ProblemError) as error:
            await all_of.read(request(b'{"one": "too many"}'), MAX_BATCH_BYTES)
        go_on.set()
        assert await asyncio.gather(*held) == [{}, {}]
        assert await all_of.read(request(b"{}"), MAX_BATCH_BYTES) == {}
        return error.value

    assert MAX_BYTES_AT_ONCE == 2 * MAX_BATCH_BYTES
    error = asyncio.run(together())
    assert (error.status, error.headers) == (503, {"Retry-After": "2"})


def test_large_bodies_are_parsed_one_at_a_time_and_not_by_the_event_loop(monkeypatch):
    parse, busy, threads = bodies._parsed, threading.Lock(), set()

    def watched(body):
        assert busy.acquire(blocking=False), "two at once"
        threads.add(threading.get_ident())
        try:
            return parse(body)
        finally:
            busy.release()

    monkeypatch.setattr(bodies, "_parsed", watched)

    async def together():
        all_of = JsonBodies()
        body = json.dumps({"text": "x" * 300_000}).encode()
        await asyncio.gather(*(all_of.read(request(body), MAX_BATCH_BYTES) for _ in range(8)))

    asyncio.run(together())
    assert threading.get_ident() not in threads
