"""A model is fetched into a folder whole or not at all, goes on where it stopped, and is checked."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from pickle import UnpicklingError

import pytest
import torch
from huggingface_hub import file_download
from safetensors.torch import load_file
from support.hub_server import COMMIT, HUB_ID, running_hub, use_hub
from support.models import make_model, make_pickled
from support.published import publish

from worker.encoder import hub as hub_client
from worker.encoder import model_fetch, model_files, presets, unpickling_child
from worker.encoder.model_manifest import MANIFEST
from worker.encoder.transformers_encoder import TransformersEncoder
from worker.errors import ModelError, UsageError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return publish("google/siglip2-base-patch16-224", tmp_path_factory.mktemp("model"))


@pytest.fixture
def out(tmp_path):
    (tmp_path / "models").mkdir()
    return tmp_path / "models" / "siglip2"


@pytest.fixture
def hub(monkeypatch, tmp_path, folder):
    # The hub's client waits a second before it tries again.
    monkeypatch.setattr(file_download.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(hub_client, "_CHUNK_BYTES", 10_000)
    with running_hub() as server:
        server.hold(folder)
        use_hub(monkeypatch, server.url, tmp_path / "cache")
        yield server


def fetch(out, name=HUB_ID, notify=lambda _done, _total: None):
    return model_fetch.fetch(name, out, notify)


def starts(hub):
    """Return from where on the weights were sent, each time."""
    return [int(one.rpartition(" ")[2]) for one in hub.downloads() if one.startswith("model.safetensors ")]


def left(out):
    return sorted(path.name for path in out.parent.iterdir())


def test_a_model_is_fetched_with_its_checksums_and_loads(hub, folder, out):
    seen = []

    fetched = fetch(out, notify=lambda done, total: seen.append((done, total)))

    assert not fetched.was_there
    assert fetched.manifest.commit == COMMIT
    names = {file.name for file in model_files.files_of(folder)}
    assert {file.name for file in out.iterdir()} == names | {MANIFEST}
    assert fetched.manifest.files.keys() == names
    assert model_files.digest(out) == model_files.digest(folder), "wherever it comes from, vectors mix"
    assert TransformersEncoder.load(str(out)).dimension
    assert left(out) == ["siglip2"]
    size = sum((folder / name).stat().st_size for name in names)
    assert seen == sorted(seen)
    assert seen[-1] == (size, size)


def test_a_hub_that_lists_names_alone_is_asked_for_each_file(hub, folder, out):
    hub.is_brief = True
    hub.breaks["model.safetensors"] = 2

    fetch(out)

    assert model_files.digest(out) == model_files.digest(folder)
    assert len(starts(hub)) == 3


def test_only_what_is_needed_is_fetched(hub, out, tmp_path):
    both = make_model("clip", tmp_path / "both")
    for other in ("pytorch_model.bin", "tf_model.h5", "model.fp16.safetensors", "README.md", "run.py"):
        (both / other).write_bytes(b"other")
    hub.hold(both)

    fetch(out)

    assert {name.partition(" ")[0] for name in hub.downloads()} == {
        file.name for file in model_files.files_of(both)
    }


def test_a_second_run_checks_what_is_there_and_asks_no_hub(hub, out, monkeypatch, tmp_path):
    first = fetch(out)
    use_hub(monkeypatch, "http://127.0.0.1:9", tmp_path / "cache")

    again = fetch(out)
    assert again.was_there
    assert again.manifest == first.manifest
    assert fetch(out, f"{HUB_ID}@{COMMIT}").was_there

    for name in ("org/other", f"{HUB_ID}@{'d' * 40}", "clip-b32"):
        with pytest.raises(UsageError, match=f"holds another model: {HUB_ID}@{COMMIT}"):
            fetch(out, name)

    weights = out / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match=r"model\.safetensors is not the file that was fetched") as refused:
        fetch(out)
    assert f"remove {out}" in refused.value.hint
    weights.unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors is missing"):
        fetch(out)
    (out / MANIFEST).write_text('{"files": []}')
    with pytest.raises(ModelError, match="is not what `moderate model fetch` wrote"):
        fetch(out)


def test_a_broken_connection_is_taken_up_where_it_broke(hub, folder, out):
    hub.breaks["model.safetensors"] = 2

    fetch(out)

    first, second, third = starts(hub)
    half = (folder / "model.safetensors").stat().st_size / 2
    assert first == 0
    assert half - 10_000 <= second <= half
    assert second < third
    assert model_files.digest(out) == model_files.digest(folder)


def test_a_run_that_failed_leaves_no_folder_and_the_next_goes_on(hub, folder, out):
    size = (folder / "model.safetensors").stat().st_size
    hub.breaks["model.safetensors"] = 10**6
    with pytest.raises(ModelError, match="cannot be downloaded"):
        fetch(out)
    assert not out.exists()
    assert left(out) == [f".siglip2.{COMMIT[:12]}.part"]

    hub.breaks.clear()
    hub.asked.clear()
    fetch(out)

    assert len(hub.downloads()) == 1
    (start,) = starts(hub)
    assert size / 2 - 10_000 < start < size
    assert model_files.digest(out) == model_files.digest(folder)
    assert left(out) == ["siglip2"]


@pytest.mark.parametrize("length", [lambda _: 1, lambda size: size, lambda size: size + 1])
def test_what_was_changed_between_two_runs_is_fetched_again(hub, folder, out, length):
    hub.breaks["model.safetensors"] = 10**6
    with pytest.raises(ModelError):
        fetch(out)
    (work,) = out.parent.iterdir()
    (work / "config.json").write_text("{}")
    size = (folder / "model.safetensors").stat().st_size
    (work / "model.safetensors.part").write_bytes(bytes(length(size)))

    hub.breaks.clear()
    fetch(out)

    assert model_files.digest(out) == model_files.digest(folder)


@pytest.mark.parametrize("is_brief", [False, True])
def test_what_comes_damaged_is_refused_by_its_checksum(hub, folder, out, is_brief):
    name, hub.is_brief = "model.safetensors", is_brief
    data = (folder / name).read_bytes()
    hub.damages[name] = data[:-1] + bytes([data[-1] ^ 1])

    with pytest.raises(ModelError, match=f"{name} of {HUB_ID}@{COMMIT} came damaged"):
        fetch(out)

    assert not out.exists()
    hub.damages.clear()
    fetch(out)
    assert model_files.digest(out) == model_files.digest(folder)


def test_another_process_that_fetches_the_same_is_not_disturbed(hub, out):
    problems = []

    def again(_done, _total):
        if not problems:
            with pytest.raises(UsageError) as refused:
                fetch(out)
            problems.append(refused.value.message)

    fetch(out, notify=again)

    assert problems == [f"another process fetches {out} already"]


def test_a_model_of_another_kind_costs_its_configuration_alone(hub, folder, out, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "config.json").write_text('{"model_type": "bert"}')
    hub.hold(other)

    with pytest.raises(ModelError, match="its type is bert"):
        fetch(out)

    assert hub.downloads() == ["config.json from 0"]
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "has no config.json"),
        ("model.safetensors", "has no weights"),
        ("preprocessor_config.json", "has no image processor"),
    ],
)
def test_a_repository_that_lacks_something_leaves_no_folder(hub, out, tmp_path, name, message):
    other = make_model("clip", tmp_path / "other")
    (other / name).unlink()
    hub.hold(other)

    with pytest.raises(ModelError, match=message):
        fetch(out)

    assert not out.exists()


def test_a_disk_without_room_is_named_before_anything_is_fetched(hub, out, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))

    with pytest.raises(ModelError, match=r"the model needs 0\.0 GB, and .*models has room for 0\.0 GB"):
        fetch(out)

    assert hub.downloads() == []


@pytest.mark.skipif(
    os.geteuid() != 0 or sys.platform != "linux", reason="needs a small file system of its own"
)
def test_a_disk_that_fills_up_is_one_line(hub, out, monkeypatch):
    out.parent.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", out.parent], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    monkeypatch.setattr(model_fetch, "_check_room", lambda *_: None)
    try:
        with pytest.raises(ModelError, match="no room left on the disk"):
            fetch(out)
    finally:
        subprocess.run(["umount", out.parent], check=True)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("clip-l15", "did you mean clip-l14?"),
        ("nothing like it", "moderate model list"),
        ("a/b/c", "org/name"),
    ],
)
def test_a_name_that_is_neither_preset_nor_id_is_wrong_usage(hub, out, name, hint):
    with pytest.raises(UsageError, match="is neither a preset nor a hub id") as refused:
        fetch(out, name)

    assert hint in refused.value.hint


def test_a_folder_that_is_taken_or_has_no_place_is_wrong_usage(hub, out, tmp_path):
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(UsageError, match="is there already"):
        fetch(out)
    with pytest.raises(UsageError, match="there is no folder"):
        fetch(tmp_path / "nowhere" / "model")
    assert hub.downloads() == []


def test_a_gated_model_names_the_page_and_the_token_opens_it(hub, out, monkeypatch):
    hub.token, hub.is_gated = "s3cret", True
    with pytest.raises(ModelError, match="to registered users only") as refused:
        fetch(out)
    assert refused.value.hint == f"accept its terms at {hub.url}/{HUB_ID}, then set HF_TOKEN"

    monkeypatch.setenv("HF_TOKEN", "s3cret")
    fetch(out)

    assert out.is_dir()
    assert hub.told == {"127.0.0.1"}, "not the host of large files"


def test_pickled_weights_in_parts_are_converted_part_by_part(hub, out, tmp_path):
    folder, safe = make_pickled(tmp_path)
    (folder / "pytorch_model.bin").unlink()
    weights = load_file(safe / "model.safetensors")
    parts = {f"pytorch_model-0000{n + 1}-of-00002.bin": sorted(weights)[n::2] for n in range(2)}
    for is_new, (name, keys) in enumerate(parts.items()):
        own = {key: weights[key] for key in keys}
        # One in the format of PyTorch before 1.6, as the oldest repositories have it.
        torch.save(own, folder / name, _use_new_zipfile_serialization=bool(is_new))
    index = {"metadata": {}, "weight_map": {key: name for name, keys in parts.items() for key in keys}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    hub.hold(folder)

    fetch(out)

    assert not list(out.glob("*.bin*"))
    shards = sorted(out.glob("model-*-of-00002.safetensors"))
    converted = load_file(shards[0]) | load_file(shards[1])
    assert converted.keys() == weights.keys()
    assert all(torch.equal(converted[key], weights[key]) for key in weights)
    assert TransformersEncoder.load(str(out)).dimension == 16


class Evil:
    """Makes a file where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def test_a_pickle_that_names_more_than_tensors_is_refused(hub, out, tmp_path):
    folder, _ = make_pickled(tmp_path)
    torch.save({"weight": Evil(tmp_path / "ran")}, folder / "pytorch_model.bin")
    hub.hold(folder)

    with pytest.raises(ModelError, match=r"pickled weights of org/name@\w+ are not converted") as refused:
        fetch(out)

    assert "pytorch_model.bin names posix.mkdir, and may name tensors alone" in refused.value.message
    assert not (tmp_path / "ran").exists()
    assert not out.exists()


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_pickle_that_is_cut_off_is_refused_in_words(tmp_path, share, is_new):
    file = tmp_path / "pytorch_model.bin"
    torch.save({"weight": torch.ones(5000)}, file, _use_new_zipfile_serialization=is_new)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])

    with pytest.raises(UnpicklingError, match=r"^is no pickle of tensors, or broken$"):
        unpickling_child.read(file)


@pytest.mark.parametrize(
    ("loaded", "is_flat"),
    [
        ({"weight": torch.zeros(2)}, True),
        ({"state_dict": {"weight": torch.zeros(2)}}, False),
        ({"weight": torch.zeros(2), "epoch": 3}, False),
        ({1: torch.zeros(2)}, False),
        ({}, False),
        ([torch.zeros(2)], False),
        (torch.zeros(2), False),
    ],
)
def test_weights_are_tensors_by_name_and_nothing_else(loaded, is_flat):
    assert unpickling_child._is_flat(loaded, torch.Tensor) is is_flat


REACHES_OUT = """
import socket, subprocess, sys
from worker.encoder import unpickling_child
unshared = unpickling_child.leave_network()
sys.addaudithook(unpickling_child.refuse)
for reach in (lambda: socket.create_connection(("127.0.0.1", {port})), lambda: subprocess.run(["true"])):
    try:
        reach()
    except PermissionError:
        continue
    raise SystemExit("reached")
"""


def test_the_process_that_unpickles_reaches_nothing(hub):
    port = hub.url.rpartition(":")[2]
    run = subprocess.run(
        [sys.executable, "-c", REACHES_OUT.format(port=port)], check=False, capture_output=True
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")


BOMB = """
import sys
import numpy
from worker.encoder import unpickling_child
unpickling_child.limit_resources(1000)
try:
    numpy.ones(2**30)
except MemoryError:
    sys.exit(7)
"""


def test_the_process_that_unpickles_is_bounded_by_its_files_size():
    assert subprocess.run([sys.executable, "-c", BOMB], check=False).returncode == 7


def test_every_preset_is_pinned_to_a_whole_commit_and_named_once():
    assert len(presets.PINNED) == len(presets.PRESETS)
    for preset in presets.PRESETS:
        assert len(bytes.fromhex(preset.commit)) == 20
        assert model_files.split_hub_id(preset.name) == (preset.hub_id, preset.commit)


def test_a_preset_is_a_model_by_its_name(hub, folder, monkeypatch, tmp_path):
    preset = presets.PRESETS[0]
    hub.hold(folder, preset.hub_id)
    hub.commit = preset.commit

    found = model_files.find(preset.name)
    assert found.name == preset.commit
    assert found == model_files.find(preset.pinned)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / preset.name)
    assert model_files.find(preset.name) == Path(preset.name), "a folder of this name comes first"
