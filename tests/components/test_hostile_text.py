"""Text of a user arrives in every file as it was written, whatever it is made of."""

import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.encode import (
    ConfigValueError,
    FileValue,
    ini_text,
    literal_argument,
    literal_dollars,
    yaml_text,
)
from components.registry import render
from tests.components.samples import container_of, context_of, file_of, find, rendered

HOSTILE = (
    "\U0001f600 emoji",
    "{{ .Values.x }} ${HOME} $(cmd) `id`",
    "a\"b]c#d;e'f",
    "line\nbreak\r\n[section]\nkey = value",
    "- not: a list\n  key: value",
    "yes",
    "012",
    "1e3",
    "0x1f",
    "12:30:45",
    "~",
    "= x",
    "\u2028\u0085\u00a0",
    "*alias &anchor !!python/object:os.system",
    "%(x)s",
    "\t tab",
)
#: What a spec can hold: api.redaction takes NUL and lone surrogates out.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60) | st.sampled_from(
    HOSTILE
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_yaml_is_read_back_as_it_was_written(value: Any) -> None:
    assert yaml.safe_load(yaml_text(value)) == value


@pytest.mark.parametrize(
    "text", ["y", "n", "NO", "on", "1e3", "0o17", "1_000", "12:30", ".5", "null", "~", "2024-01-01"]
)
def test_text_that_another_reader_could_take_for_something_else_is_quoted(text: str) -> None:
    assert yaml_text({"key": text}) == f'key: "{text}"\n'


def test_equal_parts_are_written_out_and_never_as_aliases() -> None:
    part = {"a": ["b"]}
    assert "&" not in yaml_text({"x": part, "y": part})


def read_ini(text: str) -> dict[str, dict[str, str]]:
    """As go-ini reads it: comment signs cut plain values, backquotes and triple quotes protect, ends are stripped."""
    found: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in text.split("\n"):
        if not line.strip() or line.lstrip()[0] in "#;":
            continue
        if line.startswith("["):
            section = found.setdefault(line[1 : line.rindex("]")], {})
            continue
        key, _, raw = line.partition("=")
        value = raw.strip()
        for quote in ("`", '"""'):
            if value.startswith(quote) and len(value) >= 2 * len(quote):
                value = value[len(quote) : value.rindex(quote)]
                break
        else:
            value = re.split(r"[#;]", value)[0].strip()
        section[key.strip()] = value
    return found


@given(st.dictionaries(st.sampled_from(["a", "b.c", "d_e"]), TEXT, min_size=1))
@settings(max_examples=200, deadline=None)
@example({"a": "#;`"})
@example({"a": 'x"""`y'})
def test_ini_is_read_back_as_it_was_written_or_refused(entries: dict[str, str]) -> None:
    try:
        text = ini_text({"section": entries})
    except ConfigValueError:
        return
    assert read_ini(text) == {"section": entries}


@pytest.mark.parametrize(
    "value", ["a\nb", "a\rb", "${HOME}", "$__file{/etc/passwd}", "$__env{HOME}", "%(other)s", "\x1b[31m"]
)
def test_an_ini_value_that_grafana_would_not_take_literally_is_refused_by_place_not_value(value: str) -> None:
    with pytest.raises(ConfigValueError) as caught:
        ini_text({"auth": {"name": value}})
    assert "auth.name" in str(caught.value)
    assert value not in str(caught.value)


@pytest.mark.parametrize("key", ["", "a=b", "a\nb", " a", "a:b", "#a", "`a`"])
def test_an_ini_key_that_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ConfigValueError):
        ini_text({"auth": {key: "x"}})


@pytest.mark.parametrize("section", ["", "a]b", "a\nb"])
def test_an_ini_section_that_is_no_section_is_refused(section: str) -> None:
    with pytest.raises(ConfigValueError):
        ini_text({section: {"x": "y"}})


def test_only_the_operator_can_write_a_file_expansion() -> None:
    assert "password = $__file{/run/x}" in ini_text({"security": {"password": FileValue("/run/x")}})


@given(TEXT)
@settings(max_examples=100, deadline=None)
def test_dollars_are_doubled_so_that_expansion_gives_the_text_back(text: str) -> None:
    assert literal_dollars({"a": [text]})["a"][0].replace("$$", "$") == text


@given(TEXT)
@settings(max_examples=100, deadline=None)
def test_arguments_reach_the_program_as_they_stand(text: str) -> None:
    # The kubelet leaves `$$(` as `$(` and expands what has a single dollar.
    assert re.sub(r"\$\$\(", "$(", literal_argument(text)) == text.replace("$$(", "$(")
    assert not re.search(r"(?<!\$)\$\(", literal_argument(text))


@given(TEXT, TEXT)
@settings(max_examples=60, deadline=None)
def test_labels_and_annotations_of_a_spec_come_back_out_of_the_files(label: str, annotation: str) -> None:
    rule = {"alert": "x", "expr": "up", "annotations": {"summary": annotation}}
    context = context_of({"components": {"prometheus": {"externalLabels": {"a": label}, "alertingRules": [rule]}}})
    manifests = render(context)
    config = file_of(manifests, "prod-prometheus-config", "prometheus.yml")
    spec = context.spec.components.prometheus
    assert spec is not None
    assert config["global"]["external_labels"]["a"].replace("$$", "$") == spec.external_labels["a"].replace("$$", "$")
    rules = file_of(manifests, "prod-prometheus-rules", "prometheus.yml")
    expected = dict(spec.alerting_rules[0].rules[0].annotations)
    assert rules["groups"][0]["rules"][0]["annotations"] == expected


@pytest.mark.parametrize("text", HOSTILE)
def test_scrape_configs_come_out_as_they_went_in(text: str) -> None:
    job = {"job_name": f"j-{text}", "params": {text: [text]}}
    manifests = rendered({"components": {"prometheus": {"additionalScrapeConfigs": [job]}}})
    assert file_of(manifests, "prod-prometheus-config", "prometheus.yml")["scrape_configs"][-1] == job


def test_template_syntax_is_literal_in_arguments_variables_and_labels() -> None:
    spec = {
        "components": {
            "prometheus": {
                "extraArgs": [{"name": "web.page-title", "value": "$(cmd) {{ x }}"}],
                "extraEnv": [{"name": "A", "value": "$(B)"}],
            }
        }
    }
    container = container_of(rendered(spec), "prod-prometheus")
    assert "--web.page-title=$$(cmd) {{ x }}" in container["args"]
    assert container["env"] == [{"name": "A", "value": "$$(B)"}]


def test_data_sources_of_a_user_are_not_expanded_by_grafana() -> None:
    source = {"name": "$HOME", "type": "loki", "url": "https://x.example.com/$y", "jsonData": {"k": "${PATH}"}}
    manifests = rendered({"components": {"grafana": {"datasources": [source]}}})
    found = file_of(manifests, "prod-grafana-config", "datasources.yaml")["datasources"][-1]
    assert (found["name"], found["jsonData"]["k"]) == ("$$HOME", "$${PATH}")


@pytest.mark.parametrize("text", HOSTILE)
def test_dashboards_arrive_byte_for_byte(text: str) -> None:
    document = json.dumps({"title": text}, ensure_ascii=False)
    manifests = rendered({"components": {"grafana": {"dashboards": [{"name": text, "json": document}]}}})
    data = find(manifests, "ConfigMap", "prod-grafana-dashboards-0")["data"]
    assert list(data.values()) == [document]
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key) for key in data)
