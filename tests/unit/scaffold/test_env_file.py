"""`.env` has every setting with its meaning and default, and shells, Compose and systemd read it alike."""

import os
import re
import subprocess

import pytest

from worker.scaffold.env_file import HEADINGS, WIDTH, env_file
from worker.settings import Settings

CHOSEN = {"model": "demo", "policy": "uploads"}
TEXT = env_file(CHOSEN)
COMMENTED = dict(re.findall(r"^#(MODERATION_\w+)=(.*)$", TEXT, re.MULTILINE))
ACTIVE = dict(re.findall(r"^(\w+)=(.*)$", TEXT, re.MULTILINE))


def test_only_what_is_chosen_is_active():
    assert ACTIVE == {"MODERATION_MODEL": "demo", "MODERATION_POLICY": "uploads"}


def test_every_setting_is_there_with_its_default_and_meaning():
    entries = TEXT.split("\n\n")
    for name, field in Settings.model_fields.items():
        variable = f"MODERATION_{name.upper()}"
        (entry,) = [entry for entry in entries if re.search(rf"^#?{variable}=", entry, re.MULTILINE)]
        meaning = " ".join(line.removeprefix("# ") for line in entry.splitlines() if line.startswith("# "))
        assert meaning.endswith(field.description)
        assert str(field.default) == COMMENTED.get(variable, ACTIVE.get(variable))
    assert {*COMMENTED, *ACTIVE} == {f"MODERATION_{name.upper()}" for name in Settings.model_fields}


def test_the_defaults_are_those_of_the_settings(monkeypatch):
    for variable, value in COMMENTED.items():
        monkeypatch.setenv(variable, value)
    assert Settings.read() == Settings()


def test_a_heading_stands_above_a_setting():
    assert set(HEADINGS) <= set(Settings.model_fields)
    assert next(iter(HEADINGS)) == next(iter(Settings.model_fields))


def test_its_lines_are_short():
    assert max(map(len, TEXT.splitlines())) <= WIDTH


@pytest.mark.parametrize("name", ["model", "policy"])
def test_a_shell_reads_it(tmp_path, name):
    (tmp_path / ".env").write_text(TEXT)
    script = f'set -eua; . ./.env; printf %s "$MODERATION_{name.upper()}"'
    environment = {"PATH": os.environ["PATH"]}
    ran = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert (ran.stdout, ran.stderr) == (CHOSEN[name], "")
