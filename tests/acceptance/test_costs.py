"""What a picture costs in commands to Redis and in bytes between processes: counted, since clocks lie."""

import io

import numpy as np
import pytest
import redis
from moderation_client import LocalFile, Submission
from PIL import Image
from support.deployment import deploy

from worker.images.limits import Limits
from worker.images.preprocessing import Preprocessing
from worker.images.processes.pool import DecoderPool
from worker.settings import Settings

PICTURES = 48
#: Celery's consumer asks for the next message with one of these, as often as it has nothing else to do.
POLLING = {"brpop", "ping", "info", "subscribe", "psubscribe", "publish", "hello", "client|setinfo", "select"}


def jpeg(side=64, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def commands(redis_url):
    """Return how often each command was given since the last call."""
    with redis.Redis.from_url(redis_url) as connection:
        before = {}

        def since():
            nonlocal before
            now = {
                name.removeprefix("cmdstat_"): told["calls"]
                for name, told in connection.info("commandstats").items()
            }
            found = {name: calls - before.get(name, 0) for name, calls in now.items()}
            before = now
            return {name: calls for name, calls in found.items() if calls and name not in POLLING}

        yield since


@pytest.mark.parametrize(("many", "most"), [pytest.param(False, 10, marks=pytest.mark.exhaustive), (True, 1)])
def test_a_picture_costs_few_commands_to_redis_and_one_in_a_message_of_many_hardly_any(
    tmp_path, redis_url, commands, many, most
):
    made = deploy(tmp_path, redis_url)
    names = [made.save_picture(f"{n}.jpg", jpeg(seed=n)) for n in range(PICTURES)]
    with made.worker(), made.client() as client:
        client.submit(LocalFile(names[0]), id="first")
        made.decided(["first"])
        commands()
        if many:
            client.submit_many([Submission(name, LocalFile(name)) for name in names])
        else:
            for name in names:
                client.submit(LocalFile(name), id=name)
        made.decided(names)
        counted = commands()
    assert sum(counted.values()) <= most * PICTURES, counted


def test_no_process_holds_a_full_size_picture_in_float(monkeypatch):
    """What a decoder sends is bytes of the model's size, however large the picture is."""
    received = []
    model = Preprocessing(Image.Resampling.BICUBIC, shortest_edge=224, crop_width=224, crop_height=224)
    settings = Settings()
    limits = Limits(max_bytes=2**24, max_pixels=10**8, max_side=16_384, max_frames=8)
    pool = DecoderPool(
        limits, processes=1, seconds=settings.decode_seconds, memory_bytes=settings.decoder_memory_bytes
    )
    try:
        for side in (300, 2000):
            picture = pool.decode(jpeg(side), model)
            received.append((picture.pixels.dtype, picture.pixels.nbytes))
    finally:
        pool.close()
    assert received == [(np.uint8, 224 * 224 * 3)] * 2
