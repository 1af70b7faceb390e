"""The TCP proxy does to connections what it says."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.chaos.server import BUSY, busy_answer
from tests.chaos.tcp_proxy import TcpProxy


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    """In front of a server that says again what it is told."""
    listening = socket.create_server(("127.0.0.1", 0))

    def echo(one: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(100):
                one.sendall(data)
        one.close()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=echo, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    address = listening.getsockname()
    with TcpProxy(lambda: socket.create_connection(address)) as proxy:
        yield proxy
    listening.close()


def said(client: socket.socket, text: bytes = b"hello") -> bytes:
    client.sendall(text)
    return client.recv(1000)


def client_of(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=3)


def test_bytes_pass_both_ways(proxy: TcpProxy) -> None:
    with client_of(proxy) as client:
        assert said(client) == b"hello"


def test_a_cut_ends_every_connection_and_new_ones_work(proxy: TcpProxy) -> None:
    with client_of(proxy) as client:
        said(client)
        assert proxy.cut() == 1
        with pytest.raises(ConnectionError):
            _ = said(client) or said(client)
    with client_of(proxy) as client:
        assert said(client) == b"hello"


def test_refused_connections_are_accepted_again_on_the_same_port(proxy: TcpProxy) -> None:
    port = proxy.port
    proxy.refuse()
    with pytest.raises(OSError, match="refused"):
        client_of(proxy)
    proxy.accept()
    assert proxy.port == port
    with client_of(proxy) as client:
        assert said(client) == b"hello"


def test_what_is_held_back_comes_later(proxy: TcpProxy) -> None:
    with client_of(proxy) as client:
        said(client)
        proxy.passing.clear()
        client.sendall(b"later")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(100)
        proxy.passing.set()
        client.settimeout(3)
        assert client.recv(100) == b"later"


def test_an_abandoned_connection_stays_open_and_says_nothing(proxy: TcpProxy) -> None:
    with client_of(proxy) as client:
        said(client)
        proxy.abandon()
        client.sendall(b"anybody?")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(100)


def test_a_lost_answer_ends_the_connection(proxy: TcpProxy) -> None:
    with client_of(proxy) as client:
        said(client)
        proxy.losing_answers = True
        with pytest.raises(ConnectionError):
            _ = said(client) or said(client)


@pytest.mark.parametrize("choice", range(len(BUSY)))
def test_it_answers_for_itself(proxy: TcpProxy, choice: int) -> None:
    proxy.answer = busy_answer(choice)
    with client_of(proxy) as client:
        assert said(client, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 " + BUSY[choice][0].encode())
