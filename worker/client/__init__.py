"""All a producer needs to enqueue pictures: Celery and the standard library, nothing else.

from worker.client import Client, LocalFile

with Client("redis://127.0.0.1:6379/0") as client:
    client.submit(LocalFile("uploads/cat.jpg"), reference="post-42")
"""

from worker.client.client import Client
from worker.domain.submissions.callback import CeleryCallback, WebhookCallback
from worker.domain.submissions.submission import (
    ImageUrl,
    InlineBytes,
    LocalFile,
    Source,
    StoredObject,
    Submission,
    new_submission_id,
)

__all__ = [
    "CeleryCallback",
    "Client",
    "ImageUrl",
    "InlineBytes",
    "LocalFile",
    "Source",
    "StoredObject",
    "Submission",
    "WebhookCallback",
    "new_submission_id",
]
