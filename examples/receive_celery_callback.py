"""Receive what moderation-worker decided in a platform's own Celery: a task, and a queue of its own.

python examples/receive_celery_callback.py redis://127.0.0.1:6379/0

Workers call it where MODERATION_CALLBACK_TASKS allows `posts.moderated`, for submissions with
`"callback": {"task": "posts.moderated", "queue": "posts"}`.
"""

import argparse
from typing import Any

from celery import Celery

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("broker", help="MODERATION_CALLBACK_BROKER_URL of the workers, or their own broker")
arguments.add_argument("--queue", default="posts", help="the queue that submissions name")
options = arguments.parse_args()

app = Celery("platform", broker=options.broker)
app.conf.update(accept_content=["json"], task_ignore_result=True, task_acks_late=True)
app.conf.worker_redirect_stdouts = False  # what is printed here is the result, not the log

# Yours is a table with a unique column, written in the transaction of what you do about a decision.
seen: set[str] = set()


@app.task(name="posts.moderated")
def moderated(event: dict[str, Any]) -> None:
    """Take an event, which may come more than once."""
    if event["id"] not in seen:
        decision = event["data"]["decision"]
        print(event["id"], decision["submission"], decision["action"], decision["reason"], flush=True)
        seen.add(event["id"])


app.worker_main(["worker", "--queues", options.queue, "--pool", "solo", "--loglevel", "warning"])
