"""A worker's decoding processes come and go with it, however it goes."""

import signal
import sys

import psutil
import pytest
from moderation_client import LocalFile
from support.deployment import deploy, wait_for
from support.pictures import drawing, encoded


@pytest.fixture
def deployment(tmp_path, redis_url):
    made = deploy(tmp_path, redis_url, decoder_processes=2)
    yield made
    made.database.dispose()


@pytest.mark.skipif(sys.platform != "linux", reason="on Linux alone the kernel tells of every child")
@pytest.mark.parametrize("end", [pytest.param(signal.SIGTERM, marks=pytest.mark.exhaustive), signal.SIGKILL])
def test_decoders_start_with_the_worker_and_never_outlive_it(deployment, end):
    name = deployment.save_picture("drawing.png", encoded(drawing(), "PNG"))
    with deployment.worker(from_scratch=True) as worker:
        children = psutil.Process(worker.pid).children(recursive=True)
        decoders = [child for child in children if "worker.images.processes.child" in child.cmdline()]
        assert len(decoders) == 2
        with deployment.client() as client:
            (decision,) = deployment.decided([client.submit(LocalFile(name))])
        assert decision.scores
        # A supervisor tells the whole group; the decoders leave that to the worker.
        for process in (*decoders, psutil.Process(worker.pid)):
            process.send_signal(signal.SIGTERM if end == signal.SIGTERM else 0)
        worker.send_signal(end)
        wait_for(lambda: worker.poll() is not None, what="the worker to leave")
        wait_for(lambda: not any(child.is_running() for child in decoders), what="the decoders to leave")
    if end == signal.SIGTERM:
        assert worker.returncode == 0
    assert "Traceback" not in (deployment.folder / "worker.log").read_text()
