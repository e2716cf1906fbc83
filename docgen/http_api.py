"""`http-api.md`: every route, from the OpenAPI document."""

from collections.abc import Iterator
from typing import Any, Final

from docgen import markdown as md
from docgen import openapi

_OPENING: Final = """`moderate web` serves these routes; `/openapi.json` describes the same for programs.

Send a key of `moderate api-key create` as `Authorization: Bearer KEY`. Routes outside `/v1` need no key.
Every error is a [Problem](#problem) as `application/problem+json` (RFC 9457): `detail` says what is
wrong, and `hint` what to do."""


def page() -> str:
    """Return the page."""
    sections: dict[str, str] = {}
    for route, operation in routes():
        tag = operation["tags"][0].capitalize()
        sections[tag] = md.blocks(sections.get(tag, ""), _route(route, operation))
    names = openapi.reachable(openapi.document()["paths"])
    return md.page("HTTP API", _OPENING, {**sections, "Objects": openapi.objects(names)})


def routes() -> Iterator[tuple[str, Any]]:
    """Yield each method and path, with its operation."""
    for path, methods in openapi.document()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def _route(route: str, operation: Any) -> str:
    return md.blocks(
        f"### {route}",
        md.prose(f"{operation['summary']}."),
        md.paragraphs(operation.get("description", "")),
        openapi.parameters(operation),
        openapi.body(operation),
        openapi.answers(operation),
    )
