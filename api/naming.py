"""Names that are derived from a platform's name, and the limits that follow for it."""

import re

from eventstore.events import Finding

#: A StatefulSet's pods carry a label `<name>-<10 characters>` of at most 63 characters; longer names are accepted by
#: the API server, and then no pod ever appears.
STATEFULSET_NAME_LENGTH_MAX = 52
SERVICE_NAME_LENGTH_MAX = 63
_LONGEST_STATEFULSET_SUFFIX = "-alertmanager"
_LONGEST_SERVICE_SUFFIX = "-alertmanager-headless"
#: Characters in a platform's name, whatever it runs: components may be added later.
NAME_LENGTH_MAX = min(
    STATEFULSET_NAME_LENGTH_MAX - len(_LONGEST_STATEFULSET_SUFFIX),
    SERVICE_NAME_LENGTH_MAX - len(_LONGEST_SERVICE_SUFFIX),
)
#: DNS-1035: Services are refused under any other name.
NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"


def inline_secret_name(platform: str) -> str:
    """Name of the Secret that inline secrets of a platform's spec are moved to."""
    return f"{platform}-inline"


def name_findings(name: str) -> tuple[Finding, ...]:
    """What is wrong with a platform's name, if anything."""
    findings = []
    if len(name) > NAME_LENGTH_MAX:
        findings.append(
            Finding(
                reason="InvalidName",
                subject="metadata.name",
                message=f"the name has {len(name)} characters, at most {NAME_LENGTH_MAX} are possible: StatefulSets "
                f"and Services are named after it; create the platform under a shorter name",
            )
        )
    if not re.fullmatch(NAME_PATTERN.strip("^$"), name):
        findings.append(
            Finding(
                reason="InvalidName",
                subject="metadata.name",
                message="the name must start with a letter and hold only a-z, 0-9 and '-', because Services are named "
                "after it; create the platform under such a name, for example prod",
            )
        )
    return tuple(findings)
