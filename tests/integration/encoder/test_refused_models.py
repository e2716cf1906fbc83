import json
from pathlib import Path

import httpx2
import pytest
import torch
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors.torch import load_file, save_file
from support.models import make_model

from worker.encoder import model_files
from worker.encoder.transformers_encoder import TransformersEncoder
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

    assert f"is no zero-shot image model: its type is {model_type}" in refusal(folder).message


def test_a_text_model_is_refused_although_it_has_no_image_processor(folder):
    edit_json(folder / "config.json", model_type="bert")
    (folder / "preprocessor_config.json").unlink()

    assert "its type is bert" in refusal(folder).message


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "tokenizer_config.json"])
def test_a_model_with_code_of_its_own_is_refused(folder, file):
    edit_json(folder / file, auto_map={"AutoModel": "evil.Evil"})
    (folder / "evil.py").write_text("raise SystemExit('this ran')")

    assert f"code of its own to run (auto_map in {file})" in refusal(folder).message


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickled_weights_are_refused(folder, name):
    (folder / "model.safetensors").rename(folder / name)

    assert f"pickled weights ({name})" in refusal(folder).message


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


def test_weights_that_are_no_numbers_are_refused(folder):
    edit_weights(folder, lambda weights: weights["visual_projection.weight"].fill_(float("nan")))

    assert "no comparable vectors" in refusal(folder).message


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


def test_a_hub_id_without_a_revision_is_refused():
    problem = refusal("openai/clip-vit-base-patch32")

    assert "pins no revision" in problem.message
    assert "openai/clip-vit-base-patch32@<commit>" in problem.hint


class Hub:
    """Stands in for the hub's client: an empty cache, and a hub that fails as it is told."""

    def __init__(self, failure=None, cached=None, served=None):
        self.failure, self.cached, self.served = failure, cached, served
        self.asked = []

    def model_info(self, hub_id, **options):
        self.asked.append((hub_id, options["revision"]))
        if self.failure:
            raise self.failure
        return self

    sha = "c0ffee"

    def snapshot_download(self, _hub_id, *, revision, local_files_only=False, **_):
        found = self.cached if local_files_only else self.served
        if found is None:
            raise LocalEntryNotFoundError("not in the cache")
        if not local_files_only:
            assert revision == self.sha
        return str(found)


@pytest.fixture
def use_hub(monkeypatch):
    def use(hub):
        monkeypatch.setattr(model_files, "HfApi", lambda: hub)
        monkeypatch.setattr(model_files, "snapshot_download", hub.snapshot_download)
        return hub

    return use


def response(status):
    return httpx2.Response(status, request=httpx2.Request("GET", "https://hub.example"))


@pytest.mark.parametrize(
    ("failure", "message", "hint"),
    [
        (
            httpx2.ConnectError("no route to host"),
            "cannot be downloaded: no route to host",
            "MODERATION_MODEL=demo",
        ),
        (
            RepositoryNotFoundError("404", response=response(404)),
            "the hub has no model org/name@v1",
            "revision",
        ),
        (GatedRepoError("403", response=response(403)), "to registered users only", "HF_TOKEN"),
    ],
)
def test_a_hub_that_fails_is_named_with_the_way_out(use_hub, failure, message, hint):
    use_hub(Hub(failure))

    problem = refusal("org/name@v1")

    assert message in problem.message
    assert hint in problem.hint


def test_a_model_from_the_hub_is_loaded_at_its_revision(use_hub, folder):
    hub = use_hub(Hub(served=folder))

    encoder = TransformersEncoder.load("org/name@v1")

    assert encoder.name == "org/name@v1"
    assert hub.asked == [("org/name", "v1")]


def test_a_model_that_was_downloaded_before_needs_no_hub(use_hub, folder):
    hub = use_hub(Hub(failure=AssertionError("asked"), cached=folder))

    assert TransformersEncoder.load("org/name@v1").dimension == 16
    assert hub.asked == []


def test_the_real_client_without_a_network_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")

    assert "org/name@v1 cannot be downloaded" in refusal("org/name@v1").message


def test_a_folder_is_found_before_a_hub_is_asked(folder, monkeypatch):
    monkeypatch.chdir(folder.parent.parent)

    assert TransformersEncoder.load(str(Path(folder.parent.name) / folder.name)).dimension == 16
