"""Whole renderings, kept as files: a change of what reaches a cluster shows in review.

`STACKLEDGER_UPDATE_GOLDEN=1 pytest tests/components/test_golden.py` writes them anew.
"""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from components.manifest import Manifest
from tests.components.samples import ALL_DEFAULT, FULL, MINIMAL, rendered

GOLDEN = Path(__file__).parent / "golden"


class _Dumper(yaml.SafeDumper):
    """Several lines as a block, so that configuration files read as they are."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def _document(manifest: Manifest) -> dict[str, Any]:
    """The object, with what the executor adds to Secrets said beside it."""
    sources = {key: msgspec.to_builtins(source) for key, source in manifest.secret_sources.items()}
    return manifest.body | ({"# secret_sources": sources} if sources else {})


def _text(spec: dict[str, Any]) -> str:
    documents = [_document(manifest) for manifest in rendered(spec)]
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


@pytest.mark.parametrize(
    ("name", "spec"),
    [("minimal", MINIMAL), ("all-default", ALL_DEFAULT), ("full", FULL)],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_platform_renders_as_its_golden_file_says(name: str, spec: dict[str, Any]) -> None:
    path, text = GOLDEN / f"{name}.yaml", _text(spec)
    if os.environ.get("STACKLEDGER_UPDATE_GOLDEN") == "1":
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} differs; see the module's docstring"
