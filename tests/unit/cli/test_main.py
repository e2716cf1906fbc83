"""`moderate` imports a command when it runs, shows options as they are typed, and reports errors as it was asked to."""

import inspect
import json
import os
import subprocess
import sys
from typing import Any

import pytest
import typer.main

from worker.cli.main import COMMANDS, LazyCommand, app

_MODULES = """
import atexit, sys
atexit.register(lambda: print(len(sys.modules), *sorted({name.split(".")[0] for name in sys.modules}), file=sys.stderr))
sys.argv = ["moderate", *sys.argv[1:]]
from worker.__main__ import main
main()
"""
HEAVY = {
    "torch",
    "transformers",
    "sqlalchemy",
    "celery",
    "kombu",
    "redis",
    "pydantic",
    "numpy",
    "PIL",
    "fastapi",
    "jinja2",
}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def every_command() -> dict[str, Any]:
    """Return all commands by what is typed, those of groups included."""
    found: dict[str, Any] = {}
    waiting = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    while waiting:
        name, command = waiting.popitem()
        found[name] = command.load() if isinstance(command, LazyCommand) else command
        waiting |= {f"{name} {inner}": one for inner, one in getattr(found[name], "commands", {}).items()}
    return dict(sorted(found.items()))


EVERY = every_command()


@pytest.mark.parametrize(("option", "most"), [("--version", 300), ("--help", 400)])
def test_what_needs_no_command_imports_none(option, most):
    ran = run("-c", _MODULES, option)
    count, *names = ran.stderr.split()
    assert (ran.returncode, HEAVY & set(names)) == (0, set())
    assert int(count) < most


def test_a_worker_is_named_and_described_without_torch():
    ran = run("-c", _MODULES, "worker", "--help")
    assert ran.returncode == 0
    assert {"torch", "transformers", "sqlalchemy"} & set(ran.stderr.split()) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_of_each_what_it_says_itself(name):
    said = inspect.cleandoc(EVERY[name].help).split("\n\n")[0].replace("\n", " ")
    assert COMMANDS[name][1] == said


@pytest.mark.parametrize("name", ["", *EVERY])
def test_a_flag_is_shown_as_it_is_typed(name, moderate):
    said = moderate(*name.split(), "--help")
    assert said.exit_code == 0
    assert "--help" in said.out
    assert "<bool>" not in said.out


def lines(ran):
    return [json.loads(line) for line in ran.stderr.splitlines()]


WRONG = {
    "a setting": (("status",), {"MODERATION_BATCH_SIZE": "many"}, 2),
    "a misspelt setting": (("worker",), {"MODERATION_BATCH_SIZ": "1"}, 2),
    "an option": (("worker", "--concurrency", "none"), {}, 2),
    "an option that is not there": (("web", "--hots", "::"), {}, 2),
    "a command that is not there": (("wrok",), {}, 2),
    "the level": (("worker",), {"MODERATION_LOG_LEVEL": "loud"}, 2),
    "the broker": (("worker",), {"MODERATION_BROKER_URL": "redis://127.0.0.1:1/0"}, 3),
    "the address": (
        ("web", "--host", "192.0.2.1"),
        {"MODERATION_DATABASE_URL": "sqlite:////nowhere/x.db"},
        None,
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_every_error_at_the_start_is_json_if_logs_are(what, tmp_path):
    arguments, environment, code = WRONG[what]
    ran = run("-m", "worker", *arguments, MODERATION_LOG_FORMAT="json", **environment)
    assert ran.returncode == code or (code is None and ran.returncode)
    assert ran.stdout == ""
    assert lines(ran)[-1]["level"] == "CRITICAL"


def test_an_unforeseen_error_is_one_object_with_its_traceback(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import worker.settings\ndef read(**_): raise RuntimeError('unforeseen')\nworker.settings.Settings.read = read\n"
    )
    ran = run("-m", "worker", "status", MODERATION_LOG_FORMAT="json", PYTHONPATH=str(tmp_path))
    (line,) = lines(ran)
    assert ran.returncode == 1
    assert (line["level"], line["traceback"].splitlines()[-1]) == ("CRITICAL", "RuntimeError: unforeseen")


def test_a_warning_is_json_if_logs_are(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import worker.settings, warnings\nread = worker.settings.Settings.read\n"
        "def warn(**_): warnings.warn('old'); return read()\nworker.settings.Settings.read = warn\n"
    )
    wrong = {"MODERATION_BATCH_SIZE": "many", "MODERATION_LOG_FORMAT": "json", "PYTHONPATH": str(tmp_path)}
    assert [line["logger"] for line in lines(run("-m", "worker", "status", **wrong))] == [
        "py.warnings",
        "worker.cli",
    ]
