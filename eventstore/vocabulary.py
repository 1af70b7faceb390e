"""The words of the state machine, as types. Every package may import this module; it imports nothing of ours.

The values are what is stored in the log and shown in `.status`: they are written for ever and never renamed.
"""

from enum import StrEnum


class Phase(StrEnum):
    """The phase of a whole platform (docs/state-machine.md). Deletion is not a phase: it can happen in every one."""

    PENDING = "Pending"
    INSTALLING = "Installing"
    READY = "Ready"
    FAILED = "Failed"
    UPGRADING = "Upgrading"


class ComponentPhase(StrEnum):
    """The phase of one component. Same words as `Phase`, never the same type."""

    PENDING = "Pending"
    INSTALLING = "Installing"
    READY = "Ready"
    FAILED = "Failed"
    UPGRADING = "Upgrading"


class ComponentName(StrEnum):
    """The components, in the order in which they are installed and upgraded; teardown is the reverse."""

    PROMETHEUS = "prometheus"
    LOKI = "loki"
    TEMPO = "tempo"
    GRAFANA = "grafana"
    ALERTMANAGER = "alertmanager"


INSTALL_ORDER: tuple[ComponentName, ...] = tuple(ComponentName)


class Trigger(StrEnum):
    """The words on the arrows of the state transition diagram."""

    CREATE = "Create"
    VALIDATED = "Validated"
    VALIDATION_ERROR = "Validation Error"
    ALL_COMPONENTS_READY = "All Components Ready"
    DEPLOYMENT_ERROR = "Deployment Error"
    VERSION_CHANGE = "Version Change"
    HEALTH_CHECK_FAILED = "Health Check Failed"
    MINOR_UPDATE = "Minor Update"
    RETRY_FIX = "Retry/Fix"
    SUCCESS = "Success"
    UPGRADE_ERROR = "Upgrade Error"
    DELETE = "Delete"


class ErrorCategory(StrEnum):
    """Who can make an error go away, hence what the reconciler does about it."""

    #: The network or a busy server: exponential back-off in the phase it happened in.
    TRANSIENT = "transient"
    #: The user's spec or a referenced object's content: fail at once, wait for an edit.
    CONFIGURATION = "configuration"
    #: Quota or permissions: no phase change, Event and condition, wait for whoever owns the limit.
    RESOURCE = "resource"
    #: The component itself (crash loop, deadline, health check): Failed, automatic recovery.
    COMPONENT = "component"


class ConditionType(StrEnum):
    """Condition types in `.status.conditions`. The last five exist only while they are true."""

    READY = "Ready"
    AVAILABLE = "Available"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    PAUSED = "Paused"


#: The name under which the operator owns fields of child objects (server-side apply).
FIELD_MANAGER = "stackledger"
#: A manager of its own for `.status`: one manager for both would drop the other's ownership.
STATUS_FIELD_MANAGER = "stackledger-status"
FINALIZER = "stackledger.io/finalizer"
GROUP = "observability.io"
KIND = "ObservabilityPlatform"
PLURAL = "observabilityplatforms"
STORED_VERSION = "v1beta1"
SERVED_VERSIONS = ("v1alpha1", "v1beta1")
#: Annotation that asks for an immediate retry; any new value is acted on once.
RETRY_AT_ANNOTATION = "stackledger.io/retry-at"
#: Labels on every child object.
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_PLATFORM = "stackledger.io/platform"
LABEL_COMPONENT = "stackledger.io/component"
MANAGED_BY_VALUE = "stackledger"
