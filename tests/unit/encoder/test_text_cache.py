from threading import Barrier, Thread

import numpy as np
import pytest
from support.fake_encoder import FakeEncoder

from worker.encoder.text_cache import TextCache


class CountingEncoder(FakeEncoder):
    def __init__(self):
        self.calls = []

    def encode_texts(self, texts):
        self.calls.append(list(texts))
        return np.array([[len(text), 1] for text in texts], np.float32)


@pytest.fixture
def encoder():
    return CountingEncoder()


def test_no_text_is_encoded_twice(encoder):
    cache = TextCache(encoder)

    first = cache.encode_texts(["a", "bb"])
    second = cache.encode_texts(["bb", "a"])

    assert encoder.calls == [["a", "bb"]]
    assert first.tolist() == [[1, 1], [2, 1]]
    assert second.tolist() == [[2, 1], [1, 1]]


def test_what_is_unknown_is_encoded_in_one_call_without_repeats(encoder):
    cache = TextCache(encoder)
    cache.encode_texts(["known"])

    vectors = cache.encode_texts(["a", "known", "bb", "a"])

    assert encoder.calls == [["known"], ["a", "bb"]]
    assert vectors[:, 0].tolist() == [1, 5, 2, 1]
    assert vectors.dtype == np.float32


def test_no_texts_need_no_call_and_keep_their_shape(encoder):
    assert TextCache(encoder).encode_texts([]).shape == (0, 2)
    assert encoder.calls == []


def test_the_text_that_was_longest_not_asked_for_is_forgotten_first(encoder):
    cache = TextCache(encoder, capacity=2)
    cache.encode_texts(["a", "bb"])
    cache.encode_texts(["a"])
    cache.encode_texts(["ccc"])

    cache.encode_texts(["a", "ccc"])
    cache.encode_texts(["bb"])

    assert encoder.calls == [["a", "bb"], ["ccc"], ["bb"]]


def test_more_texts_at_once_than_are_kept_all_get_their_vectors(encoder):
    vectors = TextCache(encoder, capacity=2).encode_texts(["a", "bb", "ccc", "dddd"])

    assert vectors[:, 0].tolist() == [1, 2, 3, 4]


def test_changing_a_result_does_not_change_what_is_kept(encoder):
    cache = TextCache(encoder)
    cache.encode_texts(["a"])[:] = 99

    assert cache.encode_texts(["a"]).tolist() == [[1, 1]]


def test_threads_that_ask_for_the_same_text_at_once_encode_it_once(encoder):
    cache, start = TextCache(encoder), Barrier(8)

    def ask():
        start.wait()
        cache.encode_texts(["a", "bb"])

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert encoder.calls == [["a", "bb"]]


def test_a_text_that_failed_is_tried_again():
    class FailingOnce(CountingEncoder):
        def encode_texts(self, texts):
            vectors = super().encode_texts(texts)
            if len(self.calls) == 1:
                raise RuntimeError("out of memory")
            return vectors

    cache = TextCache(FailingOnce())
    with pytest.raises(RuntimeError):
        cache.encode_texts(["a"])

    assert cache.encode_texts(["a"]).tolist() == [[1, 1]]


def test_everything_else_is_the_encoders_own(encoder):
    cache = TextCache(encoder)

    assert cache.encode_images([None]).tolist() == [[7, 7]]
    assert cache.info is CountingEncoder.info
    assert cache.count_tokens(["a", "bb"]) == [1, 2]
    assert cache.pieces(["a", "bb"]) == [["a"], ["b", "b"]]
    assert cache.vocabulary() == {"a"}


class Memory:
    """Notes every text that was looked up or stored."""

    def __init__(self):
        self.seen = set()

    def recall(self, texts):
        self.seen |= set(texts)
        return {}

    def keep(self, vectors):
        self.seen |= set(vectors)


def test_captions_are_remembered_for_a_while_and_never_stored(encoder):
    memory = Memory()
    cache = TextCache(encoder, capacity=2, memory=memory)
    cache.encode_texts(["a phrase", "another"])
    first = cache.encode_captions(["a caption", "bb", "a caption"])

    assert cache.encode_captions(["bb"]).tolist() == [[2, 1]]
    cache.encode_texts(["a phrase", "another"])

    assert encoder.calls == [["a phrase", "another"], ["a caption", "bb"]]
    assert first[:, 0].tolist() == [9, 2, 9]
    assert memory.seen == {"a phrase", "another"}
    assert cache.encode_captions([]).shape == (0, 2)


def test_only_the_last_captions_are_remembered(encoder, monkeypatch):
    monkeypatch.setattr("worker.encoder.text_cache.CAPTION_CAPACITY", 1)
    cache = TextCache(encoder)
    for caption in ("a", "bb", "bb", "a"):
        cache.encode_captions([caption])
    assert encoder.calls == [["a"], ["bb"], ["a"]]
