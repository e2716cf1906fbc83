"""The text tower is in memory only while there is something to read, and a restart has nothing to read."""

import gc
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from support.models import make_model
from support.pictures import drawing, prepared
from torch.nn import Linear

from worker.encoder.hub.model_files import FAMILIES
from worker.encoder.text_cache import TextCache
from worker.encoder.towers.text_tower import IDLE_SECONDS
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.errors import ModelError
from worker.store.engine.database import Database
from worker.store.policies import text_vectors
from worker.usecases.policies.keep_text_vectors import KeepTextVectors

TEXTS = ["a fox", "a bear beside a very long river"]


class Counting:
    """An encoder that counts the texts it is asked to encode."""

    def __init__(self, encoder):
        self.encoder, self.texts = encoder, []

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def encode_texts(self, texts):
        self.texts += texts
        return self.encoder.encode_texts(texts)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_an_idle_text_tower_is_let_go_of_and_comes_back_with_the_next_phrase(family, tmp_path):
    encoder = TransformersEncoder.load(str(make_model(family, tmp_path / family)))
    pictures = prepared(encoder, [drawing()])
    texts, seen = encoder.encode_texts(TEXTS), encoder.encode_images(pictures)
    tower, now = encoder.texts, 0.0
    weight = weakref.ref(
        next(one for name, one in tower._model.named_parameters() if name.startswith("text_"))
    )
    tower._clock = lambda: now
    tower._used_at = 0.0

    now = IDLE_SECONDS - 1
    tower.unload_if_idle()
    assert tower.is_loaded
    now = IDLE_SECONDS
    tower.unload_if_idle()
    gc.collect()

    assert not tower.is_loaded
    assert weight() is None, "its memory is free"
    assert (encoder.encode_images(pictures) == seen).all(), "pictures need none of it"
    assert encoder.count_tokens(TEXTS) == [len(one) for one in tower._tokenizer(TEXTS)["input_ids"]]
    assert (encoder.encode_texts(TEXTS) == texts).all()
    assert tower.is_loaded


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_says_in_which_pieces_it_reads(family, tmp_path):
    encoder = TransformersEncoder.load(str(make_model(family, tmp_path / family)))
    # Their vocabularies have the small letters, a full stop, and no emoji.
    plain, odd = encoder.pieces(["a fox.", "a \N{SKULL}"])
    assert "".join(plain).replace(" ", "") == "afox."
    assert odd[0] == "a"
    assert set(odd[1:]) == {""}, "what no piece stands for is empty"
    assert encoder.pieces([]) == []


def test_the_bundled_model_knows_words_and_where_they_end():
    encoder = TransformersEncoder.load("demo")
    assert encoder.pieces(["a kitchen knife", "“a", "knife\u200b"]) == [
        ["a", "kitchen", "knife"],
        ["", "", "", "a"],
        ["knife", "", "", ""],
    ]
    vocabulary = encoder.vocabulary()
    assert {"kitchen", "knife"} <= vocabulary
    assert "kitchen</w>" not in vocabulary
    assert len(vocabulary) > 1_000


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process does not tell what it has mapped")
def test_in_bfloat16_nothing_of_the_weights_file_stays_mapped(tmp_path):
    folder = make_model("siglip", tmp_path / "siglip")
    encoder = TransformersEncoder.load(str(folder), precision="bfloat16")
    mapped = Path("/proc/self/maps").read_text
    assert str(folder) in mapped()

    encoder.texts._clock = lambda: float("inf")
    encoder.texts.unload_if_idle()
    gc.collect()

    assert str(folder) not in mapped()
    assert encoder.encode_images(prepared(encoder, [drawing()])).shape == (1, encoder.dimension)


def test_a_model_whose_files_were_replaced_meanwhile_reads_nothing(tmp_path):
    folder = make_model("clip", tmp_path / "clip")
    encoder = TransformersEncoder.load(str(folder))
    encoder.texts._clock = lambda: float("inf")
    encoder.texts.unload_if_idle()
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")

    with pytest.raises(ModelError, match="have changed since this process loaded them"):
        encoder.encode_texts(TEXTS)
    assert encoder.encode_images(prepared(encoder, [drawing()])).shape == (1, encoder.dimension)


def test_a_thousand_phrases_are_encoded_in_passes_that_bound_the_memory(monkeypatch):
    encoder = TransformersEncoder.load("demo")
    largest = []
    count = Linear.forward
    monkeypatch.setattr(Linear, "forward", lambda self, x: (largest.append(len(x)), count(self, x))[1])
    vectors = encoder.encode_texts([f"a thing of kind {n}" for n in range(200)])
    assert vectors.shape == (200, encoder.dimension)
    assert max(largest) == 64
    monkeypatch.undo()
    assert vectors[130] == pytest.approx(encoder.encode_texts(["a thing of kind 130"])[0], abs=1e-5)


def test_what_one_process_read_no_other_reads_again(database):
    encoder = TransformersEncoder.load("demo")
    first, second = Counting(encoder), Counting(encoder)
    memory = KeepTextVectors(database, encoder.digest)
    there = TextCache(first, memory=memory).encode_texts(TEXTS)

    again = TextCache(second, memory=memory).encode_texts([*TEXTS, "a boat"])

    assert (first.texts, second.texts) == (TEXTS, ["a boat"])
    assert (again[:2] == there).all(), "to the last bit, so that decisions can be derived again"


def test_another_model_and_another_phrase_have_vectors_of_their_own(database):
    vector = np.array([0.6, 0.8], np.float32)
    with database.transaction() as session:
        text_vectors.keep(session, "model", {"a fox": vector, "odd \0 \ud800": -vector})
        text_vectors.keep(session, "model", {"a fox": -vector})
        found = text_vectors.find(session, "model", ["a bear", "a fox", "odd \0 \ud800"])
        assert {text: one.tolist() for text, one in found.items()} == {
            "a fox": vector.tolist(),
            "odd \0 \ud800": (-vector).tolist(),
        }
        assert text_vectors.find(session, "other model", ["a fox"]) == {}


def test_without_a_database_phrases_are_encoded_all_the_same(tmp_path, caplog):
    encoder = TransformersEncoder.load("demo")
    memory = KeepTextVectors(Database.connect(f"sqlite:///{tmp_path / 'none.db'}"), encoder.digest)
    vectors = TextCache(encoder, memory=memory).encode_texts(TEXTS)
    assert torch.from_numpy(vectors).norm(dim=1).numpy() == pytest.approx(1, abs=1e-5)
    assert "phrases are encoded anew" in caplog.text
    assert "the vectors of 2 phrases are not kept" in caplog.text
