"""Renders the desk's templates with autoescaping."""

import json
from datetime import datetime, timedelta
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from worker.printable import printable
from worker.store.engine.column_types import utc_now
from worker.web.desk.rendering import assets

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a page; `now` among the values is the reference for ages and deadlines."""
    usual = {"visitor": None, "undo": None, "here": "", "now": utc_now()}
    text = _TEMPLATES.get_template(template).render(
        usual | values, request_id=request.state.request_id, root=request.scope["root_path"]
    )
    return HTMLResponse(text, status)


def span(length: timedelta) -> str:
    """Format a duration for people: 3 h, 2 days."""
    length = abs(length)
    if length >= 2 * _DAY:
        return f"{length // _DAY} days"
    if length >= 2 * _HOUR:
        return f"{length // _HOUR} h"
    if length >= _MINUTE:
        return f"{length // _MINUTE} min"
    return "a moment"


@pass_context
def _age(context: Context, moment: datetime) -> str:
    return span(context["now"] - moment)


@pass_context
def _due(context: Context, moment: datetime) -> str:
    left = moment - context["now"]
    return f"due in {span(left)}" if left > timedelta(0) else f"overdue by {span(left)}"


@pass_context
def _is_past(context: Context, moment: datetime) -> bool:
    return bool(moment <= context["now"])


def _moment(moment: datetime) -> str:
    return f"{moment:%d %b %Y, %H:%M} UTC"


def _pretty_json(value: object) -> str:
    return printable(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str))


def _words(name: str) -> str:
    return name.replace("_", " ").replace("-", " ")


_TEMPLATES: Final = Environment(
    loader=PackageLoader("worker.web.desk.rendering"),
    # Always: escaping by hand or by file name is one mistake away from script injection.
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals["asset"] = assets.address
_TEMPLATES.filters.update(
    age=_age, due=_due, is_past=_is_past, moment=_moment, pretty_json=_pretty_json, words=_words
)
