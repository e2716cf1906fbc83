"""Receive decisions as a task of the platform's own Celery, on a separate queue.

python examples/receive_celery_callback.py redis://127.0.0.1:6379/0

Workers call it if MODERATION_CALLBACK_TASKS allows `posts.moderated`, for submissions with
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
app.conf.worker_redirect_stdouts = False  # prints are results here, not log lines

# In production: a table with a unique column, and a column beside your upload, read and written in the
# transaction that handles the event.
seen: set[str] = set()
sequences: dict[str, int] = {}


@app.task(name="posts.moderated")
def moderated(event: dict[str, Any]) -> None:
    """Act on the decision in force, unless a newer event was handled already."""
    # Events can be redelivered, and can arrive out of order.
    if event["id"] in seen or event["sequence"] < sequences.get(event["submission"], 0):
        return
    seen.add(event["id"])
    sequences[event["submission"]] = event["sequence"]
    # `action` is None if the submission was refused: there is no decision.
    print(event["submission"], event["action"], event["decided_by"], event["type"], flush=True)


app.worker_main(["worker", "--queues", options.queue, "--pool", "solo", "--loglevel", "warning"])
