"""The ledger's Postgres: real, behind a TCP proxy that the operators go through, and what is done to both."""

import shutil
import socket
import tempfile
import warnings
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from eventstore.log import EventLog
from eventstore.opening import open_log
from tests.chaos.server import Undo, proxy_fault
from tests.chaos.tcp_proxy import TcpProxy
from tests.cluster.installation import APP_PASSWORD, APP_ROLE, Databases
from tests.fixtures.postgres import PostgresServer


class LedgerDatabase:
    """A server of its own, migrated as the Job does it."""

    faults = frozenset(
        {
            "database-cut",
            "database-half-open",
            "database-away",
            "database-terminate",
            "database-restart",
            "database-crash",
        }
    )

    def __init__(self, directory: Path) -> None:
        self._files = Path(tempfile.mkdtemp(prefix="slpg-chaos-"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._server = PostgresServer(self._files)
        self._database = Databases(self._server, directory).create()
        self._name = urlsplit(self._database.owner_dsn).path.lstrip("/")
        folder = parse_qs(urlsplit(self._database.owner_dsn).query)["host"][0]
        self._socket = f"{folder}/.s.PGSQL.5432"
        self._proxy = TcpProxy(self._connect)
        self._down = False
        #: The owner's URL, past the proxy: for the oracles.
        self.owner_dsn = self._database.owner_dsn
        #: The operators' URL.
        self.dsn = f"postgresql://{APP_ROLE}:{quote(APP_PASSWORD)}@127.0.0.1:{self._proxy.port}/{self._name}"
        self._log: EventLog | None = None

    def _connect(self) -> socket.socket:
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(5)
        one.connect(self._socket)
        one.settimeout(None)
        return one

    @property
    def log(self) -> EventLog:
        """The ledger, read past the proxy."""
        if self._log is None:
            self._log = open_log(self.owner_dsn)
        return self._log

    def fault(self, kind: str, choice: int) -> Undo:
        """Let something go wrong; what ends it."""
        if self._down:
            # It is away already, and whoever let it go brings it back.
            return lambda: None
        if kind == "database-terminate":
            self._server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{APP_ROLE}'")
            return lambda: None
        if kind in ("database-restart", "database-crash"):
            self._server.control("-m", "fast" if kind == "database-restart" else "immediate", "stop")
            self._down = True
            return self._start
        return proxy_fault(self._proxy, kind.removeprefix("database-"))

    def heal(self) -> None:
        """Whatever goes wrong, it ends now."""
        self._proxy.heal()
        self._start()

    def _start(self) -> None:
        if self._down:
            self._server.start()
            self._down = False

    def dump(self) -> str:
        """Every row of every table, as text."""
        names = self._server.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
            self._name,
        )
        rows = []
        for (name,) in names:
            rows += [str(row) for (row,) in self._server.execute(f"SELECT t::text FROM {name} t", self._name)]
        return "\n".join(rows)

    def close(self) -> None:
        """Stop it and remove its files."""
        self._proxy.stop()
        if self._log is not None:
            self._log.close()
        self._start()
        self._server.cleanup()
        shutil.rmtree(self._files, ignore_errors=True)
