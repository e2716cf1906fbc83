"""The producer's client: puts submissions on the queue and returns their ids."""

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
    """A connection to the queue. Safe to share between threads; close it, or use it in a `with`."""

    def __init__(self, broker_url: str, *, queue: str = DEFAULT_QUEUE) -> None:
        """Take the address of the broker; SettingsError where it is none. Connects when first needed."""
        self._queue = queue
        self._producer = Producer(broker_url)

    def submit(  # noqa: PLR0913 - the fields of a submission, all by name
        self,
        source: Source,
        *,
        policy: str | None = None,
        reference: str = "",
        id: str | None = None,  # noqa: A002 - the field's name on every face of the service
        sha256: str | None = None,
        context: dict[str, Any] | None = None,
        callback: Callback | None = None,
        again: str | None = None,
        traceparent: str | None = None,
    ) -> str:
        """Enqueue one picture and return the submission's id.

        `id` is the idempotency key: submitting the same one again changes nothing, unless `again` asks for a
        second judgement by the policy as it is now; it names this request. `traceparent` names the trace that
        log lines and events of this submission belong to. InvalidSubmissionError before anything is sent if
        a field is malformed; BrokerUnavailableError if the broker is away.
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
            traceparent,
        )
        self._send(TASK, to_message(submission), [submission.id], traceparent)
        return submission.id

    def submit_many(self, submissions: Sequence[Submission]) -> list[str]:
        """Enqueue up to 64 pictures in one message and return their ids; no source may be `InlineBytes`.

        Each is decided on its own; those of different traces go in a message for each trace. Raises as
        `submit` does; sending the same submissions again is safe.
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
        """Return the ids in the oldest messages on the queue, at most so many messages; [] if it is empty.

        None if this kind of broker does not show them. BrokerUnavailableError unless it answers in seconds.
        """
        found = self._producer.oldest(self._queue, limit)
        return None if found is None else [name for fields in found for name in submission_ids(fields)]

    def ping(self) -> None:
        """Raise BrokerUnavailableError unless the broker answers within a few seconds."""
        self._producer.ping()

    def depth(self) -> QueueDepth:
        """Return what the broker has of this queue; BrokerUnavailableError unless it answers in seconds."""
        return self._producer.depth(self._queue)

    @property
    def address(self) -> str:
        """Where the broker is, for people; never shows the password."""
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
        # The ids are all that is shown of it: nothing that may be signed.
        self._producer.send(
            task,
            kwargs=message,
            queue=self._queue,
            shown=", ".join(ids),
            headers=to_headers(traceparent, time.time()),
        )
