"""The ASGI application: routes, middleware and OpenAPI."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import RedirectResponse

from worker import __version__
from worker.web.api import decisions, operations, submissions, webhooks
from worker.web.api.request_schemas import COMPONENTS
from worker.web.api.reviews import appeals, review_bodies, reviews
from worker.web.api.service import WebService
from worker.web.api.views import EXAMPLES
from worker.web.desk.application import create_desk
from worker.web.desk.request.service import PREFIX
from worker.web.front import Front
from worker.web.http.bodies import JsonBodies
from worker.web.http.problems import Problem, answer_errors
from worker.web.http.request_log import RequestLog

DESCRIPTION: Final = """Judges uploaded pictures zero-shot, by policies written in YAML.

Submit a picture, then wait for the decision or fetch it later. A submission that was answered with 202 is in
the ledger and will be decided. Every error is `application/problem+json` (RFC 9457)."""


class ModerationApi(FastAPI):
    """FastAPI, with the parts of OpenAPI that it cannot derive from the code."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if not self.openapi_schema:
            document = get_openapi(
                title=self.title,
                version=self.version,
                description=self.description,
                routes=self.routes,
                webhooks=self.webhooks.routes,
            )
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas = document["components"]["schemas"]
            schemas |= problem.pop("$defs") | {"Problem": problem} | COMPONENTS | review_bodies.components()
            # FastAPI would drop the null values of the examples.
            for name, example in (EXAMPLES | webhooks.EXAMPLES).items():
                schemas[name]["examples"] = [example]
            document["components"]["schemas"] = dict(sorted(schemas.items()))
            self.openapi_schema = document
        return self.openapi_schema


def create_app(service: WebService | None) -> FastAPI:
    """Return the application; without a service it can only return its OpenAPI document."""
    app = ModerationApi(
        title="moderation-worker",
        version=__version__,
        description=DESCRIPTION,
        # FastAPI's documentation pages load scripts from a CDN.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        webhooks=webhooks.router,
    )
    app.state.service = service
    app.state.bodies = JsonBodies()
    for router in (
        submissions.router,
        decisions.router,
        reviews.router,
        appeals.router,
        operations.router,
    ):
        app.include_router(router)
    answer_errors(app)
    if service is not None and service.desk is not None:
        home = f"{service.desk.root}/"
        app.mount(PREFIX, create_desk(service.desk))
        # A mount does not answer its own path without the slash.
        app.add_api_route(PREFIX, lambda: RedirectResponse(home, 308), include_in_schema=False)
    if service is not None:
        root = service.settings.web_root_path
        app.add_middleware(RequestLog, metrics=service.intake.metrics, root=root)
        app.add_middleware(Front, root=root)
    return app
