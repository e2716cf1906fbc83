"""What `moderate init` writes agrees with the repository's own files, and nothing is ever half-written."""

import json
import re
import stat
import tomllib
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from worker.encoder.hub.presets import PRESETS
from worker.errors import UsageError
from worker.scaffold import deployment_folder
from worker.scaffold.deployment_folder import CONTENTS, MODEL_OF_PHOTOGRAPHS, NEXT, write_deployment

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
UNITS = ("worker", "web")


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "100 % mine"
    write_deployment(folder)
    return folder


def unit(folder: Path, name: str) -> dict[str, list[str]]:
    """Return the values of each key of a unit; a key may be there more than once."""
    text = (folder / "systemd" / f"moderation-{name}.service").read_text(encoding="utf-8")
    values: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        values.setdefault(key, []).append(value)
    return values


def files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_what_it_says_that_it_wrote_is_there(folder):
    assert [place for place in CONTENTS if not (folder / place).exists()] == []
    assert all(f"`{place}`" in (folder / "README.md").read_text() for place in CONTENTS)
    assert NEXT in (folder / "README.md").read_text()


def test_the_settings_are_for_the_owner_alone_and_the_rest_is_for_all_services(folder):
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    assert (folder / "policies" / "uploads.yaml").stat().st_mode & stat.S_IRGRP


def test_the_compose_file_is_the_repositorys(folder):
    text = (folder / "docker-compose.yml").read_text(encoding="utf-8")
    written = yaml.safe_load(text)
    schema = json.loads((ROOT / "tests" / "compose_specification" / "compose-spec.json").read_text())
    assert list(Draft7Validator(schema).iter_errors(written)) == []
    assert written == COMPOSE
    assert (
        text.partition("\nx-service")[2]
        == (ROOT / "docker-compose.yml").read_text().partition("\nx-service")[2]
    )


def test_its_image_is_what_the_compose_file_expects(folder):
    written, ours = ((place / "Dockerfile").read_text(encoding="utf-8") for place in (folder, ROOT))
    for pattern in (
        r"^FROM (\S+)",
        r"^USER (.+)",
        r"^CMD (.+)",
        r"^ENV ((?:.+\\\n)*.+)",
        r"^RUN useradd .+\\\n.+",
    ):
        assert re.search(pattern, written, re.MULTILINE)[0] in ours
    assert "COPY" not in written
    assert (folder / ".dockerignore").read_text().splitlines()[-1] == "*"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in (
        f"moderation-worker[openvino,s3]=={project['version']}",
        project["optional-dependencies"]["demo"][0],
    ):
        assert f'"{requirement}"' in written


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_leaves_the_time_that_the_compose_file_leaves(folder, name):
    grace = COMPOSE["services"][name]["stop_grace_period"]
    assert f"{unit(folder, name)['TimeoutStopSec'][0]}s" == grace


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_runs_in_its_folder_with_its_settings(folder, name):
    escaped = str(folder).replace("%", "%%")
    values = unit(folder, name)
    assert values["WorkingDirectory"] == [escaped]
    assert values["EnvironmentFile"] == [f"{escaped}/.env"]
    assert re.fullmatch(rf'"/\S+/moderate" {name}', values["ExecStart"][0])


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_may_do_no_more_than_it_must(folder, name):
    values = unit(folder, name)
    assert values["NoNewPrivileges"] == ["yes"]
    assert values["ProtectSystem"] == ["strict"]
    assert values["CapabilityBoundingSet"] == [""]
    assert "ReadWritePaths" not in values
    (user,) = values["User"]
    assert f"useradd --system {user}" in (folder / "README.md").read_text()
    for place in (value.partition("=")[2] for value in values["Environment"]):
        assert "/var/lib/moderation/" in place


def test_the_units_differ_only_in_what_they_run(folder):
    worker, web = (unit(folder, name) for name in UNITS)
    differing = {key for key in {*worker, *web} if worker.get(key) != web.get(key)}
    assert differing == {"Description", "ExecStart", "TimeoutStopSec", "PrivateDevices"}


def test_without_the_demo_it_names_a_model_that_workers_download(tmp_path, monkeypatch):
    monkeypatch.setattr("worker.resources.demo_is_installed", lambda: False)
    assert write_deployment(tmp_path / "new")["model"] == MODEL_OF_PHOTOGRAPHS
    (preset,) = [preset for preset in PRESETS if preset.name == MODEL_OF_PHOTOGRAPHS]
    assert not preset.is_pickled
    assert f"\nMODERATION_MODEL={MODEL_OF_PHOTOGRAPHS}\n" in (tmp_path / "new" / ".env").read_text()
    policy = yaml.safe_load((tmp_path / "new" / "policies" / "uploads.yaml").read_text())
    assert policy["templates"] == ["a photo of {}", "a picture of {}"]


def test_an_empty_folder_is_filled_and_stays_itself(tmp_path):
    before = tmp_path.stat().st_ino
    write_deployment(tmp_path)
    assert tmp_path.stat().st_ino == before
    assert {".env", "README.md", "policies/uploads.yaml"} <= files(tmp_path)


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_what_exists_is_never_overwritten(tmp_path, kind):
    target = tmp_path / "mine"
    if kind == "file":
        target.write_text("mine")
    elif kind == "folder":
        target.mkdir()
        (target / "notes").write_text("mine")
    else:
        target.symlink_to(tmp_path / "nowhere")
    before = files(tmp_path)
    with pytest.raises(UsageError, match="mine"):
        write_deployment(target)
    assert files(tmp_path) == before
    assert target.is_symlink() == (kind == "dangling link")


@pytest.mark.parametrize("exists", [True, False])
def test_a_failure_midway_leaves_nothing(tmp_path, monkeypatch, exists):
    target = tmp_path / "new"
    if exists:
        target.mkdir()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(deployment_folder.shutil, "copyfile", fail)
    with pytest.raises(UsageError, match="new cannot be written: No space left on device"):
        write_deployment(target)
    assert list(tmp_path.rglob("*")) == ([target] if exists else [])
