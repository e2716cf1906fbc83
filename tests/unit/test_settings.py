"""Every setting is an environment variable, is told in the README, and is refused in words where it does not fit."""

import re
from pathlib import Path

import pytest

from worker.errors import SettingsError
from worker.settings import Settings

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_lists_every_setting_with_its_default_and_what_it_does():
    table = re.findall(
        r"^\| `(MODERATION_\w+)` \| (.+?) \| (.+) \|$", README.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert table == [
        (f"MODERATION_{name.upper()}", f"`{field.default}`", field.description)
        for name, field in Settings.model_fields.items()
    ]


def test_a_setting_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("MODERATION_BATCH_SIZE", "7")
    assert Settings.read().batch_size == 7


def test_every_variable_that_does_not_fit_is_named(monkeypatch):
    monkeypatch.setenv("MODERATION_BATCH_SIZE", "many")
    monkeypatch.setenv("MODERATION_POLICY_RELOAD_SECONDS", "-1")
    with pytest.raises(SettingsError) as error:
        Settings.read()
    assert "MODERATION_BATCH_SIZE: " in error.value.message
    assert "(got 'many')" in error.value.message
    assert "MODERATION_POLICY_RELOAD_SECONDS: " in error.value.message


def test_a_misspelt_variable_is_named_and_a_strangers_is_not(monkeypatch):
    monkeypatch.setenv("MODERATION_SERVICE_HOST", "10.0.0.1")
    assert Settings.read()
    monkeypatch.setenv("MODERATION_MODLE", "demo")
    with pytest.raises(SettingsError) as error:
        Settings.read()
    assert error.value.message == "MODERATION_MODLE: did you mean MODERATION_MODEL?"
