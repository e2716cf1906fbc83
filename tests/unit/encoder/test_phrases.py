from types import SimpleNamespace

import numpy as np
import pytest

from worker.encoder.phrases import encode_phrases

VECTORS = {"a cat": [1, 0], "one cat": [0, 1], "a dog": [0.6, 0.8], "one dog": [0.6, 0.8]}


class Encoder:
    info = SimpleNamespace(dimension=2)

    def __init__(self):
        self.calls = []

    def encode_texts(self, texts):
        self.calls.append(list(texts))
        return np.array([VECTORS[text] for text in texts], np.float32)


def test_a_phrases_vector_is_the_normalised_mean_over_the_templates():
    vectors = encode_phrases(Encoder(), ["cat", "dog"], ["a {}", "one {}"])

    assert vectors.matrix[vectors.index["cat"]] == pytest.approx([0.5**0.5, 0.5**0.5])
    assert vectors.matrix[vectors.index["dog"]] == pytest.approx([0.6, 0.8])
    assert vectors.matrix.dtype == np.float32


def test_a_repeated_phrase_is_encoded_once_and_all_go_in_one_call():
    encoder = Encoder()

    vectors = encode_phrases(encoder, ["dog", "cat", "dog"], ["a {}", "one {}"])

    assert list(vectors.index) == ["dog", "cat"]
    assert vectors.matrix.shape == (2, 2)
    assert encoder.calls == [["a dog", "one dog", "a cat", "one cat"]]


def test_braces_in_a_phrase_are_only_characters(monkeypatch):
    monkeypatch.setitem(VECTORS, "a {0} {x}", [1, 0])

    assert encode_phrases(Encoder(), ["{0} {x}"], ["a {}"]).matrix.tolist() == [[1, 0]]
