"""Enqueue pictures for moderation-worker, and verify its webhooks: Celery with Redis, nothing else.

Catch `InvalidSubmissionError` (a field is malformed, nothing was sent) and `BrokerUnavailableError` (retry
later with the same `id`).

from moderation_client import Client, LocalFile

with Client("redis://127.0.0.1:6379/0") as client:
    client.submit(LocalFile("uploads/cat.jpg"), reference="post-42")
"""

from typing import TYPE_CHECKING, Any

from moderation_client.callback import CeleryCallback, WebhookCallback
from moderation_client.errors import (
    BrokerUnavailableError,
    InvalidSubmissionError,
    ModerationError,
    SettingsError,
)
from moderation_client.submission import (
    ImageUrl,
    InlineBytes,
    LocalFile,
    Source,
    StoredObject,
    Submission,
    new_submission_id,
)
from moderation_client.webhooks import verify as verify_webhook

if TYPE_CHECKING:
    from moderation_client.client import Client

__all__ = [
    "BrokerUnavailableError",
    "CeleryCallback",
    "Client",
    "ImageUrl",
    "InlineBytes",
    "InvalidSubmissionError",
    "LocalFile",
    "ModerationError",
    "SettingsError",
    "Source",
    "StoredObject",
    "Submission",
    "WebhookCallback",
    "new_submission_id",
    "verify_webhook",
]


def __getattr__(name: str) -> Any:
    """Import the client on first use: Celery takes half a second, and a webhook receiver does not need it."""
    if name != "Client":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from moderation_client.client import Client  # noqa: PLC0415 - on first use

    return Client
