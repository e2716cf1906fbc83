"""What the pages about HTTP share: the OpenAPI document, and its objects as tables."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final

from docgen import json_types
from docgen import markdown as md
from worker.web.api import webhooks
from worker.web.app import create_app

Operation = Mapping[str, Any]
EVENTS: Final = {model.__name__ for model in webhooks.EVENTS.values()}


@cache
def document() -> Mapping[str, Any]:
    """Return the OpenAPI document of the app."""
    return create_app(None).openapi()


def schemas() -> Mapping[str, Any]:
    """Return the objects, by name."""
    objects: Mapping[str, Any] = document()["components"]["schemas"]
    return objects


def reachable(*roots: Any) -> list[str]:
    """Return the names of the objects that these parts of the document need, sorted."""
    found: set[str] = set()
    waiting = [name for root in roots for name in json_types.references(root)]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += json_types.references(schemas()[name])
    return sorted(found)


@cache
def links() -> Mapping[str, str]:
    """Return a link to each object: those that only events have are on the page of webhooks."""
    of_routes = set(reachable(document()["paths"]))
    page = {name: "http-api.md" if name in of_routes else "webhooks.md" for name in schemas()}
    return {name: md.link(name, f"{page[name]}#{md.anchor(name)}") for name in schemas()}


def objects(names: Iterable[str]) -> str:
    """Return a section for each object; the examples of events are on their own page."""
    sent = set(reachable(*_bodies()))
    return md.blocks(*(md.blocks(f"### {name}", _object(name, is_sent=name in sent)) for name in names))


def _bodies() -> Iterator[Any]:
    """Yield the bodies of requests to the service."""
    for methods in document()["paths"].values():
        yield from (operation.get("requestBody") for operation in methods.values())


def parameters(operation: Operation) -> str:
    """Return the table of an operation's parameters, if it has any."""
    rows = [
        [
            md.code(one["name"]),
            f"{json_types.type_of(one['schema'], links())}; in the {one['in']}",
            _said(one["schema"] | one, is_required=one["required"]),
        ]
        for one in operation.get("parameters", [])
    ]
    return md.table(["parameter", "type", "meaning"], rows) if rows else ""


def body(operation: Operation) -> str:
    """Return a sentence about the body of an operation, if it has one."""
    forms = [
        f"{json_types.type_of(content['schema'], links())} as {md.code(media)}"
        for media, content in operation.get("requestBody", {}).get("content", {}).items()
    ]
    return f"Body: {', or '.join(forms)}." if forms else ""


def answers(operation: Operation) -> str:
    """Return the table of an operation's answers."""
    rows = [
        [str(status), md.prose(answer["description"]), ", ".join(_contents(answer)) or "-"]
        for status, answer in sorted(operation["responses"].items())
    ]
    return md.table(["status", "meaning", "body"], rows)


def _contents(answer: Mapping[str, Any]) -> Iterator[str]:
    for media, content in answer.get("content", {}).items():
        name = json_types.type_of(content.get("schema", {}), links())
        yield md.code(media) if name in {"string", "any"} else name


def _object(name: str, *, is_sent: bool) -> str:
    schema = schemas()[name]
    said = md.paragraphs(schema.get("description", ""))
    if "properties" not in schema:
        return md.blocks(said, f"One of {json_types.type_of(schema, links())}.")
    examples = [] if name in EVENTS else schema.get("examples", [])
    blocks = [md.fence("json", json.dumps(one, indent=2, ensure_ascii=False)) for one in examples]
    return md.blocks(said, _fields(schema, schema.get("required", []) if is_sent else []), *blocks)


def _fields(schema: Mapping[str, Any], required: Collection[str]) -> str:
    rows = [
        [md.code(name), json_types.type_of(value, links()), _said(value, is_required=name in required)]
        for name, value in schema["properties"].items()
    ]
    return md.table(["field", "type", "meaning"], rows)


def _said(value: Mapping[str, Any], *, is_required: bool) -> str:
    words = [value.get("description", "")]
    if is_required:
        words.append("Required.")
    elif value.get("default") not in (None, "", [], {}):
        words.append(f"Default: `{json.dumps(value['default'])}`.")
    return md.prose(" ".join(filter(None, words))) or "-"
