"""Sets aside messages whose submission cannot be entered into the ledger.

For a minute such a message is requeued, since the error may pass. After that it would keep a thread busy for
ever: it is stored in the database, where people see it, and published again after growing pauses.
"""

import hashlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import timedelta
from threading import Lock
from typing import Any, Final

from worker.concurrency.batching import in_a_line
from worker.observability.logs import about
from worker.observability.metrics import Metrics
from worker.store.engine.database import Database
from worker.store.submissions import set_aside_messages
from worker.store.submissions.set_aside_messages import SetAsideMessage

log = logging.getLogger(__name__)

#: How long a failing message is requeued before it is set aside.
REQUEUE_FOR: Final = timedelta(minutes=1)
#: The pause before it is published again equals the time it has been failing, within these bounds.
SHORTEST_PAUSE: Final = timedelta(seconds=10)
LONGEST_PAUSE: Final = timedelta(hours=1)
#: How many failing messages a process remembers.
_REMEMBERED: Final = 4096


class SetAside:
    """Sets messages aside once they have failed for long enough; thread-safe."""

    def __init__(
        self, database: Database, metrics: Metrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._clock = clock
        self._lock = Lock()
        self._failing_since: OrderedDict[str, float] = OrderedDict()

    def __call__(self, message: Mapping[str, Any], error: BaseException) -> bool:
        """Set a message aside if it has been failing for long; False if it must be requeued instead.

        `message` holds the arguments of `moderation.check`.
        """
        self._metrics.not_claimed()
        text = json.dumps(message)
        digest = hashlib.sha256(text.encode()).hexdigest()
        failing_for = self._failing_for(digest)
        if failing_for < REQUEUE_FOR:
            return False
        submission_id = str(message.get("id"))[:140]
        pause = min(max(failing_for, SHORTEST_PAUSE), LONGEST_PAUSE)
        kept = SetAsideMessage(digest, submission_id, text, in_a_line(error))
        with about(submission_id):
            return self._keep(kept, failing_for, pause)

    def _keep(self, kept: SetAsideMessage, failing_for: timedelta, pause: timedelta) -> bool:
        try:
            with self._database.transaction() as session:
                set_aside_messages.keep(session, kept, failing_for=failing_for, pause=pause)
        except Exception:
            log.exception("submission %s cannot be set aside and is requeued", kept.submission_id)
            return False
        log.error(
            "submission %s is set aside for %g s, since it cannot be claimed: %s",
            kept.submission_id,
            pause.total_seconds(),
            kept.error,
        )
        return True

    def _failing_for(self, digest: str) -> timedelta:
        now = self._clock()
        with self._lock:
            since = self._failing_since.setdefault(digest, now)
            self._failing_since.move_to_end(digest)
            while len(self._failing_since) > _REMEMBERED:
                self._failing_since.popitem(last=False)
        return timedelta(seconds=now - since)
