"""How much of a phrase every family of models sees, and that a longer one can be told before it is cut."""

import json

import numpy as np
import pytest
from support.models import FAMILIES, make_model

from worker.encoder.towers.transformers_encoder import TransformersEncoder


@pytest.fixture(params=FAMILIES)
def folder(request, tmp_path):
    return make_model(request.param, tmp_path / request.param)


def forget_maximum(folder):
    """Take the tokenizer's own maximum away, as in checkpoints where nobody set one."""
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text())
    del config["model_max_length"]
    file.write_text(json.dumps(config))


def words(encoder, tokens):
    """Return a phrase of so many tokens, special ones included."""
    texts = [("abcdefgh" * tokens)[:count] for count in range(1, tokens + 1)]
    return next(text for text in texts if encoder.count_tokens([text]) == [tokens])


def test_the_window_is_seen_to_its_last_token_and_no_further(folder):
    forget_maximum(folder)
    encoder = TransformersEncoder.load(str(folder))
    assert encoder.texts._tokenizer.model_max_length > 10**9

    full, longer = words(encoder, encoder.info.window), words(encoder, encoder.info.window + 9)
    nearly = full[:-1] + "z"
    vectors = encoder.encode_texts([full, nearly, longer, longer + "zzz"])

    assert encoder.info.window == (77 if folder.name == "clip" else 64)
    assert not np.allclose(vectors[0], vectors[1], atol=1e-5)
    assert np.allclose(vectors[2], vectors[3], atol=1e-5)


def test_tokens_are_counted_with_the_special_ones_and_before_the_cut(folder, capfd):
    encoder = TransformersEncoder.load(str(folder))
    short, long = encoder.count_tokens(["a fox", "a fox " * 300])

    assert 2 < short < encoder.info.window < 300 < long
    assert encoder.count_tokens([]) == []
    assert capfd.readouterr() == ("", "")


def test_the_bundled_model_says_what_it_sees():
    encoder = TransformersEncoder.load("demo")
    assert encoder.info.window == encoder.texts._model.config.text_config.max_position_embeddings
    assert encoder.count_tokens(["a fox"]) < encoder.count_tokens(["a fox in the snow"])
