"""Posts an event to the platform: signed, to an address that the guard lets through, by one deadline."""

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

#: Bounds of `Retry-After`: zero would mean a request after the other, and a year must not lose the event.
MIN_PAUSE_SECONDS: Final = 1.0
MAX_PAUSE_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True, repr=False)
class Webhook:
    """Tells those who gave a URL; no redirect is followed, since a signed event is for who was named."""

    http: GuardedHttp
    #: The newest first; an event is signed by every one.
    keys: Sequence[bytes]
    #: For names, connection, request and answer together.
    seconds: float
    clock: Callable[[], float] = time.time

    def __call__(self, event: Payload, callback: WebhookCallback) -> int:
        """Send the event and return the receiver's status, a 2xx: it has the event.

        AddressNotAllowedError if nothing may be sent to the URL's address, EventRefusedError if the receiver
        wants nothing more (410), EventPostponedError if it says when to try again, EventNotTakenError for any
        other status, RemoteUnavailableError if there is no answer.
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
            # A certificate that ran out is renewed.
            raise RemoteUnavailableError(error.message) from error
        _check(reply, url, self.clock())
        return reply.status


def _check(reply: Reply, url: Url, now: float) -> None:
    if 200 <= reply.status < 300:
        return
    if reply.status == 410:
        raise EventRefusedError(f"{url.host} answered 410: it wants to hear of nothing more")
    redirect = ", a redirect, which is not followed" if 300 <= reply.status < 400 else ""
    message = f"{url.host} answered {reply.status}{redirect}"
    retry_after = pause_asked_for(reply.headers.get("retry-after", ""), now)
    if retry_after is not None:
        raise EventPostponedError(f"{message}, Retry-After: {_shown(retry_after)}", retry_after=retry_after)
    raise EventNotTakenError(message)


def pause_asked_for(retry_after: str, now: float) -> timedelta | None:
    """Return how long `Retry-After` asks to wait, in seconds or until a date; None if it says neither."""
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
