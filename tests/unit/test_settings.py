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


@pytest.mark.parametrize("name", ["BROKER_URL", "CALLBACK_BROKER_URL"])
def test_a_broker_in_memory_reaches_no_worker(monkeypatch, name):
    monkeypatch.setenv(f"MODERATION_{name}", "memory://:hunter2@")
    with pytest.raises(SettingsError) as error:
        Settings.read()
    assert f"MODERATION_{name}: " in error.value.message
    assert "memory:// reaches no other process" in error.value.message
    assert "hunter2" not in error.value.message


def test_no_url_with_a_password_is_in_what_settings_show(monkeypatch):
    for name in ("BROKER_URL", "CALLBACK_BROKER_URL", "DATABASE_URL"):
        monkeypatch.setenv(f"MODERATION_{name}", "redis://:hunter2@h/0")
    assert "hunter2" not in repr(Settings.read())


def test_a_misspelt_variable_is_named_and_a_strangers_is_not(monkeypatch):
    monkeypatch.setenv("MODERATION_SERVICE_HOST", "10.0.0.1")
    assert Settings.read()
    monkeypatch.setenv("MODERATION_MODLE", "demo")
    with pytest.raises(SettingsError) as error:
        Settings.read()
    assert error.value.message == "MODERATION_MODLE: did you mean MODERATION_MODEL?"


@pytest.fixture
def secrets(monkeypatch, tmp_path):
    monkeypatch.setattr("worker.settings.SECRETS", tmp_path)
    return tmp_path


def test_a_setting_can_be_a_secret_file_and_others_secrets_are_their_own(secrets, monkeypatch):
    (secrets / "moderation_database_password").write_text("p@ss/word\n")
    (secrets / "stripe_key").write_text("x")
    assert Settings.read().database_password == "p@ss/word"
    assert "p@ss" not in repr(Settings.read())
    monkeypatch.setenv("MODERATION_DATABASE_PASSWORD", "another")
    assert Settings.read().database_password == "another"


def test_a_misspelt_secret_is_named(secrets):
    (secrets / "moderation_database_pasword").write_text("x")
    with pytest.raises(
        SettingsError, match="MODERATION_DATABASE_PASWORD: did you mean MODERATION_DATABASE_PASSWORD"
    ):
        Settings.read()


def test_a_secret_that_this_user_may_not_read_is_named(secrets, monkeypatch):
    file = secrets / "moderation_database_password"
    file.write_text("x")

    def refuse(self: Path, *_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_text", refuse)  # root may read everything
    with pytest.raises(SettingsError) as error:
        Settings.read()
    assert error.value.message == f"a secret cannot be read: [Errno 13] Permission denied: '{file}'"
    assert "readable for the user with the number" in error.value.hint
