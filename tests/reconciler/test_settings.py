"""Settings: what is wrong is named in one line, and secrets are not shown."""

from pathlib import Path
from typing import Any

import pytest

from eventstore.events import Policy
from reconciler.settings import Settings, SettingsError, load


def test_without_anything_the_defaults_hold_and_the_policy_is_the_recorded_one() -> None:
    settings = load({}, {})
    assert settings == Settings()
    assert settings.policy == Policy()


def test_arguments_win_over_the_environment_and_dashes_are_underscores() -> None:
    environment = {"STACKLEDGER_WORKERS": "2", "STACKLEDGER_LOG_LEVEL": "debug"}
    settings = load({"workers": 8, "log-level": None, "retries-max": 3}, environment)
    assert (settings.workers, settings.log_level, settings.policy.retries_max) == (8, "debug", 3)


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("workers", 0, "a whole number from 1 to 64"),
        ("workers", "abc", "a whole number from 1 to 64"),
        ("workers", 1.5, "a whole number from 1 to 64"),
        ("resync_seconds", 0, "a number from 10 to 86400"),
        ("resync_seconds", -5, "a number from 10 to 86400"),
        ("resync_seconds", "abc", "a number from 10 to 86400"),
        ("resync_seconds", 1e12, "a number from 10 to 86400"),
        ("resync_seconds", "nan", "a number from 10 to 86400"),
        ("resync_seconds", "inf", "a number from 10 to 86400"),
        ("log_format", "xml", "json or console"),
        ("log_level", "trace", "debug or info or warning or error"),
        ("metrics_bind", "nowhere", "HOST:PORT"),
        ("metrics_bind", ":99999", "HOST:PORT"),
        ("namespaces", "obs,../x", "names separated by commas, or *"),
    ],
)
def test_a_value_outside_its_range_is_named_with_what_is_allowed(key: str, value: Any, allowed: str) -> None:
    for arguments, environment in (({key: value}, {}), ({}, {f"STACKLEDGER_{key.upper()}": str(value)})):
        with pytest.raises(SettingsError) as caught:
            load(arguments, environment)
        text = str(caught.value)
        assert text.startswith(f"{key}=")
        assert str(value) in text
        assert allowed in text
        assert "\n" not in text


@pytest.mark.parametrize(("ttl", "renew"), [(10, 10), (5, 10), (11, 10)])
def test_a_lease_that_runs_out_before_it_is_renewed_is_refused(ttl: float, renew: float) -> None:
    with pytest.raises(SettingsError, match=r"lease_ttl_seconds=.*lease_renew_seconds"):
        load({"lease_ttl_seconds": ttl, "lease_renew_seconds": renew}, {})


def test_an_unknown_key_is_refused_with_the_likely_one() -> None:
    with pytest.raises(SettingsError, match="did you mean workers"):
        load({"worker": 3}, {})
    with pytest.raises(SettingsError, match="STACKLEDGER_WORKER: did you mean workers"):
        load({}, {"STACKLEDGER_WORKER": "3"})
    with pytest.raises(SettingsError, match="there is no such setting"):
        load({"zzz": 1}, {})


@pytest.mark.parametrize(
    "variable",
    [
        "STACKLEDGER_SERVICE_HOST",
        "STACKLEDGER_SERVICE_PORT",
        "STACKLEDGER_SERVICE_PORT_METRICS",
        "STACKLEDGER_PORT",
        "STACKLEDGER_PORT_8080_TCP",
        "STACKLEDGER_PORT_8080_TCP_ADDR",
        "STACKLEDGER_METRICS_PORT_8080_TCP_PROTO",
        "STACKLEDGER_DEBUG",
        "STACKLEDGER_STATE_DIR",
    ],
)
def test_what_kubernetes_and_the_command_line_put_into_the_environment_is_ignored(variable: str) -> None:
    assert load({}, {variable: "tcp://10.0.0.1:8080"}) == Settings()


def test_namespaces_are_a_list_or_a_star() -> None:
    assert load({"namespaces": "obs, team-a"}, {}).namespaces == ("obs", "team-a")
    assert load({"namespaces": ["obs"]}, {}).namespaces == ("obs",)
    assert load({"namespaces": "*"}, {}).namespaces == ()
    assert load({}, {"STACKLEDGER_NAMESPACES": ""}).namespaces == ()


def test_a_password_is_in_neither_the_settings_text_nor_an_error() -> None:
    dsn = "postgresql://me:s3cr3t@db/ledger"
    settings = load({"dsn": dsn}, {})
    assert "s3cr3t" not in repr(settings)
    assert "s3cr3t" not in str(settings.model_dump())
    assert settings.database_url() == dsn
    with pytest.raises(SettingsError) as caught:
        load({"dsn": "mysql://me:s3cr3t@db/ledger"}, {}).database_url()
    assert "s3cr3t" not in str(caught.value)
    assert "mysql" in str(caught.value)


def test_the_database_url_comes_from_a_file_or_from_the_setting_but_not_both(tmp_path: Path) -> None:
    file = tmp_path / "uri"
    file.write_text("sqlite:///ledger.db\n")
    assert load({}, {"STACKLEDGER_DSN_FILE": str(file)}).database_url() == "sqlite:///ledger.db"
    for arguments, words in (
        ({}, "missing"),
        ({"dsn": "memory://", "dsn_file": file}, "both set"),
        ({"dsn_file": tmp_path / "none"}, "dsn_file=.*cannot be read"),
    ):
        with pytest.raises(SettingsError, match=words):
            load(arguments, {}).database_url()


def test_a_key_for_hmacs_has_some_length(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"short\n")
    assert load({}, {}).hmac_key() is None
    with pytest.raises(SettingsError, match="at least 16 bytes"):
        load({"hmac_key_file": file}, {}).hmac_key()
    file.write_bytes(b"k" * 32 + b"\n")
    assert load({"hmac_key_file": file}, {}).hmac_key() == b"k" * 32


def test_the_first_file_of_kubeconfig_is_used() -> None:
    assert load({}, {"KUBECONFIG": "/a:/b"}).kubeconfig == Path("/a")


@pytest.mark.parametrize(
    ("dsn", "refused"),
    [
        ("postgresql://me:s3cr3t@db.example/ledger?sslmode=disable", True),
        ("postgresql://me@db.example/ledger?connect_timeout=3&SSLMODE=DISABLE", True),
        ("postgresql://me@db.example/ledger?sslmode=verify-full", False),
        ("postgresql://me@127.0.0.1:5432/ledger?sslmode=disable", False),
        ("postgresql://me@/ledger?host=/run/postgresql&sslmode=disable", False),
    ],
)
def test_a_database_on_another_host_is_not_spoken_to_in_the_clear(dsn: str, refused: bool) -> None:
    assert load({"dsn": dsn, "insecure_database": True}, {}).database_url() == dsn
    if not refused:
        assert load({"dsn": dsn}, {}).database_url() == dsn
        return
    with pytest.raises(SettingsError, match="sslmode=verify-full") as caught:
        load({"dsn": dsn}, {}).database_url()
    assert "s3cr3t" not in str(caught.value)
