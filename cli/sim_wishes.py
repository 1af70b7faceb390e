"""The commands that do something, each as the lines it says; what comes of them is shown by whoever calls."""

from collections.abc import Iterator, Sequence
from typing import Any

from cli import sim_words as words
from cli.sim_tape import MisuseError, Tape
from cli.sim_telling import when
from simulator.session_trouble import Denial

Said = Iterator[str]


# -- platforms -----------------------------------------------------------------------------------------------------


def apply(tape: Tape, given: Sequence[str], body: str) -> Said:
    """`apply NAME FIELD...`, `apply [NAME] -f FILE`, or with lines below."""
    names = list(given)
    if "-f" in names:
        place = names.index("-f")
        if place + 1 == len(names):
            raise MisuseError("-f without a file", "write apply -f platform.yaml, or apply -f - and the lines below it")
        path = names.pop(place + 1)
        names.pop(place)
        if path == "-" and not body:
            raise MisuseError("nothing to apply", "write the YAML on the lines below, each after `| `")
        named, spec = words.manifest_of(body, "what stands below") if path == "-" else words.read_manifest(path)
    else:
        named, spec = "", words.spec_of(names[1:])
    name = names[0] if names else named
    if not name or (not spec and "-f" not in given):
        raise MisuseError("what is to be applied?", "write apply prod prometheus=3.13.1 grafana")
    existed = tape.session.universe.platform(name)
    tape.current = name
    yield _generation("changed" if existed else "created", existed, tape.session.hands.apply(name, spec))


def edit(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`edit [NAME] FIELD=VALUE...`, `edit KIND/NAME PATH=VALUE...`; or a merge patch in JSON."""
    if not given:
        raise MisuseError("what is to be edited?", "write edit prod grafana=13.2.2")
    target = words.object_of(given[0]) if "=" not in given[0] and not given[0].startswith("{") else None
    if target is not None:
        tape.session.hands.patch(*target, _patch(given[1:], "edit Service/prod-loki spec.type=NodePort"))
        yield f"edited {target.kind}/{target.name}"
        return
    plain = "=" not in given[0] and not given[0].startswith("{")
    name, fields = (given[0], given[1:]) if plain else (words.current(tape), given)
    tape.current = name
    before = tape.session.hands.platform(name)
    patch = words.value_of(fields[0]) if fields and fields[0].startswith("{") else words.spec_of(fields)
    if not patch:
        raise MisuseError("what is to be changed?", "write edit prod grafana=13.2.2, or retention=null to take it out")
    yield _generation("changed", before, tape.session.hands.edit(name, patch))


def _patch(fields: Sequence[str], form: str) -> dict[str, Any]:
    if fields and fields[0].startswith("{"):
        found = words.value_of(fields[0])
        if isinstance(found, dict):
            return found
    patch: dict[str, Any] = {}
    for path, text in words.pairs_of(fields, form).items():
        inner = patch
        *parents, last = path.split(".")
        for key in parents:
            inner = inner.setdefault(key, {})
        inner[last] = words.value_of(text)
    if not patch:
        raise MisuseError("what is to be changed?", f"write {form}")
    return patch


def _generation(word: str, before: Any, after: Any) -> str:
    generation = after["metadata"]["generation"]
    if before is not None and before["metadata"]["generation"] == generation:
        return f"{after['metadata']['name']} is as it was, generation {generation}"
    return f"{word} {after['metadata']['name']}, generation {generation}"


def delete(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`delete [NAME]` or `delete KIND/NAME`."""
    target = words.object_of(given[0]) if given else None
    if target is not None:
        tape.session.hands.delete(*target)
        yield f"deleted {target.kind}/{target.name}"
        return
    name = words.platform_of(tape, given, "delete prod, or delete Service/prod-loki")
    tape.session.hands.delete_platform(name)
    yield f"asked for the deletion of {name}"


def replace(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`replace KIND/NAME`: somebody's own object in its place."""
    target = words.object_of(given[0]) if len(given) == 1 else None
    if target is None:
        raise MisuseError("what is to be replaced?", "write replace ConfigMap/prod-loki-config")
    tape.session.hands.replace(*target)
    yield f"somebody's own {target.kind}/{target.name} is in its place"


def pause(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`pause [NAME]`"""
    yield from _set_paused(tape, words.platform_of(tape, given, "pause prod"), paused=True)


def resume(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`resume [NAME]`"""
    yield from _set_paused(tape, words.platform_of(tape, given, "resume prod"), paused=False)


def _set_paused(tape: Tape, name: str, *, paused: bool) -> Said:
    before = tape.session.hands.platform(name)
    yield _generation("changed", before, tape.session.hands.edit(name, {"paused": paused}))


def retry(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`retry [NAME]`"""
    name = words.platform_of(tape, given, "retry prod")
    tape.session.hands.retry(name)
    yield f"annotated {name}: stackledger.io/retry-at={when(tape.session.universe.clock.now())}"


# -- the cluster ---------------------------------------------------------------------------------------------------


def break_(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`break COMPONENT [REASON]`"""
    if len(given) not in (1, 2):
        raise MisuseError("what is to break, and how?", "write break grafana OOMKilled")
    reason = given[1] if len(given) == 2 else words.REASONS[0]
    if reason not in words.REASONS:
        raise MisuseError(f"{reason} is no reason for a pod to fail with", words.near(reason, words.REASONS))
    workload = words.workload_of(tape, given[0])
    tape.session.hands.break_workload(workload, reason)
    yield f"the pods of {workload} fail with {reason}"


def repair(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`repair COMPONENT`"""
    if len(given) != 1:
        raise MisuseError("what is to be repaired?", "write repair grafana")
    workload = words.workload_of(tape, given[0])
    if not tape.session.hands.repair_workload(workload):
        raise MisuseError(
            f"{workload} was not broken", f"broken: {', '.join(tape.session.hands.broken()) or 'nothing'}"
        )
    yield f"the pods of {workload} are well again"


def secret(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`secret NAME KEY=VALUE...`"""
    form = "secret loki-s3 accessKey=... secretKey=..."
    if len(given) < 2:
        raise MisuseError("which Secret, with which keys?", f"write {form}")
    values = words.pairs_of(given[1:], form)
    made = tape.session.hands.put_secret(given[0], values)
    yield f"{'created' if made else 'changed'} Secret/{given[0]} with {', '.join(values)}"


def quota(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`quota RESOURCE=LIMIT...` or `quota none`"""
    limits = (
        {} if list(given) == ["none"] else words.pairs_of(given, "quota pods=2 requests.storage=20Gi, or quota none")
    )
    if not limits and list(given) != ["none"]:
        raise MisuseError("which limits?", "write quota pods=2, or quota none")
    tape.session.hands.set_quota(limits)
    yield f"the namespace is limited to {', '.join(given)}" if limits else "the namespace has no limits any more"


def deny(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`deny VERB RESOURCE`"""
    tape.session.trouble.denied.add(_denial(tape, given, "deny patch services"))
    yield f"the operator may not {given[0]} {given[1]}"


def allow(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`allow VERB RESOURCE`"""
    denial = _denial(tape, given, "allow patch services")
    denied = tape.session.trouble.denied
    if denial not in denied:
        known = ", ".join(f"{one.verb} {one.resource}" for one in sorted(denied)) or "nothing"
        raise MisuseError(f"{' '.join(given)} was not denied", f"denied: {known}")
    denied.remove(denial)
    yield f"the operator may {given[0]} {given[1]} again"


def _denial(tape: Tape, given: Sequence[str], form: str) -> Denial:
    verbs = ("get", "list", "watch", "create", "patch", "delete", "*")
    if len(given) != 2 or given[0] not in verbs:
        raise MisuseError("which verb, and which resource?", f"write {form}; verbs: {', '.join(verbs)}")
    return Denial(given[0], given[1] if given[1] == "*" else tape.session.hands.kind(given[1]).plural)
