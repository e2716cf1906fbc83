"""Calls a task in the platform's Celery with an event."""

from dataclasses import dataclass

from moderation_client.callback import CeleryCallback
from moderation_client.producer import Producer

from worker.notifications.events import Payload, trace_headers


@dataclass(frozen=True, slots=True)
class CeleryTask:
    """Sends events to callbacks that name a task and a queue."""

    producer: Producer

    def __call__(self, event: Payload, callback: CeleryCallback) -> None:
        """Publish the task; BrokerUnavailableError if the broker does not confirm it.

        The event is the task's only positional argument, and its id is the task's id.
        """
        self.producer.send(
            callback.task,
            args=(event,),
            queue=callback.queue,
            shown=event["id"],
            task_id=event["id"],
            headers=trace_headers(event),
        )
