"""Answers to questions about values, kept by what the value is: clients send the same objects again and again."""

import marshal
from collections.abc import Callable
from functools import wraps
from hashlib import blake2b
from typing import Any, TypeVar

_Answer = TypeVar("_Answer")
_ANSWERS_MAX = 8192
#: The last one that spells the same value always the same way.
_MARSHAL_VERSION = 2


def by_content(ask: Callable[..., _Answer]) -> Callable[..., _Answer]:
    """A question about a JSON value, perhaps under a schema, that is answered once for each content.

    The answer must follow from these alone, and nobody may change it, nor the schema.
    """
    answers: dict[tuple[Any, ...], tuple[Any, _Answer]] = {}

    @wraps(ask)
    def remembered(value: Any, *schema: Any) -> _Answer:
        try:
            # Unlike JSON, it tells infinity from null.
            content = blake2b(marshal.dumps(value, _MARSHAL_VERSION), digest_size=16).digest()
        except ValueError:
            return ask(value, *schema)
        key = (content, *map(id, schema))
        known = answers.get(key)
        if known is None:
            if len(answers) >= _ANSWERS_MAX:
                answers.clear()
            # The schema is kept with its answers: as long as it is there, its id is its own.
            known = answers[key] = schema, ask(value, *schema)
        return known[1]

    return remembered
