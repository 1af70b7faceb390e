"""Takes secrets out of texts that we did not write: server messages, driver errors, tracebacks. Pure.

The rule is to lose too much rather than too little: what is cut here is never needed to understand an error.
"""

import re

#: events.k8s.io allows 1024 characters in a note; conditions and log lines keep to the same limit.
TEXT_LIMIT = 1024
REDACTED = "[redacted]"

_SENSITIVE_WORD = (
    r"(?:pass(?:word|wd|phrase)|pwd|secret|token|authorization|api[-_]?key|private[-_]?key|credentials?|cookie)"
)
SENSITIVE_KEY = re.compile(_SENSITIVE_WORD + r"|^dsn$|^uri$|database_url", re.IGNORECASE)
#: Keys that match `SENSITIVE_KEY` and are names, not values.
HARMLESS_KEYS = frozenset({"secret_name", "retry_token", "secrets"})

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # The window of raw input that Go's JSON decoder shows around an error: it may hold any value of the object.
    (re.compile(r"error found in #\d+ byte of .*", re.DOTALL), f"(input {REDACTED})"),
    # SQLAlchemy: statement and bound parameters. PostgreSQL: the row that broke a constraint.
    (re.compile(r"\[(?:SQL|parameters):.*", re.DOTALL), f"[statement {REDACTED}]"),
    (re.compile(r"\b(?:DETAIL|CONTEXT|STATEMENT):.*", re.DOTALL), f"({REDACTED})"),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{4,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}"), REDACTED),
    (re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|$)", re.DOTALL), REDACTED),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@'\"]+@", re.IGNORECASE), rf"\1{REDACTED}@"),
    (
        re.compile(
            rf"({_SENSITIVE_WORD}(?!s\b|[\w-]*name)[\w-]*[\"']?\s*[=:]\s*)(?:\"[^\"]*\"?|'[^']*'?|[^\s,;&)}}\]]+)",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def redact_text(text: str, limit: int = TEXT_LIMIT) -> str:
    """The text without anything that looks like a credential, without control characters, at most `limit` long."""
    # Work is bounded too: a hostile proxy may answer with megabytes.
    text = text[: 16 * limit]
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    text = _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)
    return shorten(text, limit)


def shorten(text: str, limit: int = TEXT_LIMIT) -> str:
    """At most `limit` characters, with a mark where something is missing."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def is_sensitive_key(key: str) -> bool:
    """Whether a value under this key (of a log line, a mapping) must not be shown."""
    return key not in HARMLESS_KEYS and SENSITIVE_KEY.search(key) is not None


def describe_error(error: BaseException, limit: int = TEXT_LIMIT) -> str:
    """Class and redacted first lines of any exception: what logs, conditions and Events may say about it."""
    text = redact_text(str(error), limit)
    name = type(error).__name__
    return shorten(f"{name}: {text}" if text else name, limit)
