"""What names, label keys and label values may look like, and the server's words for what they must not."""

import re
from collections.abc import Iterator

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_LABEL_MAX, _SUBDOMAIN_MAX, _PORT_MAX = 63, 253, 15
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_QUALIFIED_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_DATA_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def subdomain_faults(name: str) -> Iterator[str]:
    """What is wrong with the name of most objects."""
    if len(name) > _SUBDOMAIN_MAX:
        yield f"must be no more than {_SUBDOMAIN_MAX} characters"
    if not _SUBDOMAIN.fullmatch(name):
        yield _SUBDOMAIN_TEXT


def label_faults(name: str) -> Iterator[str]:
    """What is wrong with a name of one DNS label: namespaces, services, containers, volumes."""
    if len(name) > _LABEL_MAX:
        yield f"must be no more than {_LABEL_MAX} characters"
    if not _LABEL.fullmatch(name):
        yield "must not contain dots" if _SUBDOMAIN.fullmatch(name) else _LABEL_TEXT


def plain_label_faults(name: str) -> Iterator[str]:
    """The same, without a word on dots."""
    yield from (_LABEL_TEXT if text == "must not contain dots" else text for text in label_faults(name))


def label_value_faults(value: str) -> Iterator[str]:
    """What is wrong with the value of a label."""
    if len(value.encode()) > _LABEL_MAX:
        yield f"must be no more than {_LABEL_MAX} bytes"
    if not _VALUE.fullmatch(value):
        yield _VALUE_TEXT


def qualified_faults(key: str) -> Iterator[str]:
    """What is wrong with the key of a label or an annotation, or the name of a finalizer."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        yield (
            f"a valid label key {_QUALIFIED_TEXT} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')"
        )
        return
    if slash and not prefix:
        yield "prefix part must be non-empty"
    elif slash and not _SUBDOMAIN.fullmatch(prefix):
        yield "prefix part " + _SUBDOMAIN_TEXT
    if not name:
        yield "name part must be non-empty"
    elif len(name.encode()) > _LABEL_MAX:
        yield f"name part must be no more than {_LABEL_MAX} bytes"
    if not _QUALIFIED.fullmatch(name):
        yield f"name part {_QUALIFIED_TEXT}"


def data_key_faults(key: str) -> Iterator[str]:
    """What is wrong with a key of a ConfigMap or a Secret."""
    if len(key) > _SUBDOMAIN_MAX:
        yield f"must be no more than {_SUBDOMAIN_MAX} characters"
    if not _DATA_KEY.fullmatch(key):
        yield _DATA_KEY_TEXT
    if key in (".", ".."):
        yield f"must not be '{key}'"
    elif key.startswith(".."):
        yield "must not start with '..'"


def port_name_faults(name: str) -> Iterator[str]:
    """What is wrong with the name of a container's port."""
    if len(name) > _PORT_MAX:
        yield f"must be no more than {_PORT_MAX} characters"
    if not re.fullmatch(r"[-a-z0-9]+", name):
        yield "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search(r"[a-z]", name):
        yield "must contain at least one letter (a-z)"
    if "--" in name:
        yield "must not contain consecutive hyphens"
    if name.startswith("-") or name.endswith("-"):
        yield "must not begin or end with a hyphen"


def env_name_faults(name: str) -> Iterator[str]:
    """What is wrong with the name of an environment variable."""
    if not re.fullmatch(r"[ -<>-~]+", name):
        yield "a valid environment variable name must consist only of printable ASCII characters other than '='"
