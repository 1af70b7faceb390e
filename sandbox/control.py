"""`/sandbox/...`: faults and breakages over HTTP. POST a JSON object; GET /sandbox/state shows what is set."""

import json
from collections.abc import Callable
from typing import Any

from sandbox.api import Response
from sandbox.assembly import Sandbox
from sandbox.routing import Request
from sandbox.schemachecks import unevaluated_rules

Fields = dict[str, Any]


class Control:
    """Answers requests for the controls."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._verbs: dict[str, Callable[[Fields], None]] = {
            "break": lambda f: sandbox.break_workload(
                f["namespace"], f["workload"], f.get("reason", "CrashLoopBackOff")
            ),
            "repair": lambda f: sandbox.repair_workload(f["namespace"], f["workload"]),
            "ready-delay": lambda f: sandbox.set_ready_delay(float(f["seconds"])),
            "inject": lambda f: sandbox.faults.inject(**f),
            "deny": lambda f: sandbox.faults.deny(f["verb"], f["resource"]),
            "allow": lambda f: sandbox.faults.allow(f["verb"], f["resource"]),
            "clear": lambda _: sandbox.faults.clear(),
            "pause": lambda _: sandbox.faults.pause(),
            "resume": lambda _: sandbox.faults.resume(),
            "drop-watches": lambda _: sandbox.faults.drop_watches(),
            "silence-watches": lambda f: setattr(sandbox.faults, "watches_silent", bool(f.get("silent", True))),
            "expire": lambda _: sandbox.expire_history(),
            "freeze": lambda _: sandbox.freeze(),
            "thaw": lambda _: sandbox.thaw(),
        }

    def handle(self, request: Request) -> Response:
        """The answer; 400 with a sentence for what is not understood."""
        name = request.path.removeprefix("/sandbox/").strip("/")
        if request.method == "GET" and name == "state":
            return Response(body=self._state())
        if request.method == "GET" and name == "rules":
            return Response(body=unevaluated_rules)
        verb = self._verbs.get(name)
        if request.method != "POST" or verb is None:
            known = ", ".join(sorted(self._verbs))
            return Response(404, {"message": f"POST to one of: {known}; or GET state, rules"})
        try:
            fields = json.loads(request.body or b"{}")
            verb(fields)
        except (KeyError, TypeError, ValueError) as error:
            return Response(400, {"message": f"{name}: {type(error).__name__}: {error}"})
        return Response(body={"done": name})

    def _state(self) -> Fields:
        settings, faults = self._sandbox.world.settings, self._sandbox.faults
        return {
            "revision": self._sandbox.model.store.revision,
            "readyDelaySeconds": settings.ready_delay_seconds,
            "broken": [
                {"namespace": namespace, "workload": name, "reason": reason}
                for (namespace, name), reason in sorted(settings.broken.items())
            ],
            "calls": {f"{verb} {resource}": count for (verb, resource), count in sorted(faults.calls.items())},
        }
