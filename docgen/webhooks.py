"""`webhooks.md`: the requests that a receiver gets, from the OpenAPI document."""

from typing import Final

from docgen import json_types, openapi
from docgen import markdown as md

_OPENING: Final = """A webhook is a `POST` request with an [event](events.md) as its JSON body, to the URL
that the submission or `MODERATION_WEBHOOK_URL` names.

Requests are signed as [Standard Webhooks](https://www.standardwebhooks.com) specifies. Every event has
the same headers, and your answer means the same."""


def page() -> str:
    """Return the page."""
    hooks = {name: methods["post"] for name, methods in openapi.document()["webhooks"].items()}
    links = openapi.links()
    # All events are received alike: `tests/unit/docgen` holds them to it.
    any_hook = next(iter(hooks.values()))
    types = [
        [
            md.link(md.code(name), f"events.md#{md.anchor(name)}"),
            json_types.type_of(hook["requestBody"]["content"]["application/json"]["schema"], links),
        ]
        for name, hook in hooks.items()
    ]
    return md.page(
        "Webhooks",
        _OPENING,
        {
            "Headers": openapi.parameters(any_hook),
            "Your answer": openapi.answers(any_hook),
            "Bodies": md.table(["type", "body"], types),
            "Objects": openapi.objects(_own_objects()),
        },
    )


def _own_objects() -> list[str]:
    """Return the objects that only events have."""
    of_routes = openapi.reachable(openapi.document()["paths"])
    return [name for name in openapi.reachable(openapi.document()["webhooks"]) if name not in of_routes]
