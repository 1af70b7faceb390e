"""Turns a validation error of pydantic into a sentence with a remedy. Never shows the value at fault."""

from pydantic_core import ErrorDetails

from api import shapes

#: Pattern -> what a right value looks like.
_EXAMPLES: dict[str, str] = {
    shapes.NAME_PATTERN: "must be the name of an object in this namespace: a-z, 0-9, '-' and '.', for example loki-s3",
    shapes.KEY_PATTERN: "must be a key of a Secret: letters, digits, '-', '_' and '.', for example password",
    shapes.VERSION_PATTERN: "must be a full version such as 3.13.2 or v3.13.2; latest and ranges are not accepted",
    shapes.BYTES_PATTERN: "must be an amount with a unit, such as 500Mi or 10Gi; not 1GB, not a bare small number",
    shapes.CPU_PATTERN: "must be an amount of CPU such as 250m, 0.5 or 2",
    shapes.DURATION_PATTERN: "must be a duration such as 30s, 5m or 1h30m",
    shapes.RETENTION_PATTERN: "must be a retention such as 36h, 15d or 4w; not 0, not negative, years are not accepted",
    shapes.RETENTION_SIZE_PATTERN: "must be a size such as 500MB or 50GB",
    shapes.LABEL_NAME_PATTERN: "must be a Prometheus label name: letters, digits and '_', not starting with a digit",
    shapes.LABEL_KEY_PATTERN: "must be a Kubernetes label key such as app.kubernetes.io/name",
    shapes.LABEL_VALUE_PATTERN: "must be a Kubernetes label value: at most 63 letters, digits, '-', '_' and '.'",
    shapes.HOST_PATTERN: "must be a host name such as grafana.example.com; no wildcard, no spaces",
    shapes.URL_PATTERN: "must be an http:// or https:// URL without credentials; basicAuth holds those",
    shapes.IMAGE_REPOSITORY_PATTERN: "must be a repository such as registry.example.com/prometheus, without spaces",
    shapes.IMAGE_TAG_PATTERN: "must be an image tag such as v3.13.2",
    shapes.IMAGE_DIGEST_PATTERN: "must be a digest: sha256: and 64 hexadecimal digits",
    shapes.ENV_NAME_PATTERN: "must be the name of an environment variable: letters, digits and '_', no spaces",
    shapes.CRON_PATTERN: "must be a cron expression such as 0 2 * * *",
}

_SENTENCES: dict[str, str] = {
    "missing": "is missing; set it",
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false, without quotes",
    "string_type": "must be plain text; a secret is accepted only where a secretKeyRef is, never inside a URL",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length} entries",
    "literal_error": "must be one of {expected}",
    "value_error": "{error}",
}


def hint(detail: ErrorDetails) -> str:
    """What is wrong and what would be right, without the path and without the value."""
    context = detail.get("ctx", {})
    if detail["type"] == "string_pattern_mismatch":
        return _EXAMPLES.get(context.get("pattern", ""), "is not written as this field needs it")
    sentence = _SENTENCES.get(detail["type"])
    return sentence.format(**context) if sentence else "is not valid here; see kubectl explain"
