"""Posts a signed event to the platform, to an address that the guard allows, within a deadline."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from moderation_client import webhooks
from moderation_client.callback import WebhookCallback
from moderation_client.url import Url

from worker.concurrency.deadline import Deadline
from worker.errors import (
    EventNotTakenError,
    EventPostponedError,
    EventRefusedError,
    RemoteUnavailableError,
    UntrustedServerError,
)
from worker.network.http import GuardedHttp, Reply
from worker.notifications.events import Payload, as_body, trace_headers

#: Bounds of `Retry-After`: zero would retry without pause, and a year would lose the event.
MIN_PAUSE_SECONDS: Final = 1.0
MAX_PAUSE_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True, repr=False)
class Webhook:
    """Sends events to callbacks that name a URL; follows no redirects, as events are for that URL only."""

    http: GuardedHttp
    #: The newest first; an event is signed with each.
    keys: Sequence[bytes]
    #: For DNS, connection, request and response together.
    seconds: float
    clock: Callable[[], float] = time.time

    def __call__(self, event: Payload, callback: WebhookCallback) -> int:
        """Send the event and return the receiver's 2xx status.

        AddressNotAllowedError if the URL's address is not allowed, EventRefusedError if the receiver answers
        410, EventPostponedError if it answers with Retry-After, EventNotTakenError for any other status,
        RemoteUnavailableError if there is no response.
        """
        url, body = Url.parse(callback.url), as_body(event)
        sent = {
            **webhooks.headers(self.keys, event["id"], int(self.clock()), body),
            "Idempotency-Key": event["id"],
            "Content-Type": "application/json",
            "Accept": "*/*",
            **trace_headers(event),
        }
        try:
            reply = self.http.post(url, sent, body, Deadline(self.seconds))
        except UntrustedServerError as error:
            # Worth a retry: an expired certificate will be renewed.
            raise RemoteUnavailableError(error.message) from error
        _check(reply, url, self.clock())
        return reply.status


def _check(reply: Reply, url: Url, now: float) -> None:
    if 200 <= reply.status < 300:
        return
    if reply.status == 410:
        raise EventRefusedError(f"{url.host} answered 410: it does not want this event")
    redirect = ", a redirect, which is not followed" if 300 <= reply.status < 400 else ""
    message = f"{url.host} answered {reply.status}{redirect}"
    retry_after = parse_retry_after(reply.headers.get("retry-after", ""), now)
    if retry_after is not None:
        raise EventPostponedError(f"{message}, Retry-After: {_shown(retry_after)}", retry_after=retry_after)
    raise EventNotTakenError(message)


def parse_retry_after(retry_after: str, now: float) -> timedelta | None:
    """Parse `Retry-After`, seconds or a date, within its bounds; None if it is invalid."""
    text = retry_after.strip()
    if re.fullmatch("[0-9]{1,15}", text):
        seconds = float(text)
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return timedelta(seconds=min(max(seconds, MIN_PAUSE_SECONDS), MAX_PAUSE_SECONDS))


def _shown(pause: timedelta) -> str:
    return f"{pause.total_seconds():.0f} s"
