"""Posts an event to the platform: signed, to an address that the guard lets through, by one deadline."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from worker.domain.callback import WebhookCallback
from worker.domain.url import Url
from worker.errors import EventRefusedError, RemoteUnavailableError, UntrustedServerError
from worker.network.deadline import Deadline
from worker.network.http import GuardedHttp
from worker.notifications import signature
from worker.notifications.events import Payload, as_body, trace_headers


@dataclass(frozen=True, slots=True, repr=False)
class Webhook:
    """Tells those who gave a URL; no redirect is followed, since a signed event is for who was named."""

    http: GuardedHttp
    #: The newest first; an event is signed by every one.
    keys: Sequence[bytes]
    #: For names, connection, request and answer together.
    seconds: float
    clock: Callable[[], float] = time.time

    def __call__(self, event: Payload, callback: WebhookCallback) -> None:
        """Return when the receiver has the event, which any 2xx says.

        AddressNotAllowedError where the URL leads where nothing may be sent, EventRefusedError where the
        receiver wants nothing more (410), RemoteUnavailableError for whatever may be different later.
        """
        url, body = Url.parse(callback.url), as_body(event)
        sent = {
            **signature.headers(self.keys, event["id"], int(self.clock()), body),
            "Idempotency-Key": event["id"],
            "Content-Type": "application/json",
            "Accept": "*/*",
            **trace_headers(event),
        }
        try:
            status = self.http.post(url, sent, body, Deadline(self.seconds))
        except UntrustedServerError as error:
            # A certificate that ran out is renewed.
            raise RemoteUnavailableError(error.message) from error
        _check(status, url)


def _check(status: int, url: Url) -> None:
    if 200 <= status < 300:
        return
    if status == 410:
        raise EventRefusedError(f"{url.host} answered 410: it wants to hear of nothing more")
    redirect = ", a redirect, which is not followed" if 300 <= status < 400 else ""
    raise RemoteUnavailableError(f"{url.host} answered {status}{redirect}")
