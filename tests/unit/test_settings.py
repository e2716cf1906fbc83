"""Every setting is an environment variable, and an invalid one is refused in words."""

from pathlib import Path

import pytest

from worker.errors import SettingsError
from worker.settings import Settings


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


SERVICE_NAMES = [
    "moderation",
    *(f"moderation-{name.replace('_', '-')}" for name in Settings.model_fields),
    "moderation-database",
    "moderation-web",
    "moderation-broker",
    "moderation-postgres",
    "moderation-redis-master",
    "moderation-policy-editor",
]


@pytest.mark.parametrize("service", SERVICE_NAMES)
def test_what_kubernetes_sets_for_a_service_of_any_name_is_ignored(service, monkeypatch, caplog):
    expected = Settings.read()
    name = service.upper().replace("-", "_")
    link = f"{name}_PORT_5432_TCP"
    for variable, value in {
        f"{name}_SERVICE_HOST": "10.0.0.1",
        f"{name}_SERVICE_PORT": "5432",
        f"{name}_SERVICE_PORT_POSTGRES": "5432",
        f"{name}_PORT": "tcp://10.0.0.1:5432",
        link: "tcp://10.0.0.1:5432",
        f"{link}_PROTO": "tcp",
        f"{link}_PORT": "5432",
        f"{link}_ADDR": "10.0.0.1",
        f"{name}_PORT_53_UDP": "udp://[fd00::1]:53",
    }.items():
        monkeypatch.setenv(variable, value)
    assert Settings.read() == expected
    assert caplog.messages == []


def test_a_setting_whose_name_kubernetes_uses_keeps_its_default_and_that_is_said(monkeypatch, caplog):
    monkeypatch.setenv("MODERATION_METRICS_PORT", "tcp://10.0.0.1:9100")
    assert Settings.read().metrics_port == 0
    assert caplog.messages == [
        "MODERATION_METRICS_PORT=tcp://10.0.0.1:9100 is ignored: Kubernetes set it for a service of that name"
    ]
    monkeypatch.setenv("MODERATION_METRICS_PORT", "9100")
    assert Settings.read().metrics_port == 9100


@pytest.mark.parametrize(
    ("variable", "value", "meant"),
    [
        ("MODERATION_METRIC_PORT", "9100", "MODERATION_METRICS_PORT"),
        ("MODERATION_METRICS_PROT", "tcp://10.0.0.1:9100", "MODERATION_METRICS_PORT"),
        ("MODERATION_DATABASE_ULR", "tcp://10.0.0.1:5432", "MODERATION_DATABASE_URL"),
        ("MODERATION_METRICS_HOSTS", "0.0.0.0", "MODERATION_METRICS_HOST"),
    ],
)
def test_what_only_looks_like_kubernetes_is_still_a_misspelling(variable, value, meant, monkeypatch):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as error:
        Settings.read()
    assert error.value.message == f"{variable}: did you mean {meant}?"


@pytest.mark.parametrize(
    ("given", "policy", "fits"),
    [
        ({}, "stickers", True),
        ({"model": "demo"}, "stickers", True),
        ({"model": "/models/clip"}, "default", True),
        ({"model": "/models/clip", "policy": "avatars"}, "avatars", True),
        ({"policy": "avatars"}, "avatars", True),
        ({"model": "/models/clip", "policy": "stickers"}, "stickers", False),
    ],
)
def test_the_stickers_policy_stands_before_no_other_model_unasked(given, policy, fits, monkeypatch):
    for name, value in given.items():
        monkeypatch.setenv(f"MODERATION_{name.upper()}", value)
    read = Settings.read()
    assert (read.policy, read.fits_its_model) == (policy, fits)


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
