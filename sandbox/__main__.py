"""`python -m sandbox --port 8001 --state-dir DIR`: a sandbox on its own, until SIGINT or SIGTERM."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from sandbox.assembly import Sandbox
from sandbox.kubeconfig import write_kubeconfig
from sandbox.server import SandboxServer
from sandbox.world import Settings


def main() -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--state-dir", type=Path, help="keep the cluster here and go on with it")
    parser.add_argument("--kubeconfig", type=Path, help="write a kubeconfig here")
    parser.add_argument("--token", default="", help="ask clients for this bearer token")
    parser.add_argument("--ready-delay", type=float, default=1.0, help="seconds until a pod is ready")
    options = parser.parse_args()
    settings = Settings(ready_delay_seconds=options.ready_delay)
    sandbox = Sandbox(state_dir=options.state_dir, settings=settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with SandboxServer(options.port, sandbox=sandbox, token=options.token) as server:
        if options.kubeconfig:
            write_kubeconfig(options.kubeconfig, server.url, token=options.token)
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        # In one go, a signal that comes just as a stopped process goes on might wake nobody.
        while not stop.wait(1.0):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
