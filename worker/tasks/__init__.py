"""The Celery side: `moderate worker`, or `celery -A worker.tasks worker -P threads`."""

from worker.tasks.moderation import app

__all__ = ["app"]
