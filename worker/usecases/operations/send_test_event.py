"""Sends an example of an event to a receiver, so that it can be tried before there is a decision."""

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from moderation_client.callback import WebhookCallback

from worker.domain.operations.event_type import EventType
from worker.errors import (
    AddressNotAllowedError,
    CallbackNotAllowedError,
    EventRefusedError,
    ModerationError,
    UnavailableError,
)
from worker.notifications.allowed_callbacks import AllowedCallbacks
from worker.notifications.example_events import About, example_event
from worker.notifications.webhook import Webhook


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of sending a test event."""

    event_id: str
    seconds: float
    #: The receiver's 2xx; None if it did not take the event.
    status: int | None
    problem: ModerationError | None


@dataclass(frozen=True, slots=True)
class SendTestEvent:
    """Send a signed event as deliveries are sent: the same checks of its address, the same time limit."""

    allowed: AllowedCallbacks
    webhook: Webhook

    def __call__(self, kind: EventType, url: str) -> Attempt:
        """Send it once; its body has `test: true`, and a submission that the platform does not know.

        InvalidSubmissionError if `url` is not a URL, CallbackNotAllowedError if nothing may be sent there.
        """
        callback = WebhookCallback(url)
        self.allowed.check(callback)
        name = f"test_{secrets.token_hex(8)}"
        about = About(submission_id=name, reference=name, context={"test": True})
        event = {**example_event(kind, f"evt_{name}", datetime.now(UTC), about), "test": True}
        status, problem, begun = None, None, time.perf_counter()
        try:
            status = self.webhook(event, callback)
        except AddressNotAllowedError as error:
            raise CallbackNotAllowedError(f"callback: {error.message}", hint=error.hint) from error
        except (EventRefusedError, UnavailableError) as error:
            problem = error
        return Attempt(event["id"], time.perf_counter() - begun, status, problem)
