"""Where the API server is and how to speak to it: a pod's service account or a kubeconfig file."""

import os
from typing import TYPE_CHECKING

from eventstore.vocabulary import ErrorCategory
from reconciler.shell.cluster import ClusterError
from reconciler.shell.redaction import describe_error

if TYPE_CHECKING:
    from kubernetes.client import Configuration


def load_configuration(kubeconfig: str | None = None, context: str | None = None) -> "Configuration":
    """How to reach the API server: the service account of this pod, or a kubeconfig file.

    Raises:
        ClusterError: there is neither, or it cannot be used (category configuration).
    """
    # 1 s to import: only who talks to a cluster pays for it.
    from kubernetes import config as loaders
    from kubernetes.client import Configuration

    configuration = Configuration()
    try:
        if kubeconfig is None and context is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
            loaders.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # untyped
        else:
            loaders.load_kube_config(  # type: ignore[no-untyped-call]  # the package has no types here
                config_file=kubeconfig, context=context, client_configuration=configuration, persist_config=False
            )
    except Exception as error:  # the loaders raise whatever their parsers raise
        raise ClusterError(
            ErrorCategory.CONFIGURATION,
            "KubeconfigInvalid",
            f"cannot load the configuration of the API client: {describe_error(error, 300)}; "
            "give --kubeconfig, or run in a pod with a service account",
        ) from None
    return configuration
