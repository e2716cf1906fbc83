"""Health, readiness and metrics for monitoring; no API key is needed."""

from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from worker.errors import BrokerUnavailableError, UnavailableError
from worker.policy_files.yaml_text.folder import policy_files
from worker.store.upgrade import schema
from worker.web.api.access import Service
from worker.web.http.responses import problems

router = APIRouter(tags=["operations"])


class Health(BaseModel):
    """The process is alive."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """The state of what the service needs."""

    database: Literal["ready"] = "ready"
    policies: Literal["ready"] = Field(
        "ready", description="The folder of policies, needed to check policy names."
    )
    broker: Literal["ready", "away"] = Field(
        description="`away`: submissions are accepted and stored, and published when the broker is back."
    )


@router.get("/healthz", summary="Check that the process is alive", responses={200: {"description": "It is."}})
def health() -> Health:
    """Answer without checking anything."""
    return Health()


@router.get(
    "/readyz",
    summary="Check that pictures can be accepted",
    responses={200: {"description": "They can."}, **problems(503)},
)
def readiness(service: Service) -> Readiness:
    """Check the database and its tables, the policy folder and the broker; the broker may be unavailable."""
    schema.check_revision(service.intake.database)
    _require_policies(service.settings.policies)
    try:
        service.intake.broker.ping()
    except BrokerUnavailableError:
        return Readiness(broker="away")
    return Readiness(broker="ready")


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=PlainTextResponse,
    responses={200: {"description": "In Prometheus's text format."}},
)
def metrics(service: Service) -> Response:
    """Return the metrics of this process."""
    return Response(service.intake.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _require_policies(folder: Path) -> None:
    """Raise UnavailableError if the folder cannot be read or is empty: no policy name could be checked."""
    try:
        found = policy_files(folder)
    except OSError as error:
        raise UnavailableError(f"the policy folder {folder} cannot be read: {error.strerror}") from None
    if not found:
        raise UnavailableError(f"there is no policy in {folder}: no file *.yaml")
