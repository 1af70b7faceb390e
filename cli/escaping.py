"""Text from a cluster on its way to a terminal: nothing in it may move the cursor, change colours or hide itself."""

import re

#: C0 and C1 controls, DEL, line and paragraph separators, bidirectional overrides, zero-width marks, lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    r"""The text on one line, with everything unsafe spelled out: `\x1b`, `\n`, `\u202e`."""
    return _UNSAFE.sub(lambda match: _NAMED.get(match[0]) or _spelled(match[0]), text)


def _spelled(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def has_unsafe(text: str) -> bool:
    """Whether the text holds anything that `printable` would spell out."""
    return _UNSAFE.search(text) is not None


def json_safe(encoded: str) -> str:
    r"""JSON text with the unsafe characters inside its strings as `\u` escapes: the same JSON, harmless to look at."""
    # What lies below 0x20 outside of strings is the layout (line breaks); inside, the encoder has escaped it already.
    return _UNSAFE.sub(lambda match: match[0] if match[0] < " " else _json_escape(match[0]), encoded)


def _json_escape(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
