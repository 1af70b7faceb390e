"""The Secret that holds what stood inline in a spec; the spec that is rendered refers to it like to any other."""

from api.naming import inline_secret_name
from api.redaction import secret_key
from components.context import RenderContext
from components.manifest import Manifest, SecretSource
from components.objects import manifest, metadata, secret


def inline_secret(context: RenderContext) -> list[Manifest]:
    """The Secret, without values: where each comes from is told by path and HMAC. Empty if nothing stands inline."""
    if not context.inline_secrets:
        return []
    sources = {
        secret_key(path): SecretSource(kind="inline", path=path, hmac=context.inline_secrets[path])
        for path in sorted(context.inline_secrets)
    }
    meta = metadata(inline_secret_name(context.name), context.name, None)
    return [manifest(None, secret(meta), secret_sources=sources)]
