"""S3 buckets as Loki and Tempo take them. Keys come through the environment, which both read by themselves."""

from typing import Any

import msgspec

from api.component import S3
from components.secretfiles import secret_env


class Endpoint(msgspec.Struct, frozen=True):
    """Host (and port) of a bucket's store."""

    host: str
    insecure: bool


def endpoint(bucket: S3) -> Endpoint:
    """Where the bucket is: what the spec says, or AWS in the bucket's region."""
    host = bucket.endpoint or f"s3.{bucket.region}.amazonaws.com"
    insecure = bucket.insecure or host.startswith("http://")
    return Endpoint(host.removeprefix("https://").removeprefix("http://"), insecure)


def credentials(bucket: S3 | None) -> tuple[dict[str, Any], ...]:
    """Environment with the access keys; none: the pod's own cloud identity is used."""
    if bucket is None:
        return ()
    pairs = (("AWS_ACCESS_KEY_ID", bucket.access_key_id), ("AWS_SECRET_ACCESS_KEY", bucket.secret_access_key))
    return tuple(secret_env(variable, reference) for variable, reference in pairs if reference is not None)
