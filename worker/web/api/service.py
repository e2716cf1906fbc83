"""The components of a web process; it loads no model, no policy and no decoder."""

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
    """The components that HTTP routes use."""

    settings: Settings
    intake: ApiService
    rate_limit: RateLimit
    waiting_room: WaitingRoom
    #: None if this process serves no review desk.
    desk: DeskService | None


@contextmanager
def open_web_service(settings: Settings) -> Iterator[WebService]:
    """Assemble a web process's components; SchemaError or DatabaseUnavailableError without usable tables.

    The broker may be unavailable: submissions accepted until it is back are published then.
    """
    limit = RateLimit(settings.broker_url, f"{settings.queue}:rate:", settings.web_requests_per_minute)
    with ExitStack() as stack:
        intake = stack.enter_context(open_api_service(settings))
        stack.enter_context(closing(limit))
        room = WaitingRoom(intake.find, settings.web_wait_seconds, settings.web_waiters)
        desk = None
        if settings.review_desk:
            desk = stack.enter_context(open_desk_service(settings, intake.database, intake.desk))
        yield WebService(settings, intake, limit, room, desk)
