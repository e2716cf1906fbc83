"""Calls a task of the platform's own Celery with an event."""

from dataclasses import dataclass

from moderation_client.callback import CeleryCallback
from moderation_client.producer import Producer

from worker.notifications.events import Payload, trace_headers


@dataclass(frozen=True, slots=True)
class CeleryTask:
    """Tells those who gave a task and a queue."""

    producer: Producer

    def __call__(self, event: Payload, callback: CeleryCallback) -> None:
        """Return when the broker has the message; BrokerUnavailableError where it is away.

        The task gets the event as its one positional argument; the message's id is the event's.
        """
        self.producer.send(
            callback.task,
            args=(event,),
            queue=callback.queue,
            shown=event["id"],
            task_id=event["id"],
            headers=trace_headers(event),
        )
