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

# Yours are a table with a unique column, and a column beside your upload: read and written in the transaction
# of what you do about an event.
seen: set[str] = set()
sequences: dict[str, int] = {}


@app.task(name="posts.moderated")
def moderated(event: dict[str, Any]) -> None:
    """Do what is in force now about a submission, unless we did something newer."""
    # An event may come more than once, and an older one after a newer one.
    if event["id"] in seen or event["sequence"] < sequences.get(event["submission"], 0):
        return
    seen.add(event["id"])
    sequences[event["submission"]] = event["sequence"]
    # No action: the submission was refused, and nothing is decided.
    print(event["submission"], event["action"], event["decided_by"], event["type"], flush=True)


app.worker_main(["worker", "--queues", options.queue, "--pool", "solo", "--loglevel", "warning"])
