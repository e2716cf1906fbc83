"""Publishes accepted submissions to the queue, and pauses while the broker is unavailable."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from moderation_client import Client, InlineBytes, Submission
from moderation_client.messages import MAX_SUBMISSIONS

from worker.errors import BrokerUnavailableError

#: After a failure: requests must not wait in turn for an unavailable broker.
PAUSE_SECONDS: Final = 5.0


class PublishSubmissions:
    """Publishes in messages of many; thread-safe."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._paused_until = 0.0

    def __call__(self, submissions: Sequence[Submission]) -> list[str]:
        """Publish `submissions` and return the ids of those that could not be published."""
        groups = _groups(submissions)
        for n, group in enumerate(groups):
            if not self._publish(group):
                return [one.id for left in groups[n:] for one in left]
        return []

    def _publish(self, group: Sequence[Submission]) -> bool:
        if self._clock() < self._paused_until:
            return False
        try:
            self._send(group)
        except BrokerUnavailableError:
            self._paused_until = self._clock() + PAUSE_SECONDS
            return False
        return True

    def _send(self, group: Sequence[Submission]) -> None:
        if len(group) > 1:
            # The ledger knows their traces; one message for each would break up the batch.
            self._client.submit_many([replace(one, traceparent=None) for one in group])
            return
        (one,) = group
        self._client.submit(
            one.source,
            policy=one.policy,
            reference=one.reference,
            id=one.id,
            sha256=one.sha256,
            context=one.context,
            callback=one.callback,
            again=one.again,
            text=one.text,
            traceparent=one.traceparent,
        )


def _groups(submissions: Sequence[Submission]) -> list[Sequence[Submission]]:
    """Group what shares a message; inline pictures get a message each."""
    inline = [one for one in submissions if isinstance(one.source, InlineBytes)]
    references = [one for one in submissions if not isinstance(one.source, InlineBytes)]
    starts = range(0, len(references), MAX_SUBMISSIONS)
    return [*([one] for one in inline), *(references[start : start + MAX_SUBMISSIONS] for start in starts)]
