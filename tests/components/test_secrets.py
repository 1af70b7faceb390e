"""Secrets are named, never written, and pods roll when one that they read changes."""

import base64
import re
from typing import Any

import msgspec
import pytest

from components.encode import ConfigValueError
from components.manifest import Manifest
from components.registry import render
from components.secretfiles import SecretFileCollector
from tests.components.samples import (
    ALL_DEFAULT,
    CANARY,
    FULL,
    container_of,
    context_of,
    file_of,
    find,
    pods_of,
    rendered,
)


def _bytes(manifests: tuple[Manifest, ...]) -> str:
    return "\n".join(manifest.content.decode() for manifest in manifests)


def test_no_inline_secret_is_in_any_manifest_in_any_form() -> None:
    text = _bytes(rendered(FULL))
    for form in (CANARY, CANARY[::-1], base64.b64encode(CANARY.encode()).decode(), CANARY.encode().hex()):
        assert form not in text


def test_every_inline_secret_is_a_key_of_the_inline_secret_with_its_path_and_fingerprint() -> None:
    context = context_of(FULL)
    manifest = next(m for m in render(context) if m.ref.name == "prod-inline")
    assert "data" not in manifest.body
    assert "stringData" not in manifest.body
    assert {s.path: s.hmac for s in manifest.secret_sources.values()} == context.inline_secrets
    assert all(source.kind == "inline" for source in manifest.secret_sources.values())
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key) for key in manifest.secret_sources)


def test_every_inline_secret_is_read_by_a_pod_under_the_key_it_is_stored_under() -> None:
    manifests = rendered(FULL)
    stored = set(next(m for m in manifests if m.ref.name == "prod-inline").secret_sources)
    read = {
        item["key"]
        for pod in pods_of(manifests)
        for volume in pod["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        if source["secret"]["name"] == "prod-inline"
        for item in source["secret"]["items"]
    }
    assert read == stored


def test_without_inline_secrets_there_is_no_inline_secret() -> None:
    assert "prod-inline" not in {manifest.ref.name for manifest in rendered(ALL_DEFAULT)}


def test_the_administrators_password_is_generated_once_and_never_written_again() -> None:
    manifest = next(m for m in rendered(ALL_DEFAULT) if m.ref.name == "prod-grafana-admin")
    assert manifest.create_only
    assert manifest.secret_sources["password"].kind == "generated"
    assert manifest.secret_sources["password"].length >= 24
    ini = find(rendered(ALL_DEFAULT), "ConfigMap", "prod-grafana-config")["data"]["grafana.ini"]
    assert "admin_password = $__file{/etc/stackledger/secrets/prod-grafana-admin/password}" in ini


def test_a_password_of_the_users_own_makes_no_generated_one() -> None:
    spec = {"components": {"grafana": {"adminPasswordSecret": {"name": "mine", "key": "pw"}}}}
    manifests = rendered(spec)
    assert "prod-grafana-admin" not in {manifest.ref.name for manifest in manifests}
    ini = find(manifests, "ConfigMap", "prod-grafana-config")["data"]["grafana.ini"]
    assert "admin_password = $__file{/etc/stackledger/secrets/mine/pw}" in ini


def test_passwords_of_remote_write_are_files() -> None:
    entry = file_of(rendered(FULL), "prod-prometheus-config", "prometheus.yml")["remote_write"][0]
    assert set(entry["basic_auth"]) == {"username", "password_file"}
    assert entry["http_headers"] == {"X-Api-Key": {"files": ["/etc/stackledger/secrets/far/api"]}}
    assert entry["tls_config"]["ca_file"] == "/etc/stackledger/secrets/far/ca.crt"


def test_secrets_of_receivers_are_files() -> None:
    config = file_of(rendered(FULL), "prod-alertmanager-config", "alertmanager.yml")
    assert "smtp_auth_password_file" in config["global"]
    assert set(config["receivers"][0]["slack_configs"][0]) == {"api_url_file", "channel"}
    assert set(config["receivers"][1]["webhook_configs"][0]) == {"url_file"}


def test_bucket_keys_come_through_the_environment_and_stand_in_no_file() -> None:
    manifests = rendered(FULL)
    env = {entry["name"]: entry for entry in container_of(manifests, "prod-loki")["env"]}
    assert env["AWS_ACCESS_KEY_ID"]["valueFrom"]["secretKeyRef"] == {"name": "loki-s3", "key": "accessKeyId"}
    assert env["AWS_SECRET_ACCESS_KEY"]["valueFrom"]["secretKeyRef"] == {"name": "loki-s3", "key": "secretAccessKey"}
    assert "access_key" not in str(file_of(manifests, "prod-loki-config", "loki.yaml"))
    # Without expansion, `${...}` in the user's own text stays as it is.
    for name in ("prod-loki", "prod-tempo"):
        assert not [arg for arg in container_of(manifests, name)["args"] if "expand-env" in arg]


def test_a_whole_alertmanager_configuration_can_be_a_secret() -> None:
    manifests = rendered({"components": {"alertmanager": {"configSecret": "am"}}})
    assert (
        "--config.file=/etc/stackledger/secrets/am/alertmanager.yaml"
        in container_of(manifests, "prod-alertmanager")["args"]
    )
    assert not [manifest for manifest in manifests if manifest.ref.kind == "ConfigMap"]


def test_a_secret_where_the_program_takes_only_text_is_refused_by_place() -> None:
    job = {"params": {"x": {"secretKeyRef": {"name": "a", "key": "b"}}}}
    with pytest.raises(ConfigValueError) as caught:
        SecretFileCollector().externalise(job, "spec.x", frozenset({"password"}))
    assert caught.value.place == "spec.x.params.x"


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "A"])
def test_a_reference_to_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ConfigValueError):
        SecretFileCollector().externalise(
            {"password": {"secretKeyRef": {"name": name, "key": "k"}}}, "x", frozenset({"password"})
        )


def _digests(**more: Any) -> dict[str, str]:
    return {str(manifest.ref): manifest.digest for manifest in rendered(FULL, **more)}


def _changed(first: dict[str, str], second: dict[str, str]) -> set[str]:
    return {ref for ref in first if first[ref] != second.get(ref)}


def test_a_rotated_secret_rolls_exactly_the_pods_that_read_it() -> None:
    before = {"Secret/loki-s3": "1", "Secret/tempo-s3": "1", "Secret/far": "1"}
    changed = _changed(_digests(dependencies=before), _digests(dependencies=before | {"Secret/loki-s3": "2"}))
    assert changed == {"StatefulSet/prod-loki"}


def test_a_secret_that_nobody_reads_rolls_nothing() -> None:
    assert _digests(dependencies={"Secret/other": "1"}) == _digests(dependencies={"Secret/other": "2"})


def test_a_changed_dashboard_of_the_users_own_rolls_grafana() -> None:
    first, second = ({"ConfigMap/shop-dashboard": word} for word in "12")
    assert _changed(_digests(dependencies=first), _digests(dependencies=second)) == {"Deployment/prod-grafana"}


def test_a_changed_inline_secret_changes_the_secret_and_the_pods_that_read_it() -> None:
    inline = context_of(FULL).inline_secrets
    path = "components.prometheus.remoteWrite[0].basicAuth.password"
    changed = _changed(_digests(), _digests(inline_secrets=inline | {path: "hmac-sha256:other"}))
    assert changed == {"Secret/prod-inline", "StatefulSet/prod-prometheus"}


def test_a_changed_configuration_rolls_the_pods_that_read_it() -> None:
    def digests(interval: str) -> dict[str, str]:
        spec = {"components": {"prometheus": {"scrapeInterval": interval}, "loki": {}}}
        return {str(manifest.ref): manifest.digest for manifest in rendered(spec)}

    assert _changed(digests("30s"), digests("15s")) == {
        "ConfigMap/prod-prometheus-config",
        "StatefulSet/prod-prometheus",
    }


def test_the_same_context_renders_the_same_bytes() -> None:
    assert _bytes(rendered(FULL)) == _bytes(rendered(FULL))


def test_the_namespace_and_the_uid_change_nothing() -> None:
    context = context_of(FULL)
    elsewhere = msgspec.structs.replace(context, namespace="other", uid="u")
    assert _bytes(render(context)) == _bytes(render(elsewhere))


def test_a_manifest_survives_its_own_encoding() -> None:
    for manifest in rendered(FULL):
        assert msgspec.json.decode(manifest.content, type=Manifest) == manifest
