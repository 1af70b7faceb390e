"""The three patches that are not server-side apply: JSON patch, merge patch and strategic merge patch."""

from typing import Any

from sandbox.errors import StatusError, bad_request
from sandbox.schemas import Schema, field_schema, resolve
from sandbox.values import Object, clone, equal


def merge_patch(value: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return clone(patch)
    merged = dict(value) if isinstance(value, dict) else {}
    for key, part in patch.items():
        if part is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), part)
    return merged


def json_patch(value: Object, operations: Any) -> Object:
    """RFC 6902.

    Raises:
        StatusError: 400 for a patch that is none, 422 for one that does not fit the object.
    """
    if not isinstance(operations, list):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        )
    document: Any = clone(value)
    for operation in operations:
        if not isinstance(operation, dict) or "op" not in operation or "path" not in operation:
            raise bad_request("an operation of a JSON patch has op and path")
        document = _operate(document, operation)
    if not isinstance(document, dict):
        raise bad_request("the patched document is not an object")
    return document


def _operate(document: Any, operation: Object) -> Any:
    verb, path = operation["op"], _pointer(operation["path"])
    if verb == "add":
        return _put(document, path, clone(operation.get("value")), insert=True)
    if verb == "replace":
        # The server's library sets a field that is not there: `replace` is stricter in lists only.
        return _put(document, path, clone(operation.get("value")), insert=False)
    if verb == "remove":
        return _take(document, path)
    if verb == "test":
        if not equal(_read(document, path), operation.get("value")):
            raise _unfit()
        return document
    if verb in ("move", "copy"):
        source = _pointer(operation.get("from", ""))
        moved = clone(_read(document, source))
        if verb == "move":
            document = _take(document, source)
        return _put(document, path, moved, insert=True)
    raise _unfit()


def _unfit() -> StatusError:
    return StatusError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def _pointer(text: str) -> list[str]:
    if text == "":
        return []
    if not text.startswith("/"):
        raise _unfit()
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _index(key: str, limit: int) -> int:
    try:
        index = int(key)
    except ValueError:
        raise _unfit() from None
    if not 0 <= index < limit:
        raise _unfit()
    return index


def _read(document: Any, path: list[str]) -> Any:
    for key in path:
        if isinstance(document, dict) and key in document:
            document = document[key]
        elif isinstance(document, list):
            document = document[_index(key, len(document))]
        else:
            raise _unfit()
    return document


def _put(document: Any, path: list[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    container, key = _read(document, path[:-1]), path[-1]
    if isinstance(container, dict):
        container[key] = value
    elif isinstance(container, list):
        if not insert:
            container[_index(key, len(container))] = value
        elif key == "-":
            container.append(value)
        else:
            container.insert(_index(key, len(container) + 1), value)
    else:
        raise _unfit()
    return document


def _take(document: Any, path: list[str]) -> Any:
    container, key = _read(document, path[:-1]), path[-1]
    if isinstance(container, dict) and key in container:
        del container[key]
    elif isinstance(container, list):
        del container[_index(key, len(container))]
    else:
        raise _unfit()
    return document


def strategic_merge_patch(value: Any, patch: Any, schema: Schema | None) -> Any:
    """A patch that merges lists by the merge keys of the kind; `$patch`, `$deleteFromPrimitiveList`, `$retainKeys`."""
    schema = resolve(schema)
    if not isinstance(patch, dict):
        return clone(patch)
    if patch.get("$patch") == "replace":
        return clone({key: part for key, part in patch.items() if key != "$patch"})
    merged = dict(value) if isinstance(value, dict) else {}
    if "$retainKeys" in patch:
        merged = {key: part for key, part in merged.items() if key in patch["$retainKeys"]}
    for key, part in patch.items():
        directive, _, field = key.partition("/")
        if directive == "$deleteFromPrimitiveList":
            merged[field] = [item for item in merged.get(field) or [] if item not in part]
        elif not key.startswith("$"):
            _merge_field(merged, key, part, field_schema(schema, key))
    for key, order in patch.items():
        directive, _, field = key.partition("/")
        if directive == "$setElementOrder" and isinstance(merged.get(field), list):
            merged[field] = _ordered(merged[field], order, resolve(field_schema(schema, field)))
    return merged


def _merge_field(merged: Object, key: str, part: Any, schema: Schema | None) -> None:
    if part is None:
        merged.pop(key, None)
    elif isinstance(part, list):
        merged[key] = _merge_list(merged.get(key), part, resolve(schema))
    else:
        merged[key] = strategic_merge_patch(merged.get(key), part, schema)


def _merge_list(live: Any, patch: list[Any], schema: Schema) -> list[Any]:
    if "merge" not in str(schema.get("x-kubernetes-patch-strategy") or ""):
        return [clone(item) for item in patch if not (isinstance(item, dict) and "$patch" in item)]
    key = schema.get("x-kubernetes-patch-merge-key")
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [clone(item) for item in patch if item.get("$patch") != "replace"]
    merged = list(live) if isinstance(live, list) else []
    for item in patch:
        if not key or not isinstance(item, dict):
            if item not in merged:
                merged.append(clone(item))
            continue
        if key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        found = next((at for at, other in enumerate(merged) if other.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            if found is not None:
                del merged[found]
        elif found is None:
            merged.append(strategic_merge_patch({}, item, schema.get("items")))
        else:
            merged[found] = strategic_merge_patch(merged[found], item, schema.get("items"))
    return merged


def _ordered(items: list[Any], order: list[Any], schema: Schema) -> list[Any]:
    """Items named in `order` come in that order; the others keep their places after them."""
    key = schema.get("x-kubernetes-patch-merge-key")

    def name(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    places = {str(name(item)): at for at, item in enumerate(order)}
    return sorted(items, key=lambda item: places.get(str(name(item)), len(places)))
