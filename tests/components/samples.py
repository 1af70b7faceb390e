"""Specs and renderings that the tests of this folder share."""

import copy
from typing import Any

import yaml

from api.naming import inline_secret_name
from api.parsing import parse_spec
from api.redaction import redact
from components.context import RenderContext
from components.manifest import Manifest
from components.registry import render

#: Stands in every place where a secret can stand inline; must never be seen again.
CANARY = "Canary-7f3e9d1c-do-not-leak"

MINIMAL: dict[str, Any] = {"components": {"prometheus": {"enabled": True}}}

ALL_DEFAULT: dict[str, Any] = {
    "components": {"prometheus": {}, "loki": {}, "tempo": {}, "grafana": {}, "alertmanager": {}}
}

FULL: dict[str, Any] = {
    "global": {
        "externalLabels": {"env": "prod", "cost": "$5 {{ x }}"},
        "logLevel": "warn",
        "nodeSelector": {"disktype": "ssd"},
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "obs", "effect": "NoSchedule"}],
        "imagePullSecrets": ["registry"],
        "imageRegistry": "registry.example.com:5000",
        "storageClass": "gp3",
    },
    "highAvailability": {"enabled": True, "antiAffinity": "hard", "minReplicas": 2},
    "security": {"networkPolicy": {"allowFrom": [{"app": "shop"}]}},
    "deletionPolicy": "Delete",
    "components": {
        "prometheus": {
            "version": "3.13.2",
            "replicas": 2,
            "resources": {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"memory": "4Gi"}},
            "storage": {"size": "100Gi"},
            "retention": "30d",
            "retentionSize": "90GB",
            "scrapeInterval": "15s",
            "scrapeTimeout": "10s",
            "externalUrl": "https://metrics.example.com/",
            "outOfOrderTimeWindow": "30m",
            "enableFeatures": ["exemplar-storage"],
            "query": {"timeout": "1m", "maxSamples": 1000000},
            "extraArgs": [{"name": "--web.page-title", "value": "$(cmd) {{ title }}"}],
            "remoteWrite": [
                {
                    "url": "https://far.example.com/api/v1/push",
                    "name": "far",
                    "remoteTimeout": "30s",
                    "basicAuth": {"username": "u", "password": CANARY},
                    "headers": {"X-Scope-OrgID": "team", "X-Api-Key": {"secretKeyRef": {"name": "far", "key": "api"}}},
                    "tlsConfig": {"ca": {"secretKeyRef": {"name": "far", "key": "ca.crt"}}, "serverName": "far"},
                    "writeRelabelConfigs": [{"action": "drop", "source_labels": ["x"], "regex": "^$"}],
                    "queueConfig": {"maxShards": 10, "batchSendDeadline": "5s"},
                }
            ],
            "additionalScrapeConfigs": [
                {
                    "job_name": "shop",
                    "basic_auth": {"username": "s", "password": {"secretKeyRef": {"name": "shop", "key": "pw"}}},
                    "static_configs": [{"targets": ["shop:8080"]}],
                }
            ],
            "alertingRules": [{"alert": "Down", "expr": "up == 0", "for": "5m", "labels": {"severity": "page"}}],
        },
        "loki": {
            "version": "3.7.6",
            "replicas": 3,
            "retention": "14d",
            "s3": {"bucket": "prod-loki", "region": "eu-central-1", "secretRef": "loki-s3"},
            "limits": {"ingestionRate": "10MB", "maxStreamsPerUser": 5000},
        },
        "tempo": {
            "version": "2.10.8",
            "replicas": 2,
            "retention": "7d",
            "s3": {"bucket": "prod-tempo", "endpoint": "http://minio:9000", "secretRef": "tempo-s3"},
            "receivers": {
                "otlp": {"grpc": {}, "http": {}},
                "jaeger": {"protocols": {"thrift_compact": {}}},
                "zipkin": {},
            },
        },
        "grafana": {
            "version": "13.2.2",
            "replicas": 2,
            "adminPassword": CANARY,
            "persistence": {"enabled": False},
            "database": {"host": "db.demo.svc", "password": {"secretKeyRef": {"name": "grafana-db", "key": "pw"}}},
            "smtp": {"host": "mail.example.com", "user": "g", "password": CANARY, "from": "g@example.com"},
            "ingress": {
                "host": "grafana.example.com",
                "className": "nginx",
                "path": "/obs",
                "tls": {"secretName": "g-tls"},
            },
            "datasources": [
                {
                    "name": "Elsewhere $HOME",
                    "type": "prometheus",
                    "url": "https://elsewhere.example.com",
                    "jsonData": {"x": "${HOME}"},
                    "secureJsonData": {"basicAuthPassword": CANARY},
                }
            ],
            "dashboards": [
                {"name": "Nodes", "folder": "Ops", "json": '{"title": "Nodes"}'},
                {"name": "Shop", "configMap": "shop-dashboard", "key": "shop.json"},
            ],
            "plugins": ["grafana-clock-panel 2.1.3"],
            "config": {"users": {"default_theme": "light"}, "auth.generic_oauth": {"client_secret": CANARY}},
        },
        "alertmanager": {
            "version": "0.34.0",
            "replicas": 3,
            "storage": {"size": "2Gi"},
            "config": {
                "global": {"smtpFrom": "a@example.com", "smtpSmarthost": "mail:587", "smtpAuthPassword": CANARY},
                "route": {"receiver": "ops", "groupBy": ["alertname"], "routes": [{"receiver": "hook"}]},
                "receivers": [
                    {
                        "name": "ops",
                        "slackConfigs": [{"apiUrl": f"https://hooks.example.com/{CANARY}", "channel": "#ops"}],
                    },
                    {"name": "hook", "webhookConfigs": [{"url": f"https://hook.example.com/{CANARY}"}]},
                ],
            },
            "rules": [{"name": "own", "rules": [{"record": "a:b", "expr": "sum(up)"}]}],
            "extraEnv": [{"name": "TZ", "value": "UTC $(X)"}],
        },
    },
}


def context_of(spec: dict[str, Any], name: str = "prod", **more: Any) -> RenderContext:
    """A context for a spec as a user writes it: redacted, parsed, versions resolved."""
    redacted = redact(copy.deepcopy(spec), secret_name=inline_secret_name(name))
    parsed = parse_spec(redacted.spec, name=name)
    assert parsed.spec is not None, parsed.findings
    fields: dict[str, Any] = {
        "versions": parsed.spec.versions,
        "inline_secrets": {path: f"hmac-sha256:{number:064x}" for number, path in enumerate(sorted(redacted.inline))},
    }
    return RenderContext(name=name, namespace="demo", spec=parsed.spec, **(fields | more))


def rendered(spec: dict[str, Any], name: str = "prod", **more: Any) -> tuple[Manifest, ...]:
    """The manifests of a spec as a user writes it."""
    return render(context_of(spec, name, **more))


def find(manifests: tuple[Manifest, ...], kind: str, name: str) -> dict[str, Any]:
    """The body of one object."""
    return next(m.body for m in manifests if (m.ref.kind, m.ref.name) == (kind, name))


def file_of(manifests: tuple[Manifest, ...], config_map: str, file: str) -> Any:
    """A YAML file of a ConfigMap, read back."""
    return yaml.safe_load(find(manifests, "ConfigMap", config_map)["data"][file])


def pods_of(manifests: tuple[Manifest, ...]) -> list[dict[str, Any]]:
    """Spec of every pod template."""
    workloads = [m.body for m in manifests if m.ref.kind in ("Deployment", "StatefulSet")]
    return [body["spec"]["template"]["spec"] for body in workloads]


def container_of(manifests: tuple[Manifest, ...], name: str, kind: str = "StatefulSet") -> dict[str, Any]:
    """The container of one workload."""
    container: dict[str, Any] = find(manifests, kind, name)["spec"]["template"]["spec"]["containers"][0]
    return container
