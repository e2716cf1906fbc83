import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.models import make_model

from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.errors import ModelError


@pytest.fixture
def folder(tmp_path):
    return make_model("clip", tmp_path / "model")


def refusal(name):
    with pytest.raises(ModelError) as refused:
        TransformersEncoder.load(str(name))
    assert "\n" not in refused.value.message
    assert refused.value.hint
    return refused.value


def edit_json(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def edit_weights(folder, change):
    file = folder / "model.safetensors"
    weights = load_file(file)
    change(weights)
    save_file(weights, file, metadata={"format": "pt"})


def test_a_folder_of_something_else_is_no_model(tmp_path):
    assert refusal(tmp_path).message == f"{str(tmp_path)!r} is not a model: it has no config.json"


@pytest.mark.parametrize("model_type", ["bert", "vit", "blip-2", "something_new"])
def test_a_model_of_another_kind_is_refused_by_its_kind(folder, model_type):
    edit_json(folder / "config.json", model_type=model_type)

    assert f"is not a zero-shot image model: its type is {model_type}" in refusal(folder).message


def test_a_text_model_is_refused_although_it_has_no_image_processor(folder):
    edit_json(folder / "config.json", model_type="bert")
    (folder / "preprocessor_config.json").unlink()

    assert "its type is bert" in refusal(folder).message


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "tokenizer_config.json"])
def test_a_model_with_code_of_its_own_is_refused(folder, file):
    edit_json(folder / file, auto_map={"AutoModel": "evil.Evil"})
    (folder / "evil.py").write_text("raise SystemExit('this ran')")

    assert f"needs custom code (auto_map in {file})" in refusal(folder).message


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickled_weights_are_refused(folder, name):
    (folder / "model.safetensors").rename(folder / name)

    problem = refusal(folder)
    assert f"pickled weights ({name})" in problem.message
    assert "moderate model fetch" in problem.hint


@pytest.mark.parametrize(
    ("file", "lack"),
    [
        ("config.json", "no config.json"),
        ("model.safetensors", "no weights"),
        ("preprocessor_config.json", "no image processor"),
        ("tokenizer.json", "no vocabulary"),
    ],
)
def test_a_missing_file_is_named(folder, file, lack):
    (folder / file).unlink()

    assert lack in refusal(folder).message


@pytest.mark.parametrize(
    "file", ["config.json", "preprocessor_config.json", "tokenizer_config.json", "tokenizer.json"]
)
@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": ' * 9_999])
def test_a_broken_file_is_refused(folder, file, content):
    (folder / file).write_text(content)

    assert file in refusal(folder).message or file == "tokenizer.json"


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.99])
def test_truncated_weights_are_refused(folder, share):
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: int(len(data) * share)])

    assert "cannot be loaded" in refusal(folder).message


def test_missing_weights_are_refused_and_never_made_up(folder):
    edit_weights(folder, lambda weights: weights.pop("visual_projection.weight"))

    assert (
        "1 are missing and 0 have another shape, such as visual_projection.weight" in refusal(folder).message
    )


def test_weights_of_another_shape_are_refused(folder):
    edit_weights(folder, lambda weights: weights.update({"visual_projection.weight": torch.zeros(3, 3)}))

    assert (
        "0 are missing and 1 have another shape, such as visual_projection.weight" in refusal(folder).message
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "key", ["visual_projection.weight", "text_model.embeddings.token_embedding.weight", "logit_scale"]
)
def test_weights_that_are_not_finite_are_refused_by_name(folder, key, value):
    """One alone: most pictures and phrases never meet it."""
    edit_weights(folder, lambda weights: weights[key].view(-1)[-1:].fill_(value))

    assert f"are damaged: {key} has values that are not finite" in refusal(folder).message


def test_weights_that_are_not_finite_in_half_precision_are_refused(tmp_path):
    folder = make_model("siglip", tmp_path / "half", dtype=torch.float16)
    edit_weights(folder, lambda weights: weights["logit_bias"].fill_(math.inf))

    assert "logit_bias has values that are not finite" in refusal(folder).message


@pytest.mark.parametrize(
    ("family", "key", "value"),
    [
        ("clip", "logit_scale", 1000.0),
        ("clip", "logit_scale", -1000.0),
        ("siglip", "logit_scale", 300.0),
        ("align", "temperature", 0.0),
        ("align", "temperature", -0.01),
        ("align", "temperature", 1e-30),
    ],
)
def test_a_scale_that_no_score_can_be_computed_with_is_refused(family, key, value, tmp_path):
    folder = make_model(family, tmp_path / "model")
    edit_weights(folder, lambda weights: weights[key].fill_(value))

    assert f"has a {key} of {value:g}, with which no score can be computed" in refusal(folder).message


def test_a_vocabulary_larger_than_the_model_knows_is_refused(folder):
    key = "text_model.embeddings.token_embedding.weight"
    edit_weights(folder, lambda weights: weights.update({key: weights[key][:50].clone()}))
    text_config = json.loads((folder / "config.json").read_text())["text_config"]
    edit_json(folder / "config.json", text_config=text_config | {"vocab_size": 50})

    assert "fails at its first picture or phrase" in refusal(folder).message


@pytest.mark.parametrize("name", ["no-such-folder", "a/b/c@main", "org/name@", "x\0y", "n" * 300, __file__])
def test_a_name_that_cannot_be_a_model_is_refused_with_the_choices(name):
    problem = refusal(name)

    assert "neither a folder nor a hub id" in problem.message
    assert "'demo', a folder, or org/name@revision" in problem.hint
    assert "moderate model list" in problem.hint


def test_a_hub_id_without_a_revision_is_refused():
    problem = refusal("openai/clip-vit-base-patch32")

    assert "pins no revision" in problem.message
    assert "openai/clip-vit-base-patch32@<commit>" in problem.hint


def test_a_folder_is_found_before_a_hub_is_asked(folder, monkeypatch):
    monkeypatch.chdir(folder.parent.parent)

    assert TransformersEncoder.load(str(Path(folder.parent.name) / folder.name)).dimension == 16
