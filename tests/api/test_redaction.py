"""No secret that stands in a spec reaches what is recorded."""

import base64
import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.naming import inline_secret_name
from api.parsing import parse_spec
from api.redaction import hmac_value, is_secret_name, redact

CANARY = "c4n4ry-S3CRET-0451"
SECRET = inline_secret_name("prod")

#: Each is a spec with the canary where people put secrets.
SPECS: dict[str, dict[str, Any]] = {
    "admin-password": {"components": {"grafana": {"adminPassword": CANARY}}},
    "database-password": {"components": {"grafana": {"database": {"host": "db", "password": CANARY}}}},
    "smtp-password": {"components": {"grafana": {"smtp": {"host": "m", "password": CANARY}}}},
    "grafana-ini": {"components": {"grafana": {"config": {"auth.google": {"client_secret": CANARY}}}}},
    "secure-json-data": {
        "components": {"grafana": {"datasources": [{"name": "a", "type": "b", "secureJsonData": {"token": CANARY}}]}}
    },
    "s3-secret": {"components": {"loki": {"s3": {"bucket": "logs", "secretAccessKey": CANARY}}}},
    "s3-id": {"components": {"tempo": {"s3": {"bucket": "logs", "accessKeyId": CANARY}}}},
    "basic-auth": {
        "components": {
            "prometheus": {"remoteWrite": [{"url": "https://a", "basicAuth": {"username": "u", "password": CANARY}}]}
        }
    },
    "bearer-token": {"components": {"prometheus": {"remoteWrite": [{"url": "https://a", "bearerToken": CANARY}]}}},
    "header": {
        "components": {
            "prometheus": {"remoteWrite": [{"url": "https://a", "headers": {"Authorization": f"Bearer {CANARY}"}}]}
        }
    },
    "header-of-another-name": {
        "components": {"prometheus": {"remoteWrite": [{"url": "https://a", "headers": {"X-Scope": f"Basic {CANARY}"}}]}}
    },
    "url": {"components": {"prometheus": {"remoteWrite": [{"url": f"https://u:{CANARY}@example.com"}]}}},
    "url-query": {"components": {"prometheus": {"remoteWrite": [{"url": f"https://example.com/?token={CANARY}"}]}}},
    "scrape-list": {
        "components": {
            "prometheus": {"additionalScrapeConfigs": [{"job_name": "a", "authorization": {"credentials": CANARY}}]}
        }
    },
    "scrape-text": {
        "components": {
            "prometheus": {
                "additionalScrapeConfigs": f"# pw: {CANARY}\n- job_name: a\n  basic_auth: {{password: {CANARY}}}\n"
            }
        }
    },
    "scrape-text-that-does-not-parse": {
        "components": {
            "prometheus": {"additionalScrapeConfigs": f"- job_name: a\n  basic_auth: {{password: {CANARY}\n"}
        }
    },
    "scrape-text-with-a-scalar": {"components": {"prometheus": {"additionalScrapeConfigs": CANARY}}},
    "alertmanager-object": {
        "components": {"alertmanager": {"config": {"global": {"smtp_auth_password": CANARY, "slack_api_url": CANARY}}}}
    },
    "alertmanager-text": {
        "components": {
            "alertmanager": {
                "config": f"receivers:\n- name: a\n  slackConfigs: [{{apiUrl: 'https://hooks.example.com/{CANARY}'}}]\n"
            }
        }
    },
    "alertmanager-under-alerting": {
        "alerting": {"alertmanager": {"config": f"global: {{opsgenie_api_key: {CANARY}}}\n"}},
        "components": {"prometheus": {}},
    },
    "webhook": {
        "components": {
            "alertmanager": {
                "config": {"receivers": [{"name": "a", "webhook_configs": [{"url": f"https://x/{CANARY}"}]}]}
            }
        }
    },
    "pager": {
        "components": {"alertmanager": {"config": {"receivers": [{"pagerduty_configs": [{"routing_key": CANARY}]}]}}}
    },
    "environment": {"components": {"loki": {"extraEnv": [{"name": "AWS_SECRET_ACCESS_KEY", "value": CANARY}]}}},
    "unknown-field": {"components": {"loki": {"licence": {"api_key": CANARY}}}},
    "unknown-text": {"components": {"loki": {"customConfig": f"auth:\n  password: {CANARY}\n"}}},
    "private-key": {"components": {"loki": {"x": f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n"}}},
    "list-of-tokens": {"components": {"loki": {"tokens": [CANARY]}}},
    "nested-value": {"components": {"loki": {"password": {"value": CANARY}}}},
}


#: A URL cannot be a reference, a text that was not read cannot be used: the rest goes on working with its secret moved.
UNUSABLE = {"url", "url-query", "scrape-text-that-does-not-parse", "scrape-text-with-a-scalar"}


def spellings(secret: str) -> list[str]:
    encoded = base64.b64encode(secret.encode()).decode()
    return [secret, encoded, secret.encode().hex(), secret[::-1]]


@pytest.mark.parametrize("case", SPECS)
def test_a_secret_is_neither_in_the_recorded_spec_nor_in_what_is_said_about_it(case: str) -> None:
    redacted = redact(SPECS[case], secret_name=SECRET)
    parsed = parse_spec(SPECS[case], name="prod")
    said = repr(parsed) + repr(redacted) + str(parsed.spec and parsed.spec.model_dump_json())
    for spelling in spellings(CANARY):
        assert spelling not in json.dumps(redacted.spec)
        assert spelling not in said


@pytest.mark.parametrize("case", SPECS)
def test_redacting_twice_is_redacting_once(case: str) -> None:
    once = redact(SPECS[case], secret_name=SECRET)
    twice = redact(once.spec, secret_name=SECRET)
    assert twice.spec == once.spec
    assert twice.inline == {}


@pytest.mark.parametrize("case", SPECS)
def test_a_recorded_spec_is_judged_as_the_live_one(case: str) -> None:
    recorded = redact(SPECS[case], secret_name=SECRET).spec
    assert parse_spec(recorded, name="prod") == parse_spec(SPECS[case], name="prod")


@pytest.mark.parametrize("case", SPECS)
def test_a_spec_whose_secrets_were_moved_is_still_usable(case: str) -> None:
    parsed = parse_spec(SPECS[case], name="prod")
    assert (parsed.spec is None) is (case in UNUSABLE), parsed.findings


@pytest.mark.parametrize("case", [case for case in SPECS if "parse" not in case and "scalar" not in case])
def test_what_was_taken_out_is_handed_over_by_path(case: str) -> None:
    inline = redact(SPECS[case], secret_name=SECRET).inline
    assert inline
    assert all(CANARY in value for value in inline.values())


def test_a_reference_stands_where_the_secret_stood() -> None:
    redacted = redact(SPECS["basic-auth"], secret_name=SECRET)
    write = redacted.spec["components"]["prometheus"]["remoteWrite"][0]
    path = "components.prometheus.remoteWrite[0].basicAuth.password"
    assert redacted.inline == {path: CANARY}
    reference = write["basicAuth"]["password"]["secretKeyRef"]
    assert reference["name"] == "prod-inline"
    assert reference["key"].startswith("components.prometheus.remoteWrite_0_.basicAuth.password-")
    assert parse_spec(redacted.spec, name="prod").findings == ()


def test_paths_and_keys_of_different_secrets_differ() -> None:
    headers = {"X.Api.Token": "a", "X-Api-Token": "b", 'X"Token': "c", "XToken": "d", "X_Token": "e"}
    spec = {"headers": headers, "X": {"Token": "f"}}
    redacted = redact(spec, secret_name=SECRET)
    keys = [entry["secretKeyRef"]["key"] for entry in redacted.spec["headers"].values()]
    assert sorted(redacted.inline.values()) == ["a", "b", "c", "d", "e", "f"]
    assert len(set(keys)) == 5


@pytest.mark.parametrize(
    "spec",
    [
        {"components": {"grafana": {"adminPassword": {"secretKeyRef": {"name": "a", "key": "password"}}}}},
        {"components": {"grafana": {"adminPasswordSecret": "grafana-admin"}}},
        {"components": {"grafana": {"database": {"host": "h", "passwordSecret": {"name": "a", "key": "b"}}}}},
        {"components": {"grafana": {"ingress": {"host": "g", "tls": {"secretName": "cert"}, "tlsSecret": "cert"}}}},
        {"components": {"loki": {"imagePullSecrets": [{"name": "registry"}], "s3": {"secretRef": {"name": "s3"}}}}},
        {"components": {"prometheus": {"alertingRules": [{"alert": "A", "expr": 'rate(x{secret="a"}[5m])'}]}}},
        {"components": {"tempo": {"extraEnv": [{"name": "GOGC", "value": "75"}]}}},
        {"components": {"alertmanager": {"config": {"route": {"receiver": "on-call"}}}}},
    ],
)
def test_names_of_secrets_and_plain_values_stay(spec: dict[str, Any]) -> None:
    redacted = redact(spec, secret_name=SECRET)
    assert redacted.spec == spec
    assert redacted.inline == {}


@pytest.mark.parametrize("key", ["password", "adminPassword", "DB_PASS", "x-api-key", "client_secret", "accessKeyId"])
def test_these_names_announce_a_secret(key: str) -> None:
    assert is_secret_name(key)


@pytest.mark.parametrize("key", ["name", "secretName", "passwordSecret", "tokenTTL", "imagePullSecrets", "key", "url"])
def test_these_names_do_not(key: str) -> None:
    assert not is_secret_name(key)


def test_a_number_under_a_secret_name_is_a_secret_and_a_flag_is_not() -> None:
    redacted = redact({"password": 451, "token": True, "secret": None, "apiKey": ""}, secret_name=SECRET)
    assert redacted.inline == {"password": "451"}
    assert redacted.spec["token"] is True


def test_yaml_aliases_cannot_explode() -> None:
    bomb = "a: &a [x, x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    redacted = redact({"components": {"alertmanager": {"config": bomb}}}, secret_name=SECRET)
    assert "alias" in redacted.spec["components"]["alertmanager"]["config"]


def test_a_marker_of_ours_with_more_in_it_is_not_trusted() -> None:
    for text in (f"# not recorded: {CANARY}", f"# not recorded: not a finite number\npassword: {CANARY}"):
        redacted = redact({"components": {"alertmanager": {"config": text}}}, secret_name=SECRET)
        assert CANARY not in json.dumps(redacted.spec)


def test_a_fingerprint_tells_values_and_keys_apart_and_nothing_else() -> None:
    one = hmac_value(b"key", "hunter2")
    assert one == hmac_value(b"key", "hunter2")
    assert one != hmac_value(b"key", "hunter3")
    assert one != hmac_value(b"other", "hunter2")
    assert "hunter2" not in one
    assert hmac_value(b"key", "") == ""
    assert hmac_value(b"key", "\ud800")


@pytest.mark.parametrize(
    "unit", ["x", "a.b+", "://", "eyJ-", "-----BEGIN ", "password ", "token=", "?key=", "x://a", "Bearer ", " "]
)
def test_a_mebibyte_of_anything_is_searched_in_linear_time(unit: str) -> None:
    def seconds(length: int) -> float:
        text = (unit * length)[:length]
        begun = time.perf_counter()
        redact({"components": {"grafana": {"x": text, "image": text}}}, secret_name=SECRET)
        return time.perf_counter() - begun

    # Quadratic time took minutes here.
    assert seconds(2**20) < 5


# -- any spec at all ------------------------------------------------------------------------------------------------

_WORDS = st.sampled_from(
    ["password", "token", "name", "key", "secretKeyRef", "secretRef", "valueFrom", "value", "url", "config", "rules"]
)
_MORE_WORDS = st.sampled_from(
    ["alertmanager", "components", "headers", "webhook_configs", "additionalScrapeConfigs", "data", "expr", "json"]
)
_TEXTS = st.one_of(
    st.text(max_size=20),
    # Surrogates too: they come in as JSON escapes.
    st.text(st.characters(exclude_categories=()), max_size=5),
    st.sampled_from(
        [CANARY, f"password: {CANARY}", f"https://u:{CANARY}@h/", "a: [", "'a: b'", "- x\n- y", "*a", "1e999"]
    ),
)
_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _TEXTS)
_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(_WORDS, _MORE_WORDS, st.text(max_size=6)), inner, max_size=4),
    ),
    max_leaves=25,
)
_OBJECTS = st.dictionaries(st.one_of(_WORDS, _MORE_WORDS), _JSON, max_size=5)


@settings(max_examples=150, deadline=None)
@given(_OBJECTS)
def test_any_object_is_redacted_once_and_for_all_and_can_be_stored(spec: dict[str, Any]) -> None:
    once = redact(spec, secret_name=SECRET)
    stored = msgspec.json.decode(msgspec.json.encode(once.spec))
    twice = redact(stored, secret_name=SECRET)
    assert twice.spec == once.spec
    assert twice.inline == {}


@settings(max_examples=150, deadline=None)
@given(_JSON, st.sampled_from(["password", "admin-password", "API_TOKEN", "secretAccessKey", "client_secret"]))
def test_a_canary_under_a_secret_name_is_never_recorded_wherever_it_stands(around: Any, key: str) -> None:
    spec = {"around": [around, {key: CANARY}], key: CANARY, "list": [{"name": key, "value": CANARY}]}
    redacted = redact(spec, secret_name=SECRET)
    marked = json.dumps({part: value for part, value in redacted.spec.items() if part != "around"})
    assert CANARY not in marked
    assert CANARY not in json.dumps(redacted.spec["around"][1])


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, entry in entries for place in _places(entry, (*path, key)))]


def _replaced(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    if isinstance(value, dict):
        return {key: _replaced(entry, path[1:], other) if key == path[0] else entry for key, entry in value.items()}
    return [_replaced(entry, path[1:], other) if index == path[0] else entry for index, entry in enumerate(value)]


def _full_spec() -> dict[str, Any]:
    merged: dict[str, Any] = {
        "components": {},
        "highAvailability": {"antiAffinity": "soft"},
        "backup": {"retention": 3},
    }
    for spec in SPECS.values():
        for name, fields in spec["components"].items():
            merged["components"].setdefault(name, {}).update(fields)
    merged["components"]["tempo"].update(
        receivers={"otlp": {"protocols": {"grpc": {}}}}, image="a:b", ingress={"tls": []}
    )
    merged["components"]["loki"].update(schemas=[{"version": "v13"}], limits={"ingestionRate": "1MB"}, affinity={})
    merged["components"]["grafana"].update(plugins=["a"], dashboards=[{"name": "a", "json": "{}"}], persistence={})
    merged["alerting"] = {"alertmanager": {"config": {}}, "rules": [{"alert": "A", "expr": "up", "labels": {"a": "b"}}]}
    return merged


_FULL = _full_spec()


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_a_realistic_spec_with_anything_anywhere_never_raises(data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(_places(_FULL)))
    spec = _replaced(_FULL, place, data.draw(_JSON))
    parsed = parse_spec(spec, name="prod")
    assert (parsed.spec is None) == bool(parsed.findings)
    for finding in (*parsed.findings, *parsed.warnings):
        finding.message.encode()
        finding.subject.encode()
