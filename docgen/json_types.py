"""Names the type that a JSON Schema describes, in words."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from docgen import markdown as md

Schema = Mapping[str, Any]
#: How a reference to an object is shown, by the name of its schema.
Names = Mapping[str, str]

_FORMATS: Final = {"date-time": "time", "uri": "URL", "binary": "bytes"}
_NULL: Final[Schema] = {"type": "null"}


def as_code(value: Any) -> str:
    """Return a value of JSON as code."""
    return md.code(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def type_of(schema: Schema, names: Names) -> str:
    """Return the type as Markdown, such as `list of string, or null`."""
    if "$ref" in schema:
        return names[name_of(schema)]
    for key, words in _BY_KEY.items():
        if key in schema:
            return words(schema, names)
    kinds = schema.get("type", "any")
    return _or([_simple(schema, kind, names) for kind in ([kinds] if isinstance(kinds, str) else kinds)])


def references(schema: Any) -> Iterator[str]:
    """Yield the names of the objects that a schema refers to, anywhere inside."""
    match schema:
        case {"$ref": str()}:
            yield name_of(schema)
        case Mapping():
            for inner in schema.values():
                yield from references(inner)
        case list():
            for inner in schema:
                yield from references(inner)


def name_of(reference: Schema) -> str:
    """Return the name of the object that `$ref` refers to."""
    return str(reference["$ref"]).rpartition("/")[2]


def _simple(schema: Schema, kind: str, names: Names) -> str:
    match kind:
        case "array":
            return f"list of {type_of(schema.get('items', {}), names)}"
        case "object":
            return _mapping(schema, names)
        case "number" | "integer":
            return kind + _limits(schema)
        case _:
            return _FORMATS.get(schema.get("format", ""), kind)


def _mapping(schema: Schema, names: Names) -> str:
    inner = schema.get("additionalProperties") or next(
        iter(schema.get("patternProperties", {}).values()), None
    )
    if isinstance(inner, Mapping):
        return f"object of {type_of(inner, names)}"
    fields = schema.get("properties", {})
    shown = ", ".join(f"{md.code(name)}: {type_of(value, names)}" for name, value in fields.items())
    return f"object ({shown})" if shown else "object"


def _limits(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f", {least:,} to {most:,}"
    return f", at least {least:,}" if least is not None else ""


def _either(key: str) -> Callable[[Schema, Names], str]:
    def words(schema: Schema, names: Names) -> str:
        # Null comes last.
        inner = sorted(schema[key], key=lambda one: one == _NULL)
        return _or([type_of(one, names) for one in inner])

    return words


def _or(types: list[str]) -> str:
    return ", or ".join(types)


#: What decides about the type, by the key that a schema has.
_BY_KEY: Final[dict[str, Callable[[Schema, Names], str]]] = {
    "const": lambda schema, _: as_code(schema["const"]),
    "enum": lambda schema, _: ", ".join(map(as_code, schema["enum"])),
    "anyOf": _either("anyOf"),
    "oneOf": _either("oneOf"),
}
