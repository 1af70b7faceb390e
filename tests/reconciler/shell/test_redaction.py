"""What must not get out, does not: the errors that leaked in other operators."""

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from reconciler.shell.redaction import TEXT_LIMIT, describe_error, is_sensitive_key, redact_text

CANARY = "S3CRET-c4nary"


@pytest.mark.parametrize(
    "leak",
    [
        f"Authorization: Bearer {CANARY}",
        f"authorization: bearer {CANARY}",
        f'{{"password":"{CANARY}"}}',
        f"password={CANARY}&x=1",
        f"postgresql://stackledger:{CANARY}@db/ledger refused",
        f"could not connect: https://user:{CANARY}@host/path",
        f"error found in #10 byte of ...|{CANARY}|..., bigger context ...|{CANARY}|...",
        f"(psycopg.Error) x\n[SQL: INSERT INTO t VALUES (%s)]\n[parameters: ('{CANARY}',)]",
        f'new row violates check constraint "c"\nDETAIL:  Failing row contains (1, {CANARY}).',
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----",
        f"api_key: '{CANARY}'",
        f"client-secret={CANARY}",
        f"eyJhbGciOiJ.{CANARY}.{CANARY}",
    ],
)
def test_what_looks_like_a_credential_is_cut(leak: str) -> None:
    assert CANARY not in redact_text(leak)


@pytest.mark.parametrize(
    "harmless",
    [
        "requested: secrets=1, used: secrets=10, limited: secrets=10",
        "Secret obs/prod-inline does not exist",
        "spec.grafana.adminSecretName: Required value",
        '{apiGroups: [""], resources: ["secrets"], verbs: ["get"]}',
        "the API server cannot be reached",
    ],
)
def test_words_that_help_are_kept(harmless: str) -> None:
    assert redact_text(harmless) == harmless


def test_a_database_error_is_described_without_its_parameters() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection, pytest.raises(SQLAlchemyError) as caught:
        connection.execute(text("INSERT INTO nowhere VALUES (:value)"), {"value": CANARY})
    assert CANARY in str(caught.value)
    assert CANARY not in describe_error(caught.value)
    assert "no such table" in describe_error(caught.value)


def test_texts_are_cut_and_freed_of_control_characters() -> None:
    assert len(redact_text("x" * 10_000_000)) == TEXT_LIMIT
    assert redact_text("\x1b[31mred\x00") == "\\x1b[31mred\\x00"
    redact_text("\ud800").encode()


def test_keys_that_hold_values_are_told_from_keys_that_hold_names() -> None:
    assert all(is_sensitive_key(key) for key in ("password", "DB_PASSWORD", "token", "authorization", "dsn", "apiKey"))
    assert not any(is_sensitive_key(key) for key in ("platform", "seq", "reason", "secret_name", "namespace"))
