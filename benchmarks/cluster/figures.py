"""What a process takes and what it sends: figures of the operating system and of the API server's audit log."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

#: Verbs that change something.
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
#: The audit log is written by another process: so long until a call that was answered is in it, seconds.
AUDIT_DELAY_SECONDS = 0.5


def proportional_bytes(pid: int) -> int:
    """Memory of a process: its own and its share of what it has in common with others (PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def cpu_seconds(pid: int) -> float:
    """Processor time used so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_seconds_below(*directories: Path) -> float:
    """Processor time of all processes that run in one of these directories or name it in their arguments."""
    return sum(cpu_seconds(pid) for pid in _pids_below([str(directory) for directory in directories]))


def _pids_below(directories: list[str]) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        # Processes come and go while this looks.
        with suppress(OSError):
            words = f"{(entry / 'cwd').readlink()} {(entry / 'cmdline').read_bytes().decode(errors='replace')}"
            if any(directory in words for directory in directories):
                yield int(entry.name)


class _Subject(msgspec.Struct):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    apiGroup: str = ""  # noqa: N815  # the word of the audit log
    subresource: str = ""


class _Line(msgspec.Struct):
    verb: str
    userAgent: str = ""  # noqa: N815  # the word of the audit log
    objectRef: _Subject | None = None  # noqa: N815  # the word of the audit log


#: (verb, resource[.group][/subresource], namespace)
Call = tuple[str, str, str]
_decode = msgspec.json.Decoder(_Line).decode


class AuditLog:
    """Calls of one client, as the API server recorded them."""

    def __init__(self, path: Path, user_agent: str) -> None:
        """`user_agent`: how that of the client begins."""
        self._path, self._user_agent = path, user_agent

    def mark(self) -> int:
        """Where the log ends now: what is called from here on is read by `calls`."""
        return self._path.stat().st_size if self._path.exists() else 0

    def calls(self, mark: int) -> Counter[Call]:
        """What the client was answered since the mark."""
        return Counter(self._calls(mark))

    def _calls(self, mark: int) -> Iterator[Call]:
        with self._path.open("rb") as file:
            file.seek(mark)
            for text in file:
                line = _decode(text)
                if not line.userAgent.startswith(self._user_agent):
                    continue
                subject = line.objectRef or _Subject()
                resource = f"{subject.resource}.{subject.apiGroup}".rstrip(".")
                yield line.verb, f"{resource}/{subject.subresource}".rstrip("/"), subject.namespace


def total(calls: Counter[Call], verbs: frozenset[str] | None = None) -> int:
    """How many there are, or how many with these verbs."""
    return sum(count for (verb, _, _), count in calls.items() if verbs is None or verb in verbs)
