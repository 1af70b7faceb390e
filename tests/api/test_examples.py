"""The examples people copy are valid, and say what they claim to."""

from pathlib import Path

import pytest
import yaml

from api.parsing import parse_spec
from api.redaction import redact
from tests.api.admission import admit

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


def test_there_are_examples() -> None:
    assert {path.name for path in EXAMPLES} >= {"minimal.yaml", "full.yaml", "production.yaml"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_accepted_by_us_and_by_the_crd_without_a_warning(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        if document["kind"] != "ObservabilityPlatform":
            continue
        parsed = parse_spec(document["spec"], name=document["metadata"]["name"])
        assert parsed.findings == ()
        assert parsed.warnings == ()
        stored, errors = admit(document)
        assert errors == []
        # With the server's defaults filled in it still means the same.
        assert parse_spec(stored["spec"], name=document["metadata"]["name"]).spec == parsed.spec


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_no_example_holds_a_secret(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        assert redact(document.get("spec"), secret_name="x").inline == {}


def test_the_full_example_runs_all_five_components() -> None:
    document = yaml.safe_load(next(path for path in EXAMPLES if path.name == "full.yaml").read_text())
    assert document["metadata"] == {"name": "prod", "namespace": "demo"}
    spec = parse_spec(document["spec"]).spec
    assert spec is not None
    assert list(spec.versions) == ["prometheus", "loki", "tempo", "grafana", "alertmanager"]


def test_the_minimal_example_is_one_enabled_component() -> None:
    document = yaml.safe_load(next(path for path in EXAMPLES if path.name == "minimal.yaml").read_text())
    assert document["spec"] == {"components": {"prometheus": {"enabled": True}}}
