"""The producer's client: enqueues submissions and returns their ids."""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from moderation_client.callback import Callback
from moderation_client.messages import (
    DEFAULT_QUEUE,
    TASK,
    TASK_MANY,
    submission_ids,
    to_headers,
    to_many_message,
    to_message,
)
from moderation_client.producer import Producer
from moderation_client.queue_depth import QueueDepth
from moderation_client.submission import Source, Submission, new_submission_id


class Client:
    """A connection to the queue. Threads may share it; close it, or use it in a `with`.

    with Client("redis://127.0.0.1:6379/0") as client:
        client.submit(LocalFile("uploads/cat.jpg"), id="upload-7", reference="post-42")
    """

    def __init__(self, broker_url: str, *, queue: str = DEFAULT_QUEUE) -> None:
        """Parse the broker URL; SettingsError if it is invalid. Connects on first use."""
        self._queue = queue
        self._producer = Producer(broker_url)

    def submit(  # noqa: PLR0913 - the fields of a submission, all by name
        self,
        source: Source,
        *,
        policy: str | None = None,
        reference: str = "",
        id: str | None = None,  # noqa: A002 - the field's name in messages and HTTP
        sha256: str | None = None,
        context: dict[str, Any] | None = None,
        callback: Callback | None = None,
        again: str | None = None,
        text: str = "",
        traceparent: str | None = None,
    ) -> str:
        """Enqueue one picture and return the submission's id.

        `id` is the idempotency key, random by default: submitting the same id again changes nothing. `again`
        asks for a second judgement by the policy as it is now; its value names this request. `text` is the
        picture's caption or file name. `traceparent` is the trace of the submission's log lines and events.

        Raises InvalidSubmissionError if a field is malformed, before anything is sent, and
        BrokerUnavailableError if the broker is unavailable.
        """
        submission = Submission(
            new_submission_id() if id is None else id,
            source,
            policy,
            reference,
            sha256,
            context,
            callback,
            again,
            text,
            traceparent,
        )
        self._send(TASK, to_message(submission), [submission.id], traceparent)
        return submission.id

    def submit_many(self, submissions: Sequence[Submission]) -> list[str]:
        """Enqueue up to 64 pictures in one message and return their ids; no source may be `InlineBytes`.

        Each is judged separately; those of different traces are sent in a message for each trace. Raises as
        `submit` does: if one is malformed, none is sent. Retrying with the same submissions is safe.
        """
        to_many_message(submissions)  # refused as a whole, before anything is sent
        for traceparent in dict.fromkeys(one.traceparent for one in submissions):
            group = [one for one in submissions if one.traceparent == traceparent]
            self._send(TASK_MANY, to_many_message(group), [one.id for one in group], traceparent)
        return [one.id for one in submissions]

    def resend(self, message: Mapping[str, Any]) -> None:
        """Enqueue the arguments of `moderation.check` as they are; raises as `submit` does."""
        self._send(TASK, dict(message), [str(message.get("id"))], None)

    def oldest(self, limit: int) -> list[str] | None:
        """Return the ids in the oldest `limit` messages on the queue; [] if it is empty.

        None if this kind of broker does not show them. BrokerUnavailableError unless it answers in seconds.
        """
        found = self._producer.oldest(self._queue, limit)
        return None if found is None else [name for fields in found for name in submission_ids(fields)]

    def ping(self) -> None:
        """Raise BrokerUnavailableError unless the broker answers within a few seconds."""
        self._producer.ping()

    def depth(self) -> QueueDepth:
        """Return the queue's message counts; BrokerUnavailableError unless the broker answers in seconds."""
        return self._producer.depth(self._queue)

    @property
    def address(self) -> str:
        """The broker URL for logs and errors, without the password."""
        return self._producer.address

    def close(self) -> None:
        """Close every connection."""
        self._producer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, task: str, message: dict[str, Any], ids: list[str], traceparent: str | None) -> None:
        # Monitors and logs see the ids only: a source may contain a signature.
        self._producer.send(
            task,
            kwargs=message,
            queue=self._queue,
            shown=", ".join(ids),
            headers=to_headers(traceparent, time.time()),
        )
