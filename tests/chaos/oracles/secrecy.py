"""No secret value is anywhere but in Secrets and in the specs where users wrote it."""

import base64
from collections.abc import Iterator
from urllib.parse import quote

from tests.chaos.facts import Facts, Violation


def secrecy(facts: Facts) -> Iterator[Violation]:
    """None of the values in any of their forms, in none of the texts."""
    for where, text in facts.texts.items():
        for value in facts.secrets:
            found = next((form for form, shown in _forms(value).items() if shown in text), "")
            if found:
                yield Violation("secrecy", f"a secret ({value[:3]}..., {found}) is in {where}")


def _forms(value: str) -> dict[str, str]:
    raw = value.encode()
    forms = {
        "plain": value,
        "base64": base64.b64encode(raw).decode().rstrip("="),
        "hex": raw.hex(),
        "in a URL": quote(value),
        "backwards": value[::-1],
    }
    # Base64 of a longer text that holds the value, wherever in it that begins.
    for shift in (1, 2):
        forms[f"base64 at {shift}"] = base64.b64encode(b"x" * shift + raw).decode().rstrip("=")[4:-2]
    return forms
