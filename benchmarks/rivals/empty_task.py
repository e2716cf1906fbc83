"""A Celery task that does nothing, to measure the cost of a message."""

import os

from celery import Celery

app = Celery("rival", broker=os.environ["RIVAL_BROKER"])
app.conf.update(task_acks_late=True, task_ignore_result=True, task_default_queue="empty")


@app.task(name="rival.nothing")
def nothing(picture_id: str) -> None:
    """Do nothing."""
