"""Enqueue pictures from a program that has Celery but not our client: the message, whole.

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
    """Return what the workers have to know of one picture; all but `id` and `source` can be left out."""
    return {
        # Your idempotency key: the same id is decided once, however often it arrives.
        "id": uuid.uuid4().hex,
        # Or {"kind": "url", "url": ...}, {"kind": "object", "store": ..., "key": ...},
        # {"kind": "bytes", "base64": ...} for up to 256 KiB.
        "source": {"kind": "file", "path": path},
        "policy": None,  # the workers' default
        "reference": path,  # to find the decision by
        "sha256": None,  # of the bytes; checked before anything is judged
        "context": {"sent by": "enqueue_with_celery.py"},  # given back beside the decision
    }


submissions = [submission(path) for path in options.paths]
with Celery(broker=options.broker, set_as_current=False) as app:
    app.conf.task_ignore_result = True
    if len(submissions) == 1:
        app.send_task("moderation.check", kwargs=submissions[0], queue=options.queue)
    else:
        # One message for up to 64 pictures; each is decided on its own. Sources of the kind "bytes" go alone.
        for start in range(0, len(submissions), 64):
            group = submissions[start : start + 64]
            app.send_task("moderation.check_many", kwargs={"submissions": group}, queue=options.queue)
for sent in submissions:
    print(sent["id"])
