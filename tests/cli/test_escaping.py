"""No text can reach the terminal other than as text."""

import json
import re
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from cli.escaping import has_unsafe, json_safe, printable

TEXT = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=200)


@given(TEXT)
def test_what_is_printed_holds_no_control_character(text: str) -> None:
    shown = printable(text)
    assert not has_unsafe(shown)
    assert not any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in shown)


@given(TEXT)
def test_json_stays_the_same_json_and_holds_no_control_character(text: str) -> None:
    encoded = json_safe(json.dumps({"text": text}, ensure_ascii=False))
    assert not has_unsafe(encoded)
    assert json.loads(encoded) == json.loads(json.dumps({"text": text}))


@given(st.from_regex(re.compile(r"[ -~]*"), fullmatch=True))
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert printable(text) == text


def test_escapes_can_be_read() -> None:
    assert printable("a\x1b[31mb\n\u202ec\x9b\U000e0041") == "a\\x1b[31mb\\n\\u202ec\\x9b\\U000e0041"
