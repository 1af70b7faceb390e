"""The stories of which a log is kept. Each is told in the simulator when it is recorded, and never again after that."""

from collections.abc import Callable

from api.references import GRANT_LABEL
from eventstore.events import BackupCompleted, BackupFailed, Event, LastKnownGoodRecorded, Policy
from eventstore.vocabulary import ErrorCategory
from simulator.replica import Timing
from tests.golden.stage import Spec, Stage

Story = Callable[[int], Stage]
STORIES: dict[str, Story] = {}


def story(tell: Story) -> Story:
    """Register a story under the name of its function, with dashes."""
    STORIES[tell.__name__.replace("_", "-")] = tell
    return tell


def prometheus(version: str = "3.13.1", **fields: object) -> Spec:
    """A platform of one component."""
    return {"components": {"prometheus": {"version": version, **fields}}}


def logs(**fields: object) -> Spec:
    """A platform that stores logs in a bucket, for which it needs a Secret."""
    s3 = {"bucket": "logs", "accessKeyId": {"secretKeyRef": {"name": "bucket", "key": "id"}}}
    return {"components": {"loki": {"version": "3.7.5", "s3": s3, **fields}}}


PAIR: Spec = {"components": {"prometheus": {"version": "3.13.1"}, "alertmanager": {"version": "0.32.3"}}}
GRANT = {GRANT_LABEL: "prod"}


# -- what users do -------------------------------------------------------------------------------------------------


@story
def create(seed: int) -> Stage:
    """All five components, one of them with a password that stands in the spec."""
    stage = Stage(seed)
    names = ("prometheus", "loki", "tempo", "grafana", "alertmanager")
    spec: Spec = {"components": {name: {} for name in names}}
    spec["components"]["grafana"] = {"adminPassword": "correct horse battery staple"}
    stage.apply(spec)
    return stage


@story
def minor_edit(seed: int) -> Stage:
    """Installed; then an edit that changes no version."""
    stage = Stage(seed)
    stage.apply(prometheus())
    stage.apply(prometheus(retention="3d"))
    return stage


@story
def upgrade(seed: int) -> Stage:
    """Two components to newer versions."""
    stage = Stage(seed)
    stage.apply(PAIR)
    stage.apply({"components": {"prometheus": {"version": "3.13.2"}, "alertmanager": {"version": "0.33.1"}}})
    return stage


@story
def failing_upgrade(seed: int) -> Stage:
    """An upgrade to an image that cannot be pulled: rolled back; asked for again; and given up."""
    stage = Stage(seed)
    stage.apply(prometheus())
    broken = prometheus("3.14.99-broken")
    stage.apply(broken, wait=300.0)
    stage.retry(broken)
    stage.wait(300.0)
    stage.apply(prometheus(retention="3d"))
    return stage


@story
def one_way_door(seed: int) -> Stage:
    """An upgrade that fails after the new version has rewritten the data: not rolled back."""
    stage = Stage(seed)
    stage.apply({"components": {"grafana": {"version": "11.6.0"}}})
    stage.apply({"components": {"grafana": {"version": "12.4.0"}}}, wait=0.0)
    stage.until(lambda state: state.components["grafana"].running_version == "12.4.0")
    stage.universe.break_workload("prod-grafana")
    stage.wait(300.0)
    stage.universe.repair_workload("prod-grafana")
    stage.wait(300.0)
    return stage


@story
def rejected_spec(seed: int) -> Stage:
    """A spec that cannot be used, from the start and later; each is mended."""
    stage = Stage(seed)
    stage.apply(prometheus("99.0.0"))
    stage.apply(prometheus())
    stage.apply(prometheus("2.45.0"))
    stage.apply(prometheus())
    return stage


@story
def pause(seed: int) -> Stage:
    """Edited while paused, then resumed."""
    stage = Stage(seed)
    stage.apply(prometheus())
    stage.apply({**prometheus(retention="3d"), "paused": True})
    stage.apply({**prometheus(retention="3d"), "paused": False})
    return stage


@story
def component_removed(seed: int) -> Stage:
    """A component is no longer asked for."""
    stage = Stage(seed)
    stage.apply(PAIR)
    stage.apply(prometheus())
    return stage


@story
def delete(seed: int) -> Stage:
    """Installed and deleted, in reverse order."""
    stage = Stage(seed)
    stage.apply(PAIR)
    stage.delete()
    return stage


@story
def recreate(seed: int) -> Stage:
    """The same name again: another stream."""
    stage = Stage(seed)
    stage.apply(prometheus())
    stage.delete()
    stage.apply(prometheus())
    return stage


@story
def finalizer_stripped(seed: int) -> Stage:
    """Our finalizer is taken off: put on again; and while it goes: gone without us."""
    stage = Stage(seed)
    stage.apply(prometheus())
    stage.strip_finalizer()
    stage.wait()
    stage.universe.delete_platform("prod")
    stage.strip_finalizer()
    stage.wait()
    return stage


@story
def deletion_overdue(seed: int) -> Stage:
    """A child that does not go: the finalizer is released when the time is over, and says what is left."""
    stage = Stage(seed)
    stage.apply(prometheus())
    stage.patch("ConfigMap", "prod-prometheus-config", {"metadata": {"finalizers": ["example.com/held"]}})
    stage.wait()
    stage.delete(wait=600.0)
    return stage


# -- what clusters do ----------------------------------------------------------------------------------------------


@story
def heal(seed: int) -> Stage:
    """Pods that crash until every retry is spent and a slow probe goes on; then they are well again."""
    stage = Stage(seed)
    stage.apply(prometheus())
    stage.universe.break_workload("prod-prometheus")
    stage.wait(1500.0)
    stage.universe.repair_workload("prod-prometheus")
    stage.wait(600.0)
    return stage


@story
def missing_secret(seed: int) -> Stage:
    """Waits for a Secret, for a key in it, for the right to use it; and its value is changed later."""
    stage = Stage(seed)
    stage.apply(logs(), wait=60.0)
    stage.put("Secret", "bucket", stringData={"wrong": "value"}, labels=GRANT)
    stage.wait(60.0)
    stage.patch("Secret", "bucket", {"stringData": {"id": "value"}, "metadata": {"labels": {GRANT_LABEL: None}}})
    stage.wait(60.0)
    stage.patch("Secret", "bucket", {"metadata": {"labels": GRANT}})
    stage.wait()
    stage.patch("Secret", "bucket", {"stringData": {"id": "another value"}})
    stage.wait(900.0)
    return stage


@story
def quota(seed: int) -> Stage:
    """A quota that is too small is found before the first write, and another one while things run."""
    stage = Stage(seed)
    stage.put("ResourceQuota", "tight", spec={"hard": {"pods": "0"}})
    stage.apply(prometheus(), wait=60.0)
    stage.patch("ResourceQuota", "tight", {"spec": {"hard": {"pods": "50", "configmaps": "2"}}})
    stage.wait()
    stage.put("ResourceQuota", "none", spec={"hard": {"services": "2"}})
    stage.apply(PAIR)
    stage.patch("ResourceQuota", "none", {"spec": {"hard": {"services": "20"}}})
    stage.patch("ResourceQuota", "tight", {"spec": {"hard": {"pods": "50", "configmaps": "50"}}})
    stage.wait(600.0)
    return stage


@story
def permission_denied(seed: int) -> Stage:
    """The API server refuses a kind: asked again soon, then seldom, until it is allowed."""
    stage = Stage(seed)
    text = 'statefulsets.apps is forbidden: cannot patch resource "statefulsets" in the namespace "demo"'
    with stage.refusing(ErrorCategory.RESOURCE, "PermissionDenied", text, kind="StatefulSet"):
        stage.apply(prometheus(), wait=700.0)
    stage.wait(600.0)
    return stage


@story
def busy_server(seed: int) -> Stage:
    """The API server is busy and asks to be left alone: retried, then it works; later every retry is spent."""
    stage = Stage(seed)
    with stage.refusing(ErrorCategory.TRANSIENT, "TooManyRequests", "too many requests", retry_after_seconds=20.0):
        stage.apply(prometheus(), wait=30.0)
    stage.wait()
    with stage.refusing(ErrorCategory.TRANSIENT, "Unreachable", "connection refused"):
        stage.apply(prometheus(retention="3d"), wait=1500.0)
    stage.wait(600.0)
    return stage


@story
def superseded(seed: int) -> Stage:
    """Edited while what was asked for before could not be done: nobody wants that any more."""
    stage = Stage(seed)
    with stage.refusing(ErrorCategory.TRANSIENT, "Unreachable", "connection refused"):
        stage.apply(PAIR, wait=30.0)
        stage.apply({"components": {"alertmanager": {"version": "0.32.3"}}}, wait=30.0)
    stage.wait()
    return stage


@story
def drift(seed: int) -> Stage:
    """Children are edited, deleted and replaced by hand."""
    stage = Stage(seed)
    stage.apply(prometheus())
    stage.patch("StatefulSet", "prod-prometheus", {"spec": {"replicas": 3}})
    stage.wait()
    stage.remove("ConfigMap", "prod-prometheus-config")
    stage.wait()
    stage.patch("Service", "prod-prometheus", {"metadata": {"labels": {"app.kubernetes.io/part-of": "mine"}}})
    stage.wait()
    return stage


@story
def foreign_object(seed: int) -> Stage:
    """An object of somebody else has a name that is needed: refused, until it is gone and a retry is asked for."""
    stage = Stage(seed)
    stage.put("ConfigMap", "prod-prometheus-config", data={"mine": "yes"})
    stage.apply(prometheus())
    stage.remove("ConfigMap", "prod-prometheus-config")
    stage.retry(prometheus())
    return stage


@story
def adopted_object(seed: int) -> Stage:
    """The same, with the permission to take it over."""
    stage = Stage(seed)
    stage.put("ConfigMap", "prod-prometheus-config", data={"mine": "yes"})
    stage.apply({**prometheus(), "adopt": True})
    return stage


# -- what operators, databases and backups do ----------------------------------------------------------------------


@story
def policy_change(seed: int) -> Stage:
    """Another build with other settings takes over in the middle of retries."""
    stage = Stage(seed, Timing(version="1.0.0"))
    stage.apply(prometheus())
    stage.universe.break_workload("prod-prometheus")
    stage.wait(100.0)
    stage.restart(Timing(version="1.1.0", policy=Policy(retries_max=2, retry_jitter=0.0, slow_probe_seconds=60.0)))
    stage.wait(400.0)
    stage.universe.repair_workload("prod-prometheus")
    stage.wait()
    return stage


@story
def ledger_reset(seed: int) -> Stage:
    """The log is lost: the platform is adopted anew, and nothing is torn down."""
    stage = Stage(seed)
    stage.apply(prometheus())
    stage.lose_log()
    stage.wait()
    return stage


@story
def ledger_reset_while_deleted(seed: int) -> Stage:
    """The log is lost while the platform is on its way out: it goes all the same."""
    stage = Stage(seed)
    stage.apply(prometheus())
    stage.patch("ConfigMap", "prod-prometheus-config", {"metadata": {"finalizers": ["example.com/held"]}})
    stage.delete(wait=60.0)
    stage.lose_log()
    stage.wait(60.0)
    stage.patch("ConfigMap", "prod-prometheus-config", {"metadata": {"finalizers": []}})
    stage.wait()
    return stage


@story
def cluster_rewound(seed: int) -> Stage:
    """The cluster comes back from a backup: an older spec counts again."""
    stage = Stage(seed)
    stage.apply(prometheus())
    backup = stage.revision()
    stage.apply(prometheus(retention="3d"))
    stage.universe.restore(backup)
    stage.restart(Timing())
    stage.wait()
    return stage


# -- what no build decides -----------------------------------------------------------------------------------------


@story
def no_known_good(seed: int) -> Stage:
    """Made by hand: an upgrade of a platform that was never verified as a whole, so that nothing can be put by."""
    stage = Stage(seed)
    stage.apply(prometheus())
    stage.apply(prometheus("3.13.2"))
    stage.rewrite(_without_known_good)
    return stage


def _without_known_good(event: Event) -> Event | None:
    if isinstance(event, BackupCompleted):
        return BackupFailed(reason="NoKnownGood", message="the platform was never verified as a whole")
    return None if isinstance(event, LastKnownGoodRecorded) else event
