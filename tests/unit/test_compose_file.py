"""The compose file keeps to its specification, to what this version understands, and to what we promise of it."""

import json
import re
from pathlib import Path

import pytest
import typer.main
import yaml
from jsonschema import Draft7Validator

from worker.cli.main import app
from worker.settings import Settings

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "tests" / "compose_specification" / "compose-spec.json"
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
FILE = yaml.safe_load(TEXT)
SERVICES = FILE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["command"][0] == "moderate"}


def seconds(duration: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([sm])", duration).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


def test_it_keeps_to_the_compose_specification():
    validator = Draft7Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(FILE)] == []


def test_its_parts_are_those_that_a_deployment_has():
    assert set(SERVICES) == {"redis", "postgres", "migrate", "worker", "schedule", "web"}
    assert set(OURS) == {"migrate", "worker", "schedule", "web"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_can_do_no_more_than_it_must(name):
    service = SERVICES[name]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert service["restart"] == ("on-failure" if name == "migrate" else "unless-stopped")
    assert ("healthcheck" in service) == (name != "migrate")
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_one_image_is_built_once_and_shared():
    assert len({service["image"] for service in OURS.values()}) == 1
    assert [name for name, service in SERVICES.items() if "build" in service] == ["migrate"]
    assert f"\nUSER {SERVICES['worker']['user']}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_of_the_command_lines(name):
    found = typer.main.get_command(app)
    words = OURS[name]["command"][1:]
    while words and hasattr(found, "commands"):
        found, words = found.commands[words[0]], words[1:]
        found = found.load() if hasattr(found, "load") else found
    options = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_and_its_value_fits(name, monkeypatch):
    environment = OURS[name]["environment"]
    ours = {variable for variable in environment if variable.startswith("MODERATION_")}
    assert {variable.removeprefix("MODERATION_").lower() for variable in ours} <= set(Settings.model_fields)
    for variable in ours:
        value = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", environment[variable])
        assert "$" not in value
        monkeypatch.setenv(variable, value)
    assert Settings.read().metrics_port == 9100


def test_workers_leave_to_the_schedule_what_is_its_business():
    assert OURS["worker"]["environment"]["MODERATION_SCHEDULE_IN_WORKERS"] == "false"
    assert OURS["schedule"]["command"] == ["moderate", "schedule"]


def test_no_secret_is_in_the_file():
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            assert not re.search("PASSWORD|SECRET|KEY|TOKEN", variable) or variable.endswith("_FILE"), value
            assert not re.search(r"//[^/\s]*:[^/\s]*@", value), f"{variable} has a password"
    # Other sources than files cannot be given to a container whose root is read-only.
    assert all(set(secret) == {"file"} for secret in FILE["secrets"].values())
    for name in ("migrate", "worker", "schedule", "web"):
        assert SERVICES[name]["secrets"] == ["moderation_database_password"]
    assert "secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()[1] == "*"


def test_redis_keeps_what_it_has():
    command = SERVICES["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"


def test_redis_and_postgresql_are_reached_by_ours_alone():
    assert FILE["networks"]["inside"] == {"internal": True}
    assert SERVICES["redis"]["networks"] == SERVICES["postgres"]["networks"] == ["inside"]


def test_a_worker_is_given_the_time_its_jobs_may_take():
    defaults = Settings.model_fields
    job = defaults["download_seconds"].default + defaults["decode_seconds"].default
    assert seconds(OURS["worker"]["stop_grace_period"]) >= job + 30
    assert "container_name" not in OURS["worker"], "a worker has to be scalable"
    assert "ports" not in OURS["worker"], "a worker has to be scalable"


def test_work_begins_when_the_tables_are_there():
    for name in ("worker", "schedule", "web"):
        assert OURS[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert OURS[name]["depends_on"]["postgres"] == {"condition": "service_healthy"}
