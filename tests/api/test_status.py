"""`.status` as the operator writes it fits the schema it is served under."""

from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it comes without stubs
import pytest

from api.status import PlatformStatus
from tests.api.admission import _for_jsonschema, root_schema

AT = "2026-11-23T10:20:52Z"
FAILED: dict[str, Any] = {
    "observedGeneration": 2,
    "phase": "Failed",
    "componentsReady": "4/5",
    "conditions": [
        {
            "type": "Ready",
            "status": "False",
            "observedGeneration": 2,
            "lastTransitionTime": AT,
            "reason": "RetriesExhausted",
            "message": "grafana: ImagePullBackOff grafana/grafana:99.0.0 (5/5 retries); running 10.2.0",
        }
    ],
    "components": [
        {
            "name": "grafana",
            "phase": "Failed",
            "desiredVersion": "99.0.0",
            "runningVersion": "10.2.0",
            "reason": "ImagePullBackOff",
            "since": AT,
        }
    ],
    "retry": {"attempt": 5, "max": 5},
    "lastKnownGood": {"sequence": 8, "specHash": "sha256:77ab"},
    "ledger": {"streamId": "6f1c", "sequence": 17, "headHash": "e6b3f2"},
    "history": [{"sequence": 17, "from": "Upgrading", "to": "Failed", "reason": "RetriesExhausted", "time": AT}],
}


def faults(status: dict[str, Any]) -> list[str]:
    schema = _for_jsonschema(root_schema()["properties"]["status"])
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(status)]


def test_the_status_of_a_failed_platform_fits_the_schema_and_the_model() -> None:
    assert faults(FAILED) == []
    status = PlatformStatus.model_validate(FAILED)
    assert status.history[0].from_phase == "Upgrading"
    assert faults(status.model_dump(mode="json", by_alias=True, exclude_none=True)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"phase": "Banana"},
        {"phase": "Degraded"},
        {"conditions": [{"type": "Ready", "status": "Maybe", "reason": "A", "lastTransitionTime": AT}]},
        {"conditions": [{"type": "Ready", "status": "True", "reason": "A", "lastTransitionTime": "yesterday"}]},
        {"history": FAILED["history"] * 6},
    ],
    ids=["phase", "condition-as-phase", "third-value", "no-instant", "too-long"],
)
def test_a_status_that_says_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    assert faults({**FAILED, **wrong})
