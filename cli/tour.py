"""`stackledger demo --tour`: create, break, recover, upgrade, delete; then what the ledger says about it all."""

import copy
import subprocess
import sys

from cli.demo import Demo
from cli.output import write_line
from eventstore.vocabulary import Phase
from reconciler.shell.resources import PLATFORM

BROKEN, UPGRADED, UPGRADED_TO = "loki", "grafana", "13.2.2"


def walk(show: Demo) -> int:
    """Walk through the life of a platform that is Ready; 1 if the ledger finds fault with itself."""
    _break_and_repair(show)
    _upgrade(show)
    _delete(show)
    ledger = [show.name, "-n", show.namespace, "--state-dir", str(show.state_dir)]
    codes = []
    for command in (["history", *ledger], ["verify", *ledger], ["replay", *ledger]):
        _heading(show, f"stackledger {' '.join(command[:4])}")
        sys.stdout.flush()
        # In a process of its own: the verdict may not rest on anything this one remembers.
        codes.append(subprocess.run([sys.executable, "-m", "cli", *command], check=False).returncode)  # noqa: S603  # ours
    return max(codes)


def _break_and_repair(show: Demo) -> None:
    workload = f"{show.name}-{BROKEN}"
    _heading(show, f"{BROKEN} starts to crash")
    show.server.sandbox.break_workload(show.namespace, workload)
    show.wait("Failed", lambda: show.phase() == Phase.FAILED)
    _heading(show, f"{BROKEN} is well again")
    show.server.sandbox.repair_workload(show.namespace, workload)
    show.wait("Ready", show.is_ready)


def _upgrade(show: Demo) -> None:
    _heading(show, f"upgrade: spec.components.{UPGRADED}.version: {UPGRADED_TO}")
    wanted = copy.deepcopy(show.example)
    wanted["spec"]["components"][UPGRADED]["version"] = UPGRADED_TO
    show.apply(wanted)
    show.wait("upgraded", lambda: show.is_ready() and _running(show, UPGRADED) == UPGRADED_TO)


def _delete(show: Demo) -> None:
    _heading(show, f"kubectl delete obsp {show.name}")
    found = show.platform()
    if found is None:
        return
    uid = found["metadata"]["uid"]
    show.cluster.delete(PLATFORM, show.namespace, show.name, uid=uid)
    show.wait("gone", lambda: show.platform() is None and show.is_closed(uid))


def _running(show: Demo, component: str) -> str:
    status = (show.platform() or {}).get("status") or {}
    running: dict[str, str] = {entry["name"]: entry.get("runningVersion", "") for entry in status.get("components", ())}
    return running.get(component, "")


def _heading(show: Demo, text: str) -> None:
    show.catch_up()
    write_line()
    write_line(f"── {text}")
    sys.stdout.flush()
