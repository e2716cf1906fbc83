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

from worker import child_python
from worker.encoder.fetching import model_fetch, unpickling_child
from worker.encoder.fetching.model_manifest import MANIFEST, Manifest
from worker.encoder.hub import hub as hub_client
from worker.encoder.hub import model_files, presets
from worker.encoder.towers.transformers_encoder import TransformersEncoder
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


@pytest.mark.parametrize(
    "wrong",
    [
        {"commit": None},
        {"commit": "main"},
        {"hub_id": [1]},
        {"files": []},
        {"files": {}},
        {"files": {"config.json": 1}},
        {"converted": None},
        {"more": 1},
    ],
)
def test_a_manifest_that_fetch_did_not_write_is_refused(out, wrong):
    known = {"hub_id": HUB_ID, "revision": "main", "commit": COMMIT, "files": {"a": "b"}, "converted": {}}
    out.mkdir()
    (out / MANIFEST).write_text(json.dumps(known))
    assert Manifest.read(out).commit == COMMIT

    (out / MANIFEST).write_text(json.dumps(known | wrong))
    with pytest.raises(ModelError, match="is not what `moderate model fetch` wrote"):
        fetch(out)


def test_a_manifest_of_another_form_is_refused(out):
    out.mkdir()
    (out / MANIFEST).write_text("[1]")
    with pytest.raises(ModelError, match="is not a JSON object"):
        fetch(out)


def test_a_folder_is_that_of_the_revision_that_is_asked_for(hub, out):
    hub.references |= {"2024": COMMIT, "old": "d" * 40, "beef": "d" * 40}
    fetch(out, f"{HUB_ID}@v1")
    hub.asked.clear()
    for same in ("v1", COMMIT, COMMIT[:4], COMMIT[:12].upper()):
        assert fetch(out, f"{HUB_ID}@{same}").was_there
    assert hub.asked == [], "known without the hub"

    for same in ("main", "2024"):
        assert fetch(out, f"{HUB_ID}@{same}").was_there
    assert fetch(out).was_there

    hub.commit = hub.references["main"] = "d" * 40
    for other in ("main", "old", "beef", "d" * 40):
        with pytest.raises(UsageError, match=f"holds another model: {HUB_ID}@{COMMIT}, fetched as v1"):
            fetch(out, f"{HUB_ID}@{other}")
    with pytest.raises(UsageError, match="holds another model"):
        fetch(out)
    assert fetch(out, f"{HUB_ID}@v1").was_there, "a tag stays where it was when it was fetched"


@pytest.mark.parametrize("name", ["added_tokens.json", "vocab.json", "picture_tower_int8.xml"])
def test_a_file_that_was_added_and_would_be_read_is_refused(hub, out, name):
    fetch(out)
    (out / "notes.txt").write_text("mine")
    assert fetch(out).was_there

    (out / name).write_text("{}")
    with pytest.raises(ModelError, match=f"{name} was not fetched, and changes what the model computes"):
        fetch(out)


def test_a_folder_that_is_filled_during_the_download_is_not_overwritten_and_nothing_is_fetched_twice(
    hub, out, tmp_path
):
    hub.hold(make_pickled(tmp_path)[0])

    def fill(_done, _total):
        out.mkdir(exist_ok=True)
        (out / "mine").touch()

    with pytest.raises(UsageError, match="cannot be written: Directory not empty"):
        fetch(out, notify=fill)
    assert [path.name for path in out.iterdir()] == ["mine"]

    shutil.rmtree(out)
    hub.asked.clear()
    fetch(out)
    assert hub.downloads() == []
    assert (out / "model.safetensors").is_file()


def test_pickled_weights_stay_until_the_manifest_is_written(hub, out, tmp_path, monkeypatch):
    """A run that is ended before need not download them again."""
    hub.hold(make_pickled(tmp_path)[0])
    write, seen = Manifest.write, []

    def watch(manifest, work):
        seen.extend(file.name for file in work.glob("*.bin"))
        write(manifest, work)

    monkeypatch.setattr(Manifest, "write", watch)
    fetch(out)

    assert seen == ["pytorch_model.bin"]
    assert not list(out.glob("*.bin"))
    assert fetch(out).was_there


def test_a_branch_that_moved_leaves_nothing_of_the_run_that_was_interrupted(hub, out):
    hub.breaks["model.safetensors"] = 10**6
    for place in (out, out.with_name("siglip2.b")):
        with pytest.raises(ModelError):
            fetch(place)
    hub.breaks.clear()
    hub.commit = hub.references["main"] = "d" * 40

    fetch(out)

    assert left(out) == [f".siglip2.b.{COMMIT[:12]}.part", "siglip2"]


def test_a_work_folder_that_cannot_be_read_is_wrong_usage(hub, out):
    (out.parent / f".siglip2.{COMMIT[:12]}.part").write_text("a file")

    with pytest.raises(UsageError, match="siglip2 cannot be written: "):
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

    with pytest.raises(ModelError, match=f"{name} of {HUB_ID}@{COMMIT} arrived damaged"):
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

    assert problems == [f"another process is fetching {out} already"]


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
    assert hub.token_hosts == {"127.0.0.1"}, "not the host of large files"


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

    assert "pytorch_model.bin names posix.mkdir, but only tensors are allowed" in refused.value.message
    assert not (tmp_path / "ran").exists()
    assert not out.exists()


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_pickle_that_is_cut_off_is_refused_in_words(tmp_path, share, is_new):
    file = tmp_path / "pytorch_model.bin"
    torch.save({"weight": torch.ones(5000)}, file, _use_new_zipfile_serialization=is_new)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])

    with pytest.raises(UnpicklingError, match=r"^is not a pickle of tensors, or is broken$"):
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
from worker.encoder.fetching import unpickling_child
sys.addaudithook(unpickling_child.refuse)
for reach in (lambda: socket.create_connection(("127.0.0.1", {port})), lambda: subprocess.run(["true"])):
    try:
        reach()
    except PermissionError:
        continue
    raise SystemExit("reached")
"""


def test_python_refuses_sockets_and_programs_where_weights_are_unpickled(hub):
    assert run_python(REACHES_OUT, hub).returncode == 0


#: What code in the weights would do if it got around Python.
CONNECTS = """
import socket
from worker.encoder.fetching import unpickling_child
if not unpickling_child.leave_network():
    raise SystemExit(77)
try:
    socket.create_connection(("127.0.0.1", {port}))
except OSError:
    raise SystemExit(0)
raise SystemExit("connected")
"""


def test_no_network_is_there_where_weights_are_unpickled(hub):
    run = run_python(CONNECTS, hub)
    if run.returncode == 77:
        pytest.skip("this system forbids namespaces")
    assert (run.returncode, run.stderr) == (0, b"")


def run_python(source, hub):
    port = hub.url.rpartition(":")[2]
    return subprocess.run([sys.executable, "-c", source.format(port=port)], check=False, capture_output=True)


#: Runs a program where no namespace can be made, as under Docker's own rules.
WITHOUT_NAMESPACES = (
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    'cd /proc/sys/user && echo 0 >max_user_namespaces && echo 0 >max_net_namespaces && cd / && exec "$@"',
    "sh",
)


def is_possible(*command):
    return bool(shutil.which(command[0])) and not subprocess.run([*command, "true"], check=False).returncode


def test_a_network_that_cannot_be_left_is_said(hub, out, tmp_path, monkeypatch, caplog):
    if not is_possible(*WITHOUT_NAMESPACES):
        pytest.skip("this system does not let namespaces be forbidden")
    command = child_python.command
    monkeypatch.setattr(child_python, "command", lambda *parts: [*WITHOUT_NAMESPACES, *command(*parts)])
    hub.hold(make_pickled(tmp_path)[0])

    fetch(out)

    assert f"weights of {HUB_ID}@{COMMIT} were converted without one protection" in caplog.text
    assert TransformersEncoder.load(str(out)).dimension == 16


def test_nothing_in_the_current_folder_runs_or_disturbs_the_conversion(
    hub, out, tmp_path, monkeypatch, caplog
):
    hub.hold(make_pickled(tmp_path)[0])
    here = tmp_path / "here"
    for module in ("torch.py", "worker/__init__.py", "json.py"):
        (here / module).parent.mkdir(parents=True, exist_ok=True)
        (here / module).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit(1)\n")
    monkeypatch.chdir(here)

    fetch(out)

    assert (out / "model.safetensors").is_file()
    assert not (tmp_path / "ran").exists()
    assert ("without one protection" in caplog.text) is not is_possible("unshare", "--user", "--net")


BOMB = """
import sys
import numpy
from worker.encoder.fetching import unpickling_child
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
    preset = next(one for one in presets.PRESETS if not one.is_pickled)
    hub.hold(folder, preset.hub_id)
    hub.commit = preset.commit

    found = model_files.find(preset.name)
    assert found.name == preset.commit
    assert found == model_files.find(preset.pinned)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / preset.name)
    assert model_files.find(preset.name) == Path(preset.name), "a folder of this name comes first"
