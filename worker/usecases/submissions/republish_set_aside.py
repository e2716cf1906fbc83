"""Republishes messages that were set aside because they could not be entered into the ledger."""

import json
import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from moderation_client import Client

from worker.concurrency.periodic import run_periodically
from worker.store.engine.database import Database
from worker.store.submissions import set_aside_messages

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0
#: Messages in memory at once: each may hold 350 KiB.
CHUNK: Final = 64


@dataclass(frozen=True, slots=True)
class RepublishSetAside:
    """Publish messages that are due; several processes at once may publish a message twice."""

    database: Database
    broker: Client

    def __call__(self) -> int:
        """Publish what is due; return how many. After BrokerUnavailableError the rest stays set aside."""
        count = 0
        while published := self._publish_chunk():
            count += published
        return count

    def running(self) -> AbstractContextManager[None]:
        """Run periodically while the context lasts; log failures."""
        return run_periodically(self, LOOK_SECONDS, name="publishing what was set aside")

    def _publish_chunk(self) -> int:
        with self.database.reading() as session:
            due = set_aside_messages.find_due(session, CHUNK)
        if not due:
            return 0
        # Outside any transaction, in which SQLite's other writers would wait for the broker; and before the
        # messages are deleted: publishing one twice does no harm, losing one does.
        for one in due:
            log.info("submission %s is published again, it was set aside: %s", one.submission_id, one.error)
            self.broker.resend(json.loads(one.message))
        with self.database.transaction() as session:
            set_aside_messages.forget(session, due)
        return len(due)
