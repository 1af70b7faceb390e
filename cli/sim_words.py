"""The words of a command: what a spec, a length of time, a fault looks like when it is typed."""

import difflib
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from audit.errors import PointError
from audit.time_travel import parse_duration
from cli.sim_tape import MisuseError, Tape
from eventstore.vocabulary import KIND, ComponentName
from simulator.faults import FaultKind

_COMPONENTS = frozenset(name.value for name in ComponentName)
#: Fields of a spec beside the components.
_TOP_FIELDS = frozenset(
    {"adopt", "alerting", "allowDowngrade", "backup", "deletionPolicy", "global", "highAvailability", "paused"}
    | {"security", "strict"}
)
#: Ways in which a call fails, in words; besides these, HTTP statuses and the names of `FaultKind`.
WAYS = {"lost": FaultKind.PRE, "unanswered": FaultKind.POST}
#: What `somebody` can do to every platform.
DEEDS = (
    FaultKind.EDIT,
    FaultKind.DELETE,
    FaultKind.LOSE_CHILD,
    FaultKind.EDIT_CHILD,
    FaultKind.REPLACE_CHILD,
    FaultKind.SPOIL_STATUS,
)
STATUSES = (400, 401, 403, 404, 409, 410, 413, 422, 429, 500, 503, 504)
#: Verbs of the ports: the cluster's, the ledger's, the lease's.
VERBS: tuple[str, ...] = ("apply", "create", "delete", "finalizers", "get", "list", "status", "watch")
VERBS += ("append", "read_stream", "load_state", "list_states", "due_streams", "get_content", "acquire", "renew")
REASONS = ("CrashLoopBackOff", "OOMKilled", "ImagePullBackOff", "CreateContainerConfigError", "Unschedulable", "hang")


class NamedObject(NamedTuple):
    """`Service/prod-loki`"""

    kind: str
    name: str


def split(line: str) -> list[str]:
    """The words of a line, as a shell would split it."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise MisuseError(f"{error}", "close the quotation mark") from None


def near(word: str, known: Iterable[str]) -> str:
    """`did you mean ...?`, or everything that is known."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"one of: {', '.join(names)}"


def seconds_of(text: str) -> float:
    """`30s`, `5m`, `1h30m`."""
    try:
        return parse_duration(text).total_seconds()
    except PointError as error:
        raise MisuseError(error.what, error.next_step or "write it like 90s, 15m or 1h30m") from None


def value_of(text: str) -> Any:
    """A value as YAML reads it: numbers, true and false, null, {..}, [..]; everything else is text."""
    try:
        return yaml.safe_load(text) if text else ""
    except yaml.YAMLError:
        return text


def object_of(word: str) -> NamedObject | None:
    """`Service/prod-loki`; None for a word without a slash."""
    kind, slash, name = word.partition("/")
    if not slash:
        return None
    if not kind or not name:
        raise MisuseError(f"{word} names no object", "write KIND/NAME, such as Service/prod-loki")
    return NamedObject(kind, name)


def pairs_of(words: Sequence[str], form: str) -> dict[str, str]:
    """`a=1 b=2`."""
    pairs = [word.partition("=") for word in words]
    wrong = next((word for word, (key, sign, _) in zip(words, pairs, strict=True) if not key or not sign), None)
    if wrong is not None:
        raise MisuseError(f"{wrong} is not KEY=VALUE", f"write {form}")
    return {key: value for key, _, value in pairs}


def platform_of(tape: Tape, words: Sequence[str], form: str) -> str:
    """The platform that is named; without a name, the one that was spoken of last."""
    if len(words) > 1:
        raise MisuseError(f"{' '.join(words[1:])}: one word too many", f"write {form}")
    return words[0] if words else current(tape)


def current(tape: Tape) -> str:
    """The platform that was spoken of last."""
    if not tape.current:
        raise MisuseError("there is no platform yet", "begin with: apply prod prometheus grafana")
    return tape.current


def workload_of(tape: Tape, word: str) -> str:
    """A workload by its name, or by the component of the current platform."""
    if word in _COMPONENTS:
        return f"{current(tape)}-{word}"
    known = tape.session.hands.workloads()
    if word in known or word.rpartition("-")[2] in _COMPONENTS:
        return word
    raise MisuseError(f"there is no workload {word}", near(word, [*known, *_COMPONENTS]))


# -- specs ---------------------------------------------------------------------------------------------------------


def spec_of(words: Sequence[str]) -> dict[str, Any]:
    """`prometheus=3.13.1 replicas=2 grafana paused=true` as a spec, or as a patch of one.

    A component may have its version; `grafana.persistence.size=2Gi` is a field of it. A field without a component is
    one of the spec, or else of the component before it.
    """
    spec: dict[str, Any] = {}
    component = ""
    for word in words:
        path, sign, text = word.partition("=")
        first = path.partition(".")[0]
        if path in _COMPONENTS:
            component = path
            _put(spec, ["components", path, "enabled" if not sign else "version"], text if sign else True)
            if sign and text in ("null", "off"):
                spec["components"][path] = None if text == "null" else {"enabled": False}
        elif not sign:
            raise MisuseError(f"{word} is neither a component nor FIELD=VALUE", near(word, sorted(_COMPONENTS)))
        elif first in _COMPONENTS:
            # 13.10 is a version, not a number.
            _put(spec, ["components", *path.split(".")], text if path.endswith(".version") else value_of(text))
        elif first in _TOP_FIELDS:
            _put(spec, path.split("."), value_of(text))
        elif component:
            _put(spec, ["components", component, *path.split(".")], value_of(text))
        else:
            raise MisuseError(f"{path} is no field of the spec", f"of a component: prometheus.{path}={text}")
    return spec


def _put(document: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for key in path[:-1]:
        inner = document.get(key)
        document[key] = inner if isinstance(inner, dict) else {}
        document = document[key]
    document[path[-1]] = value


def manifest_of(text: str, where: str) -> tuple[str, dict[str, Any]]:
    """Name and spec of an ObservabilityPlatform in YAML; a bare spec has no name."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise MisuseError(f"{where}: {' '.join(str(error).split())}", "it must be YAML") from None
    if not isinstance(document, dict):
        raise MisuseError(f"{where} is no object", "it must hold an ObservabilityPlatform, or its spec")
    if "spec" not in document:
        return "", document
    if document.get("kind", KIND) != KIND:
        raise MisuseError(f"{where} is a {document['kind']}", f"only an {KIND} can be applied")
    return str((document.get("metadata") or {}).get("name", "")), document["spec"]


def read_manifest(path: str) -> tuple[str, dict[str, Any]]:
    """The same, from a file."""
    try:
        return manifest_of(Path(path).read_text(), path)
    except (OSError, UnicodeDecodeError) as error:
        raise MisuseError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not text'}") from None


def fault_of(word: str) -> FaultKind | int:
    """`lost`, `unanswered`, `503`, `die-before`, ..."""
    if word.isdigit():
        if int(word) not in STATUSES:
            raise MisuseError(f"{word} is no status", f"one of: {', '.join(map(str, STATUSES))}")
        # That of a watch or a list is an exception of its own.
        return FaultKind.GONE if word == "410" else int(word)
    if word in WAYS:
        return WAYS[word]
    try:
        return FaultKind(word)
    except ValueError:
        raise MisuseError(f"{word} is no fault", near(word, [*WAYS, *map(str, STATUSES), *FaultKind])) from None
