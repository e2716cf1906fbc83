"""The compose file keeps to its specification, to what this version understands, and to what we promise of it."""

import json
import re
from pathlib import Path

import pytest
import typer.main
import yaml
from jsonschema import Draft7Validator

from worker import __version__
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
        if environment[variable] is not None:
            assert "$" not in environment[variable]
            monkeypatch.setenv(variable, environment[variable])
    assert Settings.read().metrics_port == 9100


@pytest.mark.parametrize("name", OURS)
def test_every_other_setting_comes_from_a_file_that_need_not_be_there(name):
    assert OURS[name]["env_file"] == [{"path": ".env", "required": False}]
    # A value here would win over the file's; an empty one is what the shell or the file says.
    fixed = {variable for variable, value in OURS[name]["environment"].items() if value is not None}
    assert {"MODERATION_MODEL", "MODERATION_POLICY"} & fixed == set()
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_what_the_file_itself_reads_is_no_misspelt_setting(monkeypatch):
    """All of `.env` reaches the containers, so a name of Compose's own must not stop them."""
    for variable in set(re.findall(r"\$\{(\w+)", TEXT)) - {"MODERATION_POLICIES"}:
        monkeypatch.setenv(variable, "6g")
    assert Settings.read()


def test_a_chosen_model_is_not_given_the_policy_of_stickers(monkeypatch):
    assert OURS["worker"]["environment"]["MODERATION_POLICY"] is None
    monkeypatch.setenv("MODERATION_MODEL", "openai/clip-vit-base-patch32")
    assert Settings.read().policy == "default"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded(name):
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    cpus, memory = (re.sub(r"\$\{\w+:-(.*?)\}", r"\1", limits[kind]) for kind in ("cpus", "memory"))
    assert 0 < float(cpus) <= 2
    assert re.fullmatch(r"[1-9]g", memory)


def test_redis_has_room_beyond_what_it_stores():
    command = SERVICES["redis"]["command"]
    assert command[command.index("--maxmemory") + 1] == "1gb"
    assert SERVICES["redis"]["deploy"]["resources"]["limits"]["memory"] == "2g"


def test_every_image_is_pinned_to_a_minor_version():
    for name, service in SERVICES.items():
        image = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", service["image"])
        assert re.search(r":\d+\.\d+[\w.-]*$|@sha256:[0-9a-f]{64}$", image), name
    assert OURS["worker"]["image"].endswith(f":{__version__}}}")
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(set(bases)) == 1
    assert all(re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", base) for base in bases)


def test_a_stuck_worker_leaves_and_is_started_again():
    assert Settings.model_fields["exit_when_stuck"].default is True
    assert OURS["worker"]["restart"] == "unless-stopped"
    assert "MODERATION_EXIT_WHEN_STUCK" not in OURS["worker"]["environment"]


def test_workers_leave_to_the_schedule_what_is_its_business():
    assert OURS["worker"]["environment"]["MODERATION_SCHEDULE_IN_WORKERS"] == "false"
    assert OURS["schedule"]["command"] == ["moderate", "schedule"]


def test_no_secret_is_in_the_file():
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            assert not re.search("PASSWORD|SECRET|KEY|TOKEN", variable) or variable.endswith("_FILE"), value
            assert not re.search(r"//[^/\s]*:[^/\s]*@", value or ""), f"{variable} has a password"
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
