"""A model of the hub starts from the cache as soon as all of it is there, and what is missing is fetched."""

import json
import shutil

import httpx2
import pytest
from huggingface_hub import hf_hub_download, snapshot_download
from support.hub_server import COMMIT, HUB_ID, running_hub, use_hub
from support.models import make_model, make_pickled
from support.published import publish

from worker.encoder.hub import hub_cache, model_files, presets
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.errors import ModelError, UsageError

NAME = f"{HUB_ID}@v1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_model("clip", tmp_path_factory.mktemp("model"))


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def hub(monkeypatch, cache, folder):
    with running_hub() as server:
        server.hold(folder)
        use_hub(monkeypatch, server.url, cache)
        yield server


@pytest.fixture
def stop(monkeypatch, hub, cache):
    """Return what makes the hub unreachable."""

    def stop():
        use_hub(monkeypatch, "http://127.0.0.1:9", cache)
        hub.asked.clear()

    return stop


def names(folder):
    return {file.name for file in folder.iterdir()}


def test_a_model_is_downloaded_at_its_revision_and_then_needs_no_hub(hub, folder, stop):
    digest = TransformersEncoder.load(NAME).digest
    assert digest == model_files.digest(folder)

    stop()

    assert TransformersEncoder.load(NAME).digest == digest
    assert hub.asked == []


@pytest.mark.parametrize("revision", ["main", "v1", COMMIT, COMMIT[:7], COMMIT[:12].upper()])
def test_with_the_hub_down_every_way_to_say_the_revision_starts(hub, stop, revision):
    hub.references |= {COMMIT[:7]: COMMIT, COMMIT[:12].upper(): COMMIT}
    downloaded = model_files.find(f"{HUB_ID}@{revision}")

    stop()

    assert model_files.find(f"{HUB_ID}@{revision}") == downloaded


def test_a_short_commit_is_found_among_the_cached_ones(hub, stop):
    downloaded = model_files.find(f"{HUB_ID}@{COMMIT}")

    stop()

    assert model_files.find(f"{HUB_ID}@{COMMIT[:7]}") == downloaded
    with pytest.raises(ModelError, match="does not answer"):
        model_files.find(f"{HUB_ID}@{COMMIT[:3]}")


def test_a_commit_can_be_begun_by_several_cached_ones(hub, cache, stop):
    downloaded = model_files.find(f"{HUB_ID}@{COMMIT}")
    downloaded.with_name(COMMIT[:10] + 30 * "2").mkdir()

    stop()

    with pytest.raises(ModelError, match="does not answer"):
        model_files.find(f"{HUB_ID}@{COMMIT[:7]}")


def test_a_branch_stays_where_it_was_when_it_was_cached(hub):
    downloaded = model_files.find(f"{HUB_ID}@main")
    hub.commit = hub.references["main"] = "d" * 40

    assert model_files.find(f"{HUB_ID}@main") == downloaded


def test_offline_mode_starts_from_the_cache_alone(hub, monkeypatch):
    downloaded = model_files.find(NAME)
    hub.asked.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    assert model_files.find(NAME) == downloaded
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set") as refused:
        model_files.find(f"{HUB_ID}@other")
    assert "unset HF_HUB_OFFLINE" in refused.value.hint
    assert hub.asked == []


@pytest.mark.parametrize("revision", [COMMIT, "v1"])
def test_a_cache_that_another_tool_filled_in_part_is_completed(hub, folder, revision):
    hf_hub_download(HUB_ID, "config.json", revision=revision)

    found = model_files.find(f"{HUB_ID}@{revision}")

    assert names(found) == names(folder)


def test_a_file_that_was_lost_from_the_cache_is_fetched_again(hub, folder):
    found = model_files.find(NAME)
    (found / "model.safetensors").resolve().unlink()

    assert names(model_files.find(NAME)) == names(folder)
    assert (found / "model.safetensors").is_file()


def test_what_another_tool_cached_whole_starts_without_the_hub(hub, folder, stop, caplog):
    for file in folder.iterdir():
        hf_hub_download(HUB_ID, file.name, revision="v1")

    stop()

    assert names(model_files.find(NAME)) == names(folder)
    assert "the model is loaded from the cache without this check" in caplog.text


def test_a_cache_without_the_tokenizers_configuration_does_not_start_without_the_hub(hub, folder, stop):
    """The tokenizer would load, and read phrases otherwise."""
    for file in folder.iterdir():
        if file.name != "tokenizer_config.json":
            hf_hub_download(HUB_ID, file.name, revision="v1")

    stop()

    with pytest.raises(ModelError, match="does not answer"):
        model_files.find(NAME)


def test_a_family_that_is_published_without_that_configuration_starts(hub, stop, tmp_path):
    chinese = publish("OFA-Sys/chinese-clip-vit-base-patch16", tmp_path / "chinese")
    hub.hold(chinese)
    for file in chinese.iterdir():
        hf_hub_download(HUB_ID, file.name, revision="v1")

    stop()

    assert names(model_files.find(NAME)) == names(chinese)


def test_weights_that_are_not_loaded_leave_the_digest_alone(folder, tmp_path):
    digest = model_files.digest(folder)
    both = shutil.copytree(folder, tmp_path / "both")
    for other in ("model-00001-of-00002.safetensors", "model.safetensors.index.json", "pytorch_model.bin"):
        (both / other).write_bytes(b"{}")
    assert model_files.digest(both) == digest

    parts = shutil.copytree(folder, tmp_path / "parts")
    (parts / "model.safetensors").rename(parts / "model-00001-of-00001.safetensors")
    index = {"weight_map": {"weight": "model-00001-of-00001.safetensors"}}
    (parts / "model.safetensors.index.json").write_text(json.dumps(index))
    digest = model_files.digest(parts)
    (parts / "model-00002-of-00002.safetensors").write_bytes(b"other")
    assert model_files.digest(parts) == digest
    (parts / "model-00001-of-00001.safetensors").write_bytes(b"other")
    assert model_files.digest(parts) != digest


def test_a_preset_of_pickled_weights_names_the_command_that_takes_it(hub, tmp_path):
    preset = presets.PRESETS[0]
    assert preset.is_pickled
    hub.hold(make_pickled(tmp_path)[0], preset.hub_id)
    hub.commit = preset.commit

    with pytest.raises(ModelError, match=r"the model 'clip-b32' has pickled weights") as refused:
        model_files.find("clip-b32")

    assert "run `moderate model fetch clip-b32 --out FOLDER`" in refused.value.hint
    assert hub.downloads() == []


def test_what_is_cached_in_part_does_not_start_without_the_hub(hub, stop):
    hf_hub_download(HUB_ID, "config.json", revision="v1")

    stop()

    with pytest.raises(ModelError, match="does not answer"):
        model_files.find(NAME)


def test_a_repository_of_pickled_weights_is_refused_before_they_are_downloaded(hub, folder, tmp_path):
    pickled = make_model("clip", tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    hub.hold(pickled)

    with pytest.raises(ModelError, match=r"pickled weights \(pytorch_model\.bin\)") as refused:
        model_files.find(NAME)

    assert "moderate model fetch" in refused.value.hint
    assert hub.downloads() == []

    snapshot_download(HUB_ID, revision="v1")
    with pytest.raises(ModelError, match="pickled weights"):
        model_files.find(NAME)


def test_of_two_sets_of_weights_the_safe_one_is_downloaded(hub, tmp_path):
    both = make_model("clip", tmp_path / "both")
    for other in ("pytorch_model.bin", "tf_model.h5", "model.fp16.safetensors", "README.md"):
        (both / other).write_bytes(b"other")
    (both / "onnx").mkdir()
    (both / "onnx" / "config.json").write_text("{}")
    hub.hold(both)

    found = model_files.find(NAME)

    assert names(found) == {file.name for file in model_files.files_of(both)}


def ask(hub, **wrong):
    for name, value in wrong.items():
        setattr(hub, name, value)


@pytest.mark.parametrize(
    ("name", "wrong", "message", "hint"),
    [
        (f"{HUB_ID}@other", {}, "the hub has no model org/name@other: there is no such revision", "revision"),
        ("org/other@v1", {}, "the hub has no model org/other@v1", "if it is private, set HF_TOKEN"),
        (NAME, {"token": "s3cret"}, "the hub has no model org/name@v1", "set HF_TOKEN"),
        (NAME, {"token": "s3cret", "is_gated": True}, "registered users only", "then set HF_TOKEN"),
        (NAME, {"status": 401}, "answers 401", "is HF_TOKEN right"),
        (NAME, {"status": 404}, "answers 404", "a model hub?"),
        (NAME, {"status": 503}, "answers 503", "moderate model fetch"),
        (NAME, {"commit": "main", "references": {"v1": "main"}}, "names no commit", "a model hub?"),
        (
            f"{HUB_ID}@{'e' * 40}",
            {"references": {"e" * 40: COMMIT}},
            "in place of the commit",
            "the hub that you mean?",
        ),
    ],
)
def test_what_the_hub_refuses_is_one_line_with_the_way_out(hub, name, wrong, message, hint):
    ask(hub, **wrong)

    with pytest.raises(ModelError) as refused:
        model_files.find(name)

    assert message in refused.value.message
    assert hint in refused.value.hint
    assert "\n" not in refused.value.message
    assert refused.value.exit_code == 3


def test_a_hub_that_is_down_is_named(hub, stop):
    stop()

    with pytest.raises(ModelError, match=r"http://127\.0\.0\.1:9 does not answer") as refused:
        model_files.find(NAME)

    assert "MODERATION_MODEL=demo" in refused.value.hint


def test_a_name_that_no_hub_can_have_is_wrong_usage(hub):
    with pytest.raises(UsageError, match="cannot be a hub id"):
        model_files.find("org/-name-@v1")


def test_the_token_is_given_to_the_hub_and_to_nobody_else(hub, monkeypatch):
    hub.token = "s3cret"
    monkeypatch.setenv("HF_TOKEN", "s3cret")

    assert model_files.find(NAME).is_dir()
    assert hub.token_hosts == {"127.0.0.1"}
    assert any(one.startswith("model.safetensors") for one in hub.downloads())


def test_a_revision_leads_out_of_no_cache(hub, cache):
    (cache / "models--org--name").mkdir(parents=True)
    (cache / "outside").write_text(COMMIT)

    assert hub_cache._find(HUB_ID, "../../outside") is None


def test_a_broken_connection_is_taken_up_again(hub):
    hub.breaks["model.safetensors"] = 1

    assert model_files.find(NAME).is_dir()


def test_an_error_of_another_library_is_one_line(hub, monkeypatch):
    def fail(*_, **__):
        raise httpx2.ProxyError("the proxy\nis away")

    monkeypatch.setattr(hub_cache, "snapshot_download", fail)
    with pytest.raises(ModelError, match=r"does not answer: the proxy$"):
        model_files.find(NAME)
