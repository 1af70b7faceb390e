"""Secret values are in the cluster's Secrets and nowhere else: in no ledger, status, Event, log, metric or output."""

import base64
import http.client
import io
import json
import logging
import re
import sqlite3
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from cli.main import execute
from eventstore import events as e
from reconciler.shell.logs import configure_logging
from tests.operator.stage import NAMESPACE, Stage
from tests.operator.test_bad_inputs import children, old_crd

CANARIES = {
    "admin": "Zq7-admin/canary+9Xv",
    "remote": "Zq7-remote/canary+8Wu",
    "variable": "Zq7-variable/canary+7Vt",
    "scrape": "Zq7-scrape/canary+6Us",
    "referenced": "Zq7-referenced/canary+5Tr",
    "userinfo": "Zq7-userinfo-canary-4Sq",
    "edited": "Zq7-edited/canary+3Rp",
    "annotation": "Zq7-annotation/canary+2Qo",
}
SCRAPE = f"""- job_name: guarded
  basic_auth: {{username: u, password: "{CANARIES["scrape"]}"}}
  static_configs: [{{targets: ["x:1"]}}]
"""


def spec(admin: str = CANARIES["admin"], url: str = "https://push.example.com/api") -> dict[str, Any]:
    return {
        "components": {
            "prometheus": {
                "remoteWrite": [{"url": url, "basicAuth": {"username": "u", "password": CANARIES["remote"]}}],
                "additionalScrapeConfigs": SCRAPE,
            },
            "grafana": {
                "adminPassword": admin,
                "extraEnv": [
                    {"name": "SMTP_PASSWORD", "value": CANARIES["variable"]},
                    {"name": "OTHER", "valueFrom": {"secretKeyRef": {"name": "theirs", "key": "word"}}},
                ],
            },
        }
    }


def forms(canary: str) -> Iterator[str]:
    """The value in every dress it might leak in."""
    yield canary
    yield canary[::-1]
    yield canary.encode().hex()
    yield urllib.parse.quote(canary, safe="")
    yield json.dumps(canary)[1:-1].replace("/", "\\/")
    for shift in range(3):
        # Inside a longer text base64 falls on any of three alignments.
        encoded = base64.b64encode(b"x" * shift + canary.encode()).decode()
        yield encoded[4 if shift else 0 : -4]


def check_nowhere(text: str, where: str) -> None:
    for name, canary in CANARIES.items():
        for form in forms(canary):
            found = text.find(form)
            assert found < 0, f"{name} in {where}: ...{text[max(0, found - 200) : found + 60]}"


def database(stage: Stage) -> str:
    """Every value of every table."""
    lines = []
    with sqlite3.connect(stage.directory / "ledger.db") as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                lines += [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in row]
    assert len(lines) > 1000
    return "\n".join(lines)


class Witness:
    """Keeps every version of every object that the operator or the cluster wrote, apart from Secrets and the spec."""

    def __init__(self, stage: Stage) -> None:
        self.seen: list[str] = []
        self.secrets: list[str] = []
        stage.sandbox.model.on_write.append(self._write)

    def _write(self, kind: Any, _: Any, after: dict[str, Any] | None) -> None:
        if after is None:
            return
        if kind.kind == "Secret":
            self.secrets += [base64.b64decode(value).decode() for value in (after.get("data") or {}).values()]
        elif kind.kind == "ObservabilityPlatform":
            self.seen.append(json.dumps(after.get("status") or {}))
        else:
            self.seen.append(json.dumps(after))


@pytest.fixture
def trusting_stage(tmp_path: Path) -> Iterator[Stage]:
    """A cluster with an older CRD, which lets a URL with a password through."""
    stage = Stage(tmp_path).open(crd=False)
    stage.create("apiextensions.k8s.io/v1", "CustomResourceDefinition", old_crd())
    yield stage
    stage.close()


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """Everything that is logged, down to debug."""
    lines = io.StringIO()
    configure_logging("json", "debug", lines)
    yield lines
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()


def metrics(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def refuse(stage: Stage, resource: str, words: str) -> None:
    stage.sandbox.faults.inject(422, verb="patch", resource=resource, remaining=1, message=words)


def live_through_everything(stage: Stage) -> None:
    """Install, edit, be refused with the value echoed, mend, be rejected, delete."""
    last_applied = {"kubectl.kubernetes.io/last-applied-configuration": CANARIES["annotation"]}
    echoed = "; ".join(form for canary in CANARIES.values() for form in forms(canary))
    stage.apply(spec(), annotations=last_applied)
    stage.wait("Ready", stage.is_ready)
    refuse(stage, "secrets", f'Secret "prod-inline" is invalid: data.x: Invalid value: "{echoed}"')
    stage.apply(spec(CANARIES["edited"]))
    stage.wait("Failed", lambda: stage.status()["phase"] == "Failed")
    stage.install(spec(CANARIES["edited"] + "2"))
    stage.apply(spec(url=f"https://user:{CANARIES['userinfo']}@push.example.com/api"))
    stage.wait("Failed", lambda: stage.status()["phase"] == "Failed")
    stage.install(spec())
    # A CRD that became stricter makes the server repeat parts of the spec when the finalizer is touched.
    refuse(stage, "observabilityplatforms", f'"prod" is invalid: spec.components.grafana: Invalid value: "{echoed}"')
    stage.remove()
    assert len([failed for failed in stage.events(e.ActionFailed) if failed.reason == "Rejected"]) == 2


def test_no_value_of_a_secret_leaves_the_secrets(
    trusting_stage: Stage, logs: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    stage = trusting_stage
    theirs = {"metadata": {"name": "theirs", "labels": {"stackledger.io/allow": "prod"}}}
    data = {"word": base64.b64encode(CANARIES["referenced"].encode()).decode()}
    stage.create("v1", "Secret", {**theirs, "data": data}, NAMESPACE)
    witness = Witness(stage)
    operator = stage.operate(metrics_bind="127.0.0.1:0", log_level="debug")
    live_through_everything(stage)
    check_nowhere(metrics(operator.ports[0]), "the metrics")
    stage.stop(operator)
    assert len(logs.getvalue()) > 5000
    check_nowhere(logs.getvalue(), "the log")
    check_nowhere("\n".join(witness.seen), "an object of the cluster")
    check_nowhere(database(stage), "the database")
    for command in (
        ["status"],
        ["status", "prod"],
        ["history", "prod", "--all"],
        ["history", "prod", "--all", "-o", "json"],
        ["show", "prod", "-o", "yaml"],
        ["show", "prod", "--spec"],
        ["explain-why", "prod"],
        ["diff", "prod", "20"],
        ["export", "prod", "--format", "jsonl", "--file", "-"],
    ):
        code = execute([*command, "--dsn", stage.dsn])
        shown = capfd.readouterr()
        assert code in (0, 1), shown.err
        assert shown.out + shown.err
        check_nowhere(shown.out + shown.err, " ".join(command))
    values = "\n".join(witness.secrets)
    for name in ("admin", "remote", "variable", "scrape", "edited"):
        assert CANARIES[name] in values, f"{name} should be in a Secret"
    assert children(stage) == {}


def test_a_secrets_fingerprint_depends_on_the_installations_key(stage: Stage) -> None:
    stage.operate()
    stage.install({"components": {"grafana": {"adminPassword": "hunter2"}}})
    observed = stage.events(e.PlatformObserved)[-1]
    assert re.fullmatch("hmac-sha256:[0-9a-f]{64}", observed.inline_secrets["components.grafana.adminPassword"])
