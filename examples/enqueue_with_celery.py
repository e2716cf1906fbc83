"""Enqueue pictures with Celery alone, without our client.

python examples/enqueue_with_celery.py redis://127.0.0.1:6379/0 uploads/cat.jpg
"""

import argparse
import uuid

from celery import Celery

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("broker", help="the Redis that the workers read")
arguments.add_argument("paths", nargs="+", help="pictures, relative to the workers' media root")
arguments.add_argument("--queue", default="moderation", help="MODERATION_QUEUE of the workers")
options = arguments.parse_args()


def submission(path: str) -> dict[str, object]:
    """Return the message of one picture; all fields but `id` and `source` are optional."""
    return {
        # Your idempotency key: the same id is decided once, however often it arrives.
        "id": uuid.uuid4().hex,
        # Or {"kind": "url", "url": ...}, {"kind": "object", "store": ..., "key": ...},
        # {"kind": "bytes", "base64": ...} for up to 256 KiB.
        "source": {"kind": "file", "path": path},
        "policy": None,  # None: the workers' default
        "reference": path,  # find the decision by it
        "sha256": None,  # of the bytes; checked before anything is judged
        "context": {"sent by": "enqueue_with_celery.py"},  # returned with the decision
    }


submissions = [submission(path) for path in options.paths]
with Celery(broker=options.broker, set_as_current=False) as app:
    app.conf.task_ignore_result = True
    if len(submissions) == 1:
        app.send_task("moderation.check", kwargs=submissions[0], queue=options.queue)
    else:
        # One message for up to 64 pictures, each with its own decision; not for sources of the kind "bytes".
        for start in range(0, len(submissions), 64):
            group = submissions[start : start + 64]
            app.send_task("moderation.check_many", kwargs={"submissions": group}, queue=options.queue)
for sent in submissions:
    print(sent["id"])
