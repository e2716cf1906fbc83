"""What operators' machines ask: does it live, can it work, what has it done; they need no key."""

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
    """The process lives."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """What the service needs."""

    database: Literal["ready"] = "ready"
    policies: Literal["ready"] = Field("ready", description="The folder by which a policy's name is checked.")
    broker: Literal["ready", "away"] = Field(
        description="Away: what is accepted is kept, and published when it is back."
    )


@router.get("/healthz", summary="Whether the process lives", responses={200: {"description": "It does."}})
def health() -> Health:
    """Answer, and touch nothing."""
    return Health()


@router.get(
    "/readyz",
    summary="Whether pictures can be accepted",
    responses={200: {"description": "They can."}, **problems(503)},
)
def readiness(service: Service) -> Readiness:
    """Look at the database and its tables, at the policies' folder, and at the broker, which may be away."""
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
    """Raise UnavailableError where every policy that a submission names would seem unknown."""
    try:
        found = policy_files(folder)
    except OSError as error:
        raise UnavailableError(f"the policy folder {folder} cannot be read: {error.strerror}") from None
    if not found:
        raise UnavailableError(f"there is no policy in {folder}: no file *.yaml")
