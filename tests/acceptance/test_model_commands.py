"""`moderate model list` and `moderate model fetch` as an operator uses them, from nothing to judged pictures."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from safetensors.torch import load_file
from support.hub_server import COMMIT, HUB_ID, running_hub, use_hub
from support.models import make_model, make_pickled
from support.pictures import drawing, encoded

from worker.encoder.hub.presets import PRESETS

POLICY = """
name: default
background: [a dog, an owl]
labels:
  cats: {prompts: [a cat], review: 0.5}
"""
#: What a busy machine takes to be under way, or to leave.
PATIENCE_SECONDS = 60


@pytest.fixture
def hub():
    with running_hub() as server:
        yield server


@pytest.fixture
def out(tmp_path):
    return tmp_path / "model"


def command(hub, tmp_path, *arguments):
    """Return how the command is started as from a shell, with the hub of the environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    return {
        "args": [sys.executable, "-m", "worker", "model", "fetch", *map(str, arguments)],
        "env": environment,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }


def test_the_list_pins_every_model_in_full(moderate):
    listed = moderate("model", "list")
    assert listed.exit_code == 0
    for preset in PRESETS:
        assert f"{preset.name}: {preset.hub_id}@{preset.commit}" in listed.out
    assert "moderate bench" in listed.out
    rows = [line for line in listed.out.splitlines() if "224 x 224" in line or "384 x 384" in line]
    assert [line.split()[0] for line in rows if "pickled" in line] == ["clip-b32", "clip-b16"]

    models = {one["name"]: one for one in json.loads(moderate("model", "list", "--json").out)}
    assert models["clip-l14"] == {
        "name": "clip-l14",
        "hub_id": "openai/clip-vit-large-patch14",
        "commit": "32bd64288804d66eefd0ccbe215aa642df71cc41",
        "model": "openai/clip-vit-large-patch14@32bd64288804d66eefd0ccbe215aa642df71cc41",
        "use": "the usual choice to begin with; most published figures are of it",
        "parameters_millions": 428,
        "license": "MIT",
        "input_pixels": 224,
        "relative_cost": 18,
        "is_pickled": False,
        "estimated_pictures_a_second": models["clip-l14"]["estimated_pictures_a_second"],
    }
    fast, slow = (models[name]["estimated_pictures_a_second"] for name in ("clip-b32", "clip-l14"))
    assert fast / slow == pytest.approx(18, rel=0.1)
    assert models["clip-b32"]["model"].endswith("@3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268")


def test_from_nothing_to_judged_pictures(moderate, hub, tmp_path, out):
    """Of the hub that the environment names, with weights that are converted on the way."""
    pickled, safe = make_pickled(tmp_path)
    hub.hold(pickled)
    fetched = subprocess.run(**command(hub, tmp_path, HUB_ID, "--out", out), check=False)

    assert fetched.returncode == 0, fetched.stderr
    assert "fetching" not in fetched.stderr, "no bar without a terminal"
    assert f"fetched {HUB_ID}@{COMMIT} into" in fetched.stdout
    assert "converted to safetensors: pytorch_model.bin" in fetched.stdout
    assert f"MODERATION_MODEL={out} moderate scan" in fetched.stdout
    theirs, ours = load_file(safe / "model.safetensors"), load_file(out / "model.safetensors")
    assert all((ours[key] == theirs[key]).all() for key in theirs)
    mode = (out / "model.safetensors").stat().st_mode
    assert mode == (out / "config.json").stat().st_mode, "workers may be another user"

    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "default.yaml").write_text(POLICY)
    (tmp_path / "picture.png").write_bytes(encoded(drawing(), "PNG"))
    scanned = moderate("scan", tmp_path / "picture.png", model=out, policies=tmp_path / "policies")
    assert scanned.exit_code == 0, scanned.err
    assert "picture.png" in scanned.out


def test_a_run_that_is_ended_leaves_no_folder_and_the_next_goes_on(moderate, monkeypatch, hub, tmp_path, out):
    hub.hold(make_model("clip", tmp_path / "clip"))
    hub.stalls = {"model.safetensors"}
    with subprocess.Popen(**command(hub, tmp_path, HUB_ID, "--out", out)) as process:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not any(one.startswith("model.safetensors") for one in hub.downloads()):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode != 0
    assert "the partial download is kept" in said
    assert "Traceback" not in said
    assert not out.exists()

    hub.stalls.clear()
    hub.go_on.set()
    hub.asked.clear()
    use_hub(monkeypatch, hub.url, tmp_path / "cache")
    report = json.loads(moderate("model", "fetch", HUB_ID, "--out", out, "--json").out)
    assert [one.partition(" ")[0] for one in hub.downloads()] == ["model.safetensors"]
    assert report["model"] == f"{HUB_ID}@{COMMIT}"
    assert not report["was_there"]

    again = moderate("model", "fetch", HUB_ID, "--out", out)
    assert again.exit_code == 0
    assert "is complete and unchanged" in again.out


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("clip-l15", 2, "did you mean clip-l14?"),
        ("org/other", 3, "the hub has no model org/other"),
        (f"{HUB_ID}@other", 3, "there is no such revision"),
    ],
)
def test_what_cannot_be_fetched_is_an_error_of_two_lines(  # noqa: PLR0913, PLR0917 - a case, and its place
    moderate, monkeypatch, hub, tmp_path, name, code, message
):
    hub.hold(make_model("clip", tmp_path / "clip"))
    use_hub(monkeypatch, hub.url, tmp_path / "cache")

    refused = moderate("model", "fetch", name, "--out", tmp_path / "out")

    assert refused.exit_code == code
    assert message in refused.err
    assert refused.err.startswith("error: ")
    assert refused.err.count("\n") == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("m" * 300, "File name too long"),
        (".", "is the current folder"),
        ("/proc", "is the root of a mounted file system"),
    ],
)
def test_a_folder_that_cannot_be_made_is_wrong_usage(moderate, monkeypatch, tmp_path, out, message):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")

    refused = moderate("model", "fetch", "clip-l14", "--out", out)

    assert refused.exit_code == 2
    assert message in refused.err
    assert "Traceback" not in refused.err


def test_offline_mode_is_named_with_the_way_out(moderate, monkeypatch, hub, tmp_path, out):
    use_hub(monkeypatch, hub.url, tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    refused = moderate("model", "fetch", "clip-l14", "--out", out)

    assert refused.exit_code == 3
    assert "HF_HUB_OFFLINE is set" in refused.err
    assert "hint: unset HF_HUB_OFFLINE until it is downloaded" in refused.err


def test_without_a_network_the_hub_is_named(moderate, monkeypatch, tmp_path):
    use_hub(monkeypatch, "http://127.0.0.1:9", tmp_path / "cache")

    refused = moderate("model", "fetch", "clip-b32", "--out", tmp_path / "out")

    assert refused.exit_code == 3
    assert "http://127.0.0.1:9 does not answer" in refused.err
    assert list(tmp_path.iterdir()) == []
