"""Data -> text of configuration files, always through an encoder: text of a user is never put into a template."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import yaml

#: What Grafana's reader replaces in values, without a way to write it literally.
_INI_EXPANDED = re.compile(r"\$(?:__\w+)?\{|%\(")


class FileValue(str):
    """Path of a file whose content is the value: a secret, in a file format that can say so."""

    __slots__ = ()


class ConfigValueError(ValueError):
    """A value that the file format cannot hold as it is. The message names the place, never the value."""

    def __init__(self, place: str, problem: str) -> None:
        self.place, self.problem = place, problem
        super().__init__(f"{place}: {problem}")


#: Text that some YAML reader takes for a number, a truth value or null, though ours writes it without quotes.
_LOOKS_TYPED = re.compile(r"[-+.0-9~=<]|(?:y|n|yes|no|on|off|true|false|null)$", re.IGNORECASE)


class _Dumper(yaml.CSafeDumper):
    """Writes equal parts out twice instead of as alias: not every reader of these files follows aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature of the base class
        return True

    def represent_text(self, data: str) -> yaml.ScalarNode:
        """Text that could be read as something else gets quotes."""
        style = '"' if _LOOKS_TYPED.match(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def yaml_text(data: Any) -> str:
    """YAML of plain data, in the order given. `yaml.safe_load` gives the same data back."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=4096))


def ini_text(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """An INI file as Grafana reads it: section -> key -> value.

    Raises:
        ConfigValueError: a section, key or value would not be read back as it stands here.
    """
    lines = []
    for section, settings in sections.items():
        if not section or any(c in section for c in "[]\r\n"):
            raise ConfigValueError(section[:64].strip(), "is not a section name")
        lines.append(f"[{section}]")
        for key, value in settings.items():
            lines.append(f"{_ini_key(section, key)} = {_ini_value(section, key, value)}")
        lines.append("")
    return "\n".join(lines)


def _ini_key(section: str, key: str) -> str:
    if not key or key != key.strip() or any(c in key for c in '=:\r\n"`[]#;'):
        raise ConfigValueError(f"{section}.{key[:64]!r}", "is not a setting's name")
    return key


def _ini_value(section: str, key: str, value: Any) -> str:
    """The value, quoted where the reader would cut it at a comment sign or strip it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, FileValue):
        return f"$__file{{{value}}}"
    text = str(value)
    place = f"{section}.{key}"
    if any(ord(c) < 32 and c != "\t" for c in text):
        raise ConfigValueError(place, "a setting must be on one line and without control characters")
    if _INI_EXPANDED.search(text):
        raise ConfigValueError(place, "${...}, $__provider{...} and %(...)s would be replaced by Grafana")
    plain = text == text.strip() and not text.endswith("\\") and not any(c in text for c in "#;\"'`")
    if plain:
        return text
    if "`" not in text:
        return f"`{text}`"
    if '"""' not in text and not text.endswith('"'):
        return f'"""{text}"""'
    raise ConfigValueError(place, "a setting cannot hold both a backquote and three double quotes")


def literal_dollars(value: Any) -> Any:
    """A copy with every `$` doubled, for files in which the reader expands `$NAME` and takes `$$` for `$`."""
    if isinstance(value, FileValue):
        return f"$__file{{{value}}}"
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: literal_dollars(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [literal_dollars(entry) for entry in value]
    return value


def literal_argument(text: str) -> str:
    """Text for `args` and `env[].value`, where the kubelet would expand `$(NAME)`."""
    return text.replace("$(", "$$(")


def short_hash(*parts: str) -> str:
    """20 hex digits over the parts: small enough for an annotation, wide enough never to meet twice."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()[:20]


def flag_list(flags: Mapping[str, str | None], dashes: str = "--") -> tuple[str, ...]:
    """Command line flags: `--name=value`, or `--name` where the value is None."""
    return tuple(f"{dashes}{name}" if value is None else f"{dashes}{name}={value}" for name, value in flags.items())
