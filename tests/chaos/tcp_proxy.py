"""A small TCP proxy that breaks what goes through it: cut, refuse, stand half open, lose answers, answer for itself."""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

_CHUNK = 65536
#: Whether bytes still pass; looked at this often.
_LOOK_SECONDS = 0.2

Connect = Callable[[], socket.socket]


class TcpProxy:
    """Listens on 127.0.0.1; each connection is passed on to what `connect` opens."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._listening: socket.socket | None = None
        self._lock = threading.Lock()
        self._pairs: set[_Pair] = set()
        self._stopping = threading.Event()
        self._refusing = False
        #: Set: bytes pass. Cleared: they wait, and the connections stay open.
        self.passing = threading.Event()
        self.passing.set()
        #: The next that the server says on a connection is swallowed, and the connection ends.
        self.losing_answers = False
        #: Sent instead of passing anything on; None: the server answers itself.
        self.answer: bytes | None = None
        self._listen(0)

    @property
    def port(self) -> int:
        """Where it listens; the same for its whole life."""
        return self._port

    def _listen(self, port: int) -> None:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(128)
        self._port = int(listening.getsockname()[1])
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), name="tcp-proxy", daemon=True).start()

    # -- faults ----------------------------------------------------------------------------------------------------

    def cut(self) -> int:
        """Reset every connection; how many there were."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            pair.reset()
        return len(pairs)

    def refuse(self) -> None:
        """Nobody listens any more, and what is open ends."""
        self._refusing = True
        if self._listening is not None:
            # Closing alone would let the thread that waits on it take one more.
            _shut(self._listening)
            _close(self._listening)
            self._listening = None
        self.cut()

    def accept(self) -> None:
        """Listen again on the same port."""
        if self._refusing:
            self._refusing = False
            self._listen(self._port)

    def abandon(self) -> None:
        """The server's side of every connection ends, and the client is not told: half open for good."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            pair.abandon()

    def heal(self) -> None:
        """No faults any more; connections that were abandoned stay so."""
        self.losing_answers, self.answer = False, None
        self.passing.set()
        self.accept()

    # -- life ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End everything."""
        self._stopping.set()
        self.passing.set()
        self.refuse()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _accept(self, listening: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="tcp-proxy-serve", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        answer = self.answer
        if answer is not None:
            _answer(client, answer)
            return
        self.passing.wait()
        try:
            server = self._connect()
        except OSError:
            _reset(client)
            return
        pair = _Pair(self, client, server)
        with self._lock:
            self._pairs.add(pair)
        if self._refusing:
            pair.reset()
        pair.run()
        with self._lock:
            self._pairs.discard(pair)


class _Pair:
    """A connection and its other half."""

    def __init__(self, proxy: TcpProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._abandoned = threading.Event()
        self._ended = threading.Event()
        for one in (client, server):
            with contextlib.suppress(OSError):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self) -> None:
        """Pass bytes both ways until one side ends."""
        upward = threading.Thread(target=self._pump, args=(self._client, self._server, False), daemon=True)
        upward.start()
        self._pump(self._server, self._client, True)
        if self._abandoned.is_set():
            # Nobody answers any more, and nobody says so: until the client loses patience.
            self._ended.wait()
        self._ended.set()
        _close(self._server)
        _close(self._client)
        upward.join(5)

    def reset(self) -> None:
        """End it as a firewall does."""
        self._abandoned.clear()
        self._ended.set()
        _reset(self._client)
        _reset(self._server)

    def abandon(self) -> None:
        """Let the client wait for ever."""
        self._abandoned.set()
        _shut(self._server)

    def _pump(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        try:
            while data := source.recv(_CHUNK):
                while not self._proxy.passing.wait(_LOOK_SECONDS):
                    if self._ended.is_set():
                        return
                if self._abandoned.is_set():
                    continue
                if is_answer and self._proxy.losing_answers:
                    self.reset()
                    return
                target.sendall(data)
        except OSError:
            pass
        if not is_answer:
            # The client has gone: nobody waits any more.
            self._ended.set()
            _shut(self._server)
        elif not self._abandoned.is_set():
            _shut(self._client)


def _answer(client: socket.socket, answer: bytes) -> None:
    with contextlib.suppress(OSError):
        client.settimeout(5)
        client.recv(_CHUNK)
        client.sendall(answer)
        client.shutdown(socket.SHUT_WR)
        while client.recv(_CHUNK):
            pass
    _close(client)


def _reset(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        # Wakes whoever reads on it; what closes it then is a RST and no FIN.
        one.shutdown(socket.SHUT_RD)
    _close(one)


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.close()
