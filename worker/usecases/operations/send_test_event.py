"""Sends an example event to a receiver, to test it before there is a decision."""

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
    """The result of sending a test event."""

    event_id: str
    seconds: float
    #: The receiver's 2xx status; None if it did not accept the event.
    status: int | None
    problem: ModerationError | None


@dataclass(frozen=True, slots=True)
class SendTestEvent:
    """Send a signed event like a real delivery: same address checks, same time limit."""

    allowed: AllowedCallbacks
    webhook: Webhook

    def __call__(self, kind: EventType, url: str) -> Attempt:
        """Send the event once; its body has `test: true` and a submission unknown to the platform.

        InvalidSubmissionError if `url` is not a URL, CallbackNotAllowedError if it is not allowed.
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
