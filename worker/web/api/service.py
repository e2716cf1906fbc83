"""What the HTTP API works with: no model, no policy in force, no decoder."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from worker.settings import Settings
from worker.web.api.waiting import WaitingRoom
from worker.web.desk.request.service import DeskService, open_desk_service
from worker.web.http.rate_limit import RateLimit
from worker.wiring.api_service import ApiService, open_api_service


@dataclass(frozen=True, slots=True)
class WebService:
    """What a web process runs."""

    settings: Settings
    intake: ApiService
    rate_limit: RateLimit
    waiting_room: WaitingRoom
    #: None where this process serves no review desk.
    desk: DeskService | None


@contextmanager
def open_web_service(settings: Settings) -> Iterator[WebService]:
    """Assemble what a web process needs; SchemaError or DatabaseUnavailableError of the tables.

    The broker may be away: what is accepted meanwhile is published when it is back.
    """
    limit = RateLimit(settings.broker_url, f"{settings.queue}:rate:", settings.web_requests_per_minute)
    with ExitStack() as stack:
        intake = stack.enter_context(open_api_service(settings))
        stack.enter_context(closing(limit))
        room = WaitingRoom(intake.find, settings.web_wait_seconds, settings.web_waiters)
        desk = None
        if settings.review_desk:
            desk = stack.enter_context(open_desk_service(settings, intake.desk))
        yield WebService(settings, intake, limit, room, desk)
