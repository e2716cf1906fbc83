from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event, Semaphore

import numpy as np
import pytest
from support.fake_encoder import FakeEncoder

from worker.encoder.batching_encoder import BatchingEncoder
from worker.errors import UnavailableError

pytestmark = pytest.mark.timeout(20)


class GatedEncoder(FakeEncoder):
    """Encodes the picture `n` as [n, 0]; every pass waits at a gate and is written down."""

    def __init__(self, *, gate_open):
        self.passes = []
        self.entered = Semaphore(0)
        self.gate = Event()
        if gate_open:
            self.gate.set()

    def encode_images(self, images):
        self.passes.append(list(images))
        self.entered.release()
        self.gate.wait()
        if "poison" in images:
            raise ValueError("poison")
        return np.array([[image, 0] for image in images], np.float32)


@pytest.fixture
def open_batcher():
    batchers = []

    def open_(encoder, batch_size=4, passes=1):
        batchers.append(BatchingEncoder(encoder, batch_size, passes=passes))
        return batchers[-1]

    yield open_
    for batcher in batchers:
        batcher._encoder.gate.set()  # type: ignore[attr-defined]
        batcher.close()


@pytest.fixture
def callers():
    with ThreadPoolExecutor(16) as pool:
        yield pool


def wait_until_queued(batcher, calls):
    gather = batcher._batcher
    with gather._changed:
        assert gather._changed.wait_for(lambda: len(gather._queue) == calls, timeout=10)


def gather(batcher, encoder, callers, calls):
    """Let a first call occupy the model while `calls` queue behind it, in order; then open the gate."""
    first = callers.submit(batcher.encode_images, [0])
    encoder.entered.acquire()
    futures = []
    for images in calls:
        futures.append(callers.submit(batcher.encode_images, images))
        wait_until_queued(batcher, sum(map(len, calls[: len(futures)])))
    encoder.gate.set()
    wait([first, *futures])
    return futures


def test_callers_get_the_vectors_of_their_own_pictures(open_batcher, callers):
    batcher = open_batcher(GatedEncoder(gate_open=True))

    results = list(callers.map(batcher.encode_images, [[n, n + 100] for n in range(50)]))

    assert [vectors.tolist() for vectors in results] == [[[n, 0], [n + 100, 0]] for n in range(50)]


def test_an_idle_model_starts_at_once(open_batcher):
    encoder = GatedEncoder(gate_open=True)

    open_batcher(encoder, batch_size=64).encode_images([1])

    assert encoder.passes == [[1]]


def test_callers_gather_while_the_model_is_busy_and_share_the_next_pass(open_batcher, callers):
    encoder = GatedEncoder(gate_open=False)
    futures = gather(open_batcher(encoder), encoder, callers, [[1], [2, 3], [4]])

    assert encoder.passes == [[0], [1, 2, 3, 4]]
    assert [future.result().tolist() for future in futures] == [[[1, 0]], [[2, 0], [3, 0]], [[4, 0]]]


def test_no_pass_holds_more_than_a_batch_and_no_call_is_overtaken(open_batcher, callers):
    encoder = GatedEncoder(gate_open=False)
    gather(open_batcher(encoder), encoder, callers, [[1, 2, 3], [4, 5], [6]])

    assert encoder.passes == [[0], [1, 2, 3, 4], [5, 6]]


def test_several_passes_run_at_once_and_each_has_a_batch(open_batcher, callers):
    encoder = GatedEncoder(gate_open=False)
    batcher = open_batcher(encoder, passes=2)
    futures = []
    for n in range(2):
        futures.append(callers.submit(batcher.encode_images, [n]))
        # Before the next comes, or both would share the first pass.
        encoder.entered.acquire()
    waiting = callers.submit(batcher.encode_images, range(2, 10))
    wait_until_queued(batcher, 8)
    encoder.gate.set()
    wait([waiting, *futures])

    assert sorted(len(images) for images in encoder.passes) == [1, 1, 4, 4]
    assert waiting.result()[:, 0].tolist() == list(range(2, 10))


def test_a_call_larger_than_a_batch_is_split_and_put_together_again(open_batcher):
    encoder = GatedEncoder(gate_open=True)

    vectors = open_batcher(encoder).encode_images(range(10))

    assert vectors[:, 0].tolist() == list(range(10))
    assert max(len(images) for images in encoder.passes) == 4


def test_no_pictures_need_no_pass_and_keep_their_shape(open_batcher):
    encoder = GatedEncoder(gate_open=True)

    vectors = open_batcher(encoder).encode_images([])

    assert (vectors.shape, vectors.dtype) == ((0, 2), np.float32)
    assert encoder.passes == []


def test_a_failure_meets_only_the_caller_whose_picture_caused_it(open_batcher, callers):
    encoder = GatedEncoder(gate_open=False)
    good, bad, fine = gather(open_batcher(encoder), encoder, callers, [[1], ["poison"], [2]])

    assert good.result().tolist() == [[1, 0]]
    assert fine.result().tolist() == [[2, 0]]
    with pytest.raises(ValueError, match="poison"):
        bad.result()


def test_a_failed_batch_is_halved_until_the_culprit_stands_alone(open_batcher, callers):
    encoder = GatedEncoder(gate_open=False)
    pictures = [*range(2, 9), "poison"]
    gather(open_batcher(encoder, batch_size=8), encoder, callers, [[picture] for picture in pictures])

    failed = [sorted(map(str, one)) for one in encoder.passes if "poison" in one]
    assert [len(one) for one in failed] == [8, 4, 2, 1]
    assert len(encoder.passes) == 1 + 7


def test_the_batcher_goes_on_after_a_failure(open_batcher):
    batcher = open_batcher(GatedEncoder(gate_open=True))
    with pytest.raises(ValueError, match="poison"):
        batcher.encode_images(["poison"])

    assert batcher.encode_images([1]).tolist() == [[1, 0]]


def test_closing_finishes_the_pass_under_way_and_turns_the_others_away(open_batcher, callers):
    encoder = GatedEncoder(gate_open=False)
    batcher = open_batcher(encoder)
    under_way = callers.submit(batcher.encode_images, [1])
    encoder.entered.acquire()
    waiting = callers.submit(batcher.encode_images, [2])
    wait_until_queued(batcher, 1)

    closing = callers.submit(batcher.close)
    with pytest.raises(UnavailableError, match="shut down"):
        waiting.result()
    encoder.gate.set()
    closing.result()

    assert under_way.result().tolist() == [[1, 0]]
    assert encoder.passes == [[1]]


@pytest.mark.parametrize("images", [[1], [1] * 10, []])
def test_a_closed_batcher_says_so(open_batcher, images):
    batcher = open_batcher(GatedEncoder(gate_open=True))
    batcher.close()

    with pytest.raises(UnavailableError, match="shut down"):
        batcher.encode_images(images)


def test_closing_twice_is_closing(open_batcher):
    batcher = open_batcher(GatedEncoder(gate_open=True))

    batcher.close()
    batcher.close()

    assert not any(thread.is_alive() for thread in batcher._batcher._threads)


def test_everything_else_is_the_encoders_own(open_batcher):
    batcher = open_batcher(GatedEncoder(gate_open=True))

    assert batcher.encode_texts(["a"]).tolist() == [[3, 3]]
    assert batcher.info is GatedEncoder.info
    assert batcher.count_tokens(["a", "bb"]) == [1, 2]
    assert batcher.pieces(["a", "bb"]) == [["a"], ["b", "b"]]
    assert batcher.vocabulary() == {"a"}


class CaptionEncoder(GatedEncoder):
    def encode_captions(self, texts):
        return self.encode_images([len(text) for text in texts])


def test_captions_that_arrive_during_a_batch_form_the_next_one(open_batcher, callers):
    encoder = CaptionEncoder(gate_open=False)
    batcher = open_batcher(encoder)
    first = callers.submit(batcher.encode_captions, ["a"])
    assert encoder.entered.acquire(timeout=10)
    others = [callers.submit(batcher.encode_captions, [text]) for text in ("bb", "ccc")]
    queue = batcher._captions
    with queue._changed:
        assert queue._changed.wait_for(lambda: len(queue._queue) == 2, timeout=10)
    encoder.gate.set()

    assert [one.result()[0, 0] for one in (first, *others)] == [1, 2, 3]
    assert encoder.passes[0] == [1]
    assert sorted(encoder.passes[1]) == [2, 3]
    assert batcher.encode_captions([]).shape == (0, 2)
    batcher.close()
    with pytest.raises(UnavailableError):
        batcher.encode_captions(["late"])
