"""`moderate model export` as an operator uses it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from moderation_demo import PICTURES
from support.models import make_model
from support.pictures import drawing, encoded

POLICY = """
name: default
background: [a dog, an owl]
labels:
  cats: {prompts: [a cat], review: 0.5}
"""
#: What a busy machine takes to be under way with an export, or to leave one.
PATIENCE_SECONDS = 60


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "uploads"
    folder.mkdir()
    for n in range(12):
        (folder / f"{n}.png").write_bytes(encoded(drawing(60 + 9 * n, 170 - 8 * n), "PNG"))
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def model(tmp_path):
    return make_model("clip", tmp_path / "clip")


@pytest.fixture
def export(moderate, monkeypatch, tmp_path, model, pictures):
    # A trial takes seconds; that the best is chosen, the bundled model's tests see.
    monkeypatch.setattr("worker.encoder.towers.int8_export._SMOOTHINGS", (-1.0,))
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "default.yaml").write_text(POLICY)
    out = tmp_path / "int8"

    def call(*options, int8=pictures, out=out, **settings):
        known = {"model": model, "policies": policies, "policy": "default", "decoder_processes": 1}
        return moderate("model", "export", "--int8", int8, "--out", out, *options, **(known | settings))

    return call


def left_in(folder):
    return sorted(path.name for path in folder.iterdir() if "int8" in path.name)


def test_a_copy_is_made_measured_and_used(export, moderate, tmp_path, model, pictures):
    made = export("--json")
    assert made.exit_code == 0, made.err
    report = json.loads(made.out)
    assert (report["calibrated"], report["compared"], report["unusable"]) == (6, 6, 1)
    assert 0.8 < report["cosine"]["least"] <= report["cosine"]["mean"] <= 1
    (policy,) = report["policies"]
    assert (policy["policy"], policy["failed_tests"]) == ("default", [])
    for flip in policy["flips"]:
        assert flip["file"].startswith(str(pictures))
        assert flip["before"]["labels"] != flip["after"]["labels"]
    names = {path.name for path in model.iterdir()}
    assert names < {path.name for path in (tmp_path / "int8").iterdir()}
    assert left_in(tmp_path) == ["int8"]

    scanned = moderate("scan", pictures, model=tmp_path / "int8")
    assert scanned.exit_code == 0, scanned.err
    labels = ("--labels", "a,b", "--json")
    classified = moderate("classify", pictures / "0.png", *labels, model=tmp_path / "int8")
    assert len(json.loads(classified.out)) == 1
    assert "int8 is an int8 copy: its scores differ from those of transformers" in classified.err
    assert "int8 copy" not in moderate("classify", pictures / "0.png", *labels, model=model).err
    again = export(out=tmp_path / "int8-again", model=tmp_path / "int8")
    assert again.exit_code == 2
    assert "in int8 already" in again.err
    assert left_in(tmp_path) == ["int8"]


def test_people_read_how_far_it_drifts_and_what_flips(export, tmp_path):
    (tmp_path / "int8").mkdir()
    made = export()
    assert made.exit_code == 0, made.err
    assert "int8, made with 6 pictures" in made.out
    assert "left out because they cannot be judged: 1 files" in made.out
    assert "On 6 others, against float32: mean cosine 0.9" in made.out
    assert "of 6" in made.out
    assert f"MODERATION_MODEL={tmp_path / 'int8'}" in made.out


def test_what_is_there_is_not_overwritten(export, tmp_path):
    (tmp_path / "int8").mkdir()
    (tmp_path / "int8" / "mine").touch()
    refused = export()
    assert refused.exit_code == 2
    assert "is there already" in refused.err
    assert left_in(tmp_path / "int8") == []
    assert export(out=tmp_path / "nowhere" / "int8").exit_code == 2
    mounted = export(out=Path("/dev/shm"))
    assert mounted.exit_code == 2
    assert "is the root of a mounted file system" in mounted.err


@pytest.mark.parametrize(
    ("names", "message"),
    [([], "no files in"), (["a.png", "b.jpg"], "of 2 files 0 are pictures, and 10 are needed")],
)
def test_a_folder_without_pictures_makes_no_model(export, tmp_path, names, message):
    folder = tmp_path / "texts"
    folder.mkdir()
    for name in names:
        (folder / name).write_text("no picture")
    refused = export(int8=folder)
    assert refused.exit_code == 2
    assert message in refused.err
    assert left_in(tmp_path) == []


def test_a_family_that_cannot_be_exported_says_so(export, tmp_path):
    refused = export(model=make_model("siglip2", tmp_path / "siglip2"))
    assert refused.exit_code == 3
    assert "models of the type siglip2 cannot be exported" in refused.err


@pytest.mark.parametrize(("package", "name"), [("nncf", "NNCF"), ("openvino", "OpenVINO")])
def test_a_missing_package_is_named_with_its_extra(export, monkeypatch, package, name):
    monkeypatch.setitem(sys.modules, package, None)
    refused = export()
    assert refused.exit_code == 3
    assert f"needs {name}, which is not installed" in refused.err
    assert "pip install 'moderation-worker[int8]'" in refused.err


@pytest.mark.exhaustive
def test_an_export_that_is_ended_leaves_nothing(tmp_path):
    out = tmp_path / "int8"
    command = [sys.executable, "-m", "worker", "model", "export"]
    environment = os.environ | {"MODERATION_DECODER_PROCESSES": "1"}
    with subprocess.Popen(
        [*command, "--int8", PICTURES, "--out", out],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not left_in(tmp_path) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert left_in(tmp_path), process.communicate()[0]
        assert not out.exists(), "it is hidden until it is whole"
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=PATIENCE_SECONDS)[0].decode()
    assert process.returncode != 0
    assert "Traceback" not in said
    assert left_in(tmp_path) == []
