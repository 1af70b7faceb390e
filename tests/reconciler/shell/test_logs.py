"""Log lines: for machines, for people, and for nobody who looks for secrets."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import structlog

from reconciler.shell.logs import configure_logging

CANARY = "S3CRET-c4nary"


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def line(stream: io.StringIO) -> dict[str, Any]:
    found = json.loads(stream.getvalue().splitlines()[-1])
    assert isinstance(found, dict)
    return found


def test_a_line_is_json_with_time_level_event_and_fields_in_reading_order() -> None:
    stream = io.StringIO()
    configure_logging("json", "info", stream)
    structlog.get_logger().info("transition", seq=2, platform="obs/prod", to="Installing")
    found = line(stream)
    assert list(found)[:4] == ["ts", "level", "event", "platform"]
    assert (found["level"], found["event"], found["seq"]) == ("info", "transition", 2)
    assert found["ts"].endswith("Z")
    datetime.fromisoformat(found["ts"])


@pytest.mark.parametrize(
    "fields",
    [
        {"password": CANARY},
        {"dsn": f"postgresql://me:{CANARY}@db/x"},
        {"url": f"postgresql://me:{CANARY}@db/x"},
        {"headers": {"Authorization": f"Bearer {CANARY}"}},
        {"nested": [{"deep": {"apiKey": CANARY}}]},
        {"error": ValueError(f"password={CANARY}")},
        {"body": CANARY.encode()},
        {"note": f"token: {CANARY}"},
    ],
)
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_field_carries_a_secret_out(fields: dict[str, Any], log_format: Any) -> None:
    stream = io.StringIO()
    configure_logging(log_format, "debug", stream)
    structlog.get_logger().info("something", **fields)
    assert "something" in stream.getvalue()
    assert CANARY not in stream.getvalue()


def test_a_traceback_is_kept_without_variables_and_without_secrets() -> None:
    stream = io.StringIO()
    configure_logging("json", "info", stream)
    local_value = CANARY
    try:
        raise RuntimeError(f"password={local_value}")
    except RuntimeError:
        structlog.get_logger().exception("crashed")
    found = line(stream)
    assert "RuntimeError" in found["exception"]
    assert CANARY not in stream.getvalue()


def test_the_standard_librarys_lines_look_the_same() -> None:
    stream = io.StringIO()
    configure_logging("json", "info", stream)
    logging.getLogger("somewhere").warning("pool %s: password=%s", 3, CANARY)
    assert line(stream)["level"] == "warning"
    assert CANARY not in stream.getvalue()


def test_debug_never_makes_the_client_libraries_talk() -> None:
    stream = io.StringIO()
    configure_logging("json", "debug", stream)
    for name in ("urllib3.connectionpool", "kubernetes.client.rest", "kubernetes"):
        logging.getLogger(name).debug("response body: %s", CANARY)
    assert stream.getvalue() == ""
    structlog.get_logger().debug("ours")
    assert line(stream)["event"] == "ours"


def test_a_level_below_the_configured_one_is_silent() -> None:
    stream = io.StringIO()
    configure_logging("json", "warning", stream)
    structlog.get_logger().info("quiet")
    assert stream.getvalue() == ""


def test_control_characters_cannot_forge_a_line() -> None:
    stream = io.StringIO()
    configure_logging("json", "info", stream)
    structlog.get_logger().info("named", platform='x\n{"level":"error"}\x1b[31m')
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()
