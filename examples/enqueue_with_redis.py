"""Enqueue pictures with a Redis client alone, as a producer in any other language does.

python examples/enqueue_with_redis.py redis://127.0.0.1:6379/0 uploads/cat.jpg

A message is one JSON text, pushed to the Redis list named after the queue. It follows Celery's protocol 2:
https://docs.celeryq.dev/en/stable/internals/protocol.html
"""

import argparse
import base64
import json
import uuid

import redis

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("broker", help="the Redis that the workers read")
arguments.add_argument("paths", nargs="+", help="pictures, relative to the workers' media root")
arguments.add_argument("--queue", default="moderation", help="MODERATION_QUEUE of the workers")
options = arguments.parse_args()


def envelope(task: str, fields: dict[str, object], queue: str) -> str:
    """Return the message that runs `task` with these fields."""
    # Positional arguments (none), keyword arguments, and Celery's follow-up tasks (none).
    body = json.dumps([[], fields, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    message_id = str(uuid.uuid4())
    return json.dumps(
        {
            "body": base64.b64encode(body.encode()).decode(),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"lang": "py", "task": task, "id": message_id, "root_id": message_id},
            "properties": {
                "body_encoding": "base64",
                "correlation_id": message_id,
                "delivery_mode": 2,
                "delivery_tag": str(uuid.uuid4()),
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
            },
        }
    )


with redis.Redis.from_url(options.broker) as connection:
    for path in options.paths:
        submission = {
            "id": uuid.uuid4().hex,
            "source": {"kind": "file", "path": path},
            "reference": path,
            "context": {"sent by": "enqueue_with_redis.py"},
        }
        connection.lpush(options.queue, envelope("moderation.check", submission, options.queue))
        print(submission["id"])
