"""Reaching the API server: configuration, deadlines, sizes, and one pool for all threads."""

import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from kubernetes.client import Configuration
from urllib3.exceptions import SSLError

from eventstore.vocabulary import ErrorCategory
from reconciler.shell.api_configuration import load_configuration
from reconciler.shell.api_refusal import Call
from reconciler.shell.api_streams import Limits
from reconciler.shell.api_transport import ApiTransport, Question
from reconciler.shell.cluster import ClusterError

QUESTION = Question(call=Call(verb="get", kind="Pod", plural="pods"), method="GET", path="/x")


def transport_to(server: Any, **more: Any) -> ApiTransport:
    return ApiTransport(lambda: Configuration(host=server.url), monotonic=time.monotonic, **more)


def kubeconfig(path: Path, *names: str) -> Path:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"http://{name}.example:6443/prefix"}} for name in names],
        "users": [{"name": name, "user": {"token": f"token-of-{name}"}} for name in names],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in names],
        "current-context": names[0],
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_kubeconfig_is_read_for_the_current_or_the_named_context(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config", "one", "two")
    assert load_configuration(str(file)).host == "http://one.example:6443/prefix"
    two = load_configuration(str(file), "two")
    assert two.host == "http://two.example:6443/prefix"
    assert two.auth_settings()["BearerToken"]["value"] == "Bearer token-of-two"


@pytest.mark.parametrize("content", [None, "", "{", "a: [", "kind: Config", "\x00"])
def test_a_kubeconfig_that_cannot_be_used_is_a_configuration_error(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "config"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ClusterError) as caught:
        load_configuration(str(file))
    assert (caught.value.category, caught.value.reason) == (ErrorCategory.CONFIGURATION, "KubeconfigInvalid")


def test_an_unknown_context_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="KubeconfigInvalid"):
        load_configuration(str(kubeconfig(tmp_path / "config", "one")), "three")


def test_a_rotated_token_in_the_file_is_used_after_a_401(server: Any, reply: Any, tmp_path: Path) -> None:
    file = tmp_path / "config"

    def write(token: str) -> None:
        content = yaml.safe_load(kubeconfig(file, "one").read_text())
        content["clusters"][0]["cluster"]["server"] = server.url
        content["users"][0]["user"]["token"] = token
        file.write_text(yaml.safe_dump(content))

    write("old")
    transport = ApiTransport(lambda: load_configuration(str(file)), monotonic=time.monotonic)
    write("new")
    server.replies(lambda seen: reply(200 if seen.headers["authorization"] == "Bearer new" else 401, b"{}"))
    assert transport.ask(QUESTION).status == 200
    assert len(server.seen) == 2
    assert transport.ask(QUESTION).status == 200
    assert len(server.seen) == 3, "the fresh token is kept"


def test_a_token_that_nobody_replaces_is_shown_once_a_call_and_the_next_one_at_once(server: Any, reply: Any) -> None:
    tokens = ["dead"]
    transport = ApiTransport(
        lambda: Configuration(host=server.url, api_key={"BearerToken": tokens[-1]}), monotonic=time.monotonic
    )
    server.replies(lambda seen: reply(401 if seen.headers["authorization"] == "dead" else 200, b"{}"))
    assert [transport.ask(QUESTION).status for _ in range(4)] == [401] * 4
    assert len(server.seen) == 5, "only the first is sent again: it may have been an accident"
    tokens.append("alive")
    assert transport.ask(QUESTION).status == 200


def test_many_threads_with_a_dead_token_read_it_again_once_each_at_most(server: Any, reply: Any) -> None:
    loads: list[int] = []

    def load() -> Configuration:
        loads.append(1)
        return Configuration(host=server.url, api_key={"BearerToken": f"bearer {len(loads)}"})

    transport = ApiTransport(load, monotonic=time.monotonic)
    barrier = threading.Barrier(4)

    def answer(seen: Any) -> Any:
        return reply(401 if seen.headers["authorization"] == "bearer 1" else 200, b"{}")

    server.replies(answer)
    statuses: list[int] = []

    def ask() -> None:
        barrier.wait(5)
        statuses.append(transport.ask(QUESTION).status)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert statuses == [200] * 4
    assert len(loads) == 2, "once at the start, once for all threads"


@pytest.mark.parametrize(
    ("failure", "sent"),
    [
        (ssl.SSLCertVerificationError("unknown authority"), 2),
        (ssl.SSLEOFError("EOF occurred in violation of protocol"), 1),
        (ssl.SSLZeroReturnError("closed"), 1),
    ],
)
def test_only_what_never_left_is_sent_again_with_certificates_read_again(
    server: Any, monkeypatch: pytest.MonkeyPatch, failure: ssl.SSLError, sent: int
) -> None:
    attempts: list[str] = []

    def request(_pool: Any, method: str, _url: str, **_options: Any) -> None:
        attempts.append(method)
        raise SSLError(failure)

    monkeypatch.setattr(urllib3.PoolManager, "request", request)
    with pytest.raises(ClusterError, match="cannot be reached"):
        transport_to(server).ask(QUESTION)
    assert len(attempts) == sent


def test_an_answer_larger_than_the_limit_is_not_read_to_its_end(server: Any, reply: Any) -> None:
    server.replies(reply(200, b"x" * 1_000_000))
    with pytest.raises(ClusterError, match=r"BadResponse: .* larger than 100000 bytes"):
        transport_to(server).ask(QUESTION, Limits(bytes_max=100_000))


def test_an_answer_that_drips_for_ever_meets_the_deadline_of_the_whole_call(server: Any, reply: Any) -> None:
    server.replies(reply(200, b"x" * 200, drip_seconds=0.02))
    started = time.monotonic()
    with pytest.raises(ClusterError) as caught:
        transport_to(server).ask(QUESTION, Limits(total_seconds=0.2))
    assert caught.value.reason == "Timeout"
    assert time.monotonic() - started < 1


def test_a_server_that_takes_the_question_and_says_nothing_meets_the_read_timeout(server: Any, reply: Any) -> None:

    def slow(_seen: Any) -> Any:
        time.sleep(0.5)
        return reply(200, b"{}")

    server.replies(slow)
    with pytest.raises(ClusterError) as caught:
        transport_to(server).ask(QUESTION, Limits(read_seconds=0.1))
    assert (caught.value.category, caught.value.reason) == (ErrorCategory.TRANSIENT, "Timeout")
    assert len(server.seen) == 1, "it is not asked again behind our back"


def test_a_compressed_answer_is_not_unpacked(server: Any, reply: Any) -> None:
    server.replies(reply(200, b"\x1f\x8b bomb", {"Content-Encoding": "gzip"}))
    assert transport_to(server).ask(QUESTION).body == b"\x1f\x8b bomb"


def test_connections_are_used_again(server: Any, reply: Any) -> None:
    server.replies(reply(200, b"{}"))
    transport = transport_to(server)
    for _ in range(20):
        transport.ask(QUESTION)
    assert len({seen.connection for seen in server.seen}) == 1
    transport.close()


def test_a_failing_credential_plugin_is_an_error_without_its_output(server: Any) -> None:
    def refresh(_configuration: Configuration) -> None:
        raise RuntimeError("exec: token=s3cr3t expired")

    configuration = Configuration(host=server.url, api_key={"BearerToken": "x"})
    configuration.refresh_api_key_hook = refresh  # type: ignore[assignment]  # the package types it as always None
    with pytest.raises(ClusterError) as caught:
        ApiTransport(lambda: configuration, monotonic=time.monotonic).ask(QUESTION)
    assert caught.value.category == ErrorCategory.TRANSIENT
    assert "s3cr3t" not in str(caught.value)
