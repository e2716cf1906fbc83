"""The load of one fault: submits pictures as a platform would, and follows them."""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import count

import redis
from faults.oracle import Expectation, Facts, Findings, examine, read_facts
from faults.scene import Scene
from moderation_client import LocalFile, Submission
from moderation_client.callback import Callback
from sqlalchemy import ColumnElement, func, select
from support.deployment import wait_for
from support.pictures import drawing, encoded

from worker.errors import BrokerUnavailableError, DatabaseUnavailableError
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import DecisionRow, SubmissionRow
from worker.usecases.submissions.accept_submissions import AcceptSubmissions

PICTURE = encoded(drawing(96, 72), "PNG")
POLL_SECONDS = 0.3


class Load:
    """Submissions whose ids share a prefix, and their oracle."""

    def __init__(self, scene: Scene, prefix: str, rounds: int = 1) -> None:
        self.scene, self.prefix, self.rounds = scene, prefix, rounds
        self.promised: dict[str, datetime] = {}
        self.bare: set[str] = set()
        self.refused: set[str] = set()
        #: Submissions answered with 503: nothing was promised.
        self.turned_away = 0
        self.callback: Callback | None = None
        #: Remarks below the table.
        self.notes: list[str] = []
        #: When the fault of each round was injected.
        self.injected_at: list[datetime] = []
        self._last_injection = time.monotonic()
        self._numbers = count()

    # Submitting.

    def submissions(self, number: int, mark: str = "plain", data: bytes = PICTURE) -> list[Submission]:
        """Return submissions of pictures with distinct bytes; `mark` is for `worker_process`."""
        made = []
        for _ in range(number):
            submission_id = f"{self.prefix}.{mark}.{next(self._numbers)}"
            # Any bytes may follow the end of a picture, but the poison mark must stay last.
            name = self.scene.deployment.save_picture(f"{submission_id}.png", _distinct(data, submission_id))
            made.append(Submission(submission_id, LocalFile(name), callback=self.callback))
        return made

    def accept(self, number: int, mark: str = "plain", data: bytes = PICTURE) -> list[str]:
        """Accept pictures as HTTP does; return the ids that are promised."""
        return self.accept_all(self.submissions(number, mark, data))

    def accept_all(
        self, submissions: Sequence[Submission], accept: AcceptSubmissions | None = None
    ) -> list[str]:
        now = utc_now()
        try:
            (accept or self.scene.accept)(submissions)
        except DatabaseUnavailableError:
            self.turned_away += len(submissions)
            return []
        self.promised |= {one.id: now for one in submissions}
        return [one.id for one in submissions]

    def send(self, number: int, mark: str = "plain") -> list[str]:
        """Enqueue pictures as bare messages, which Celery on Redis may lose."""
        sent = []
        for one in self.submissions(number, mark):
            with suppress(BrokerUnavailableError):
                self.scene.client.submit(one.source, id=one.id, callback=one.callback)
                sent.append(one.id)
        self.bare.update(sent)
        return sent

    def enqueue(self, submissions: Sequence[Submission]) -> None:
        """Enqueue pictures as bare messages, half of them in one message.

        Only while nothing is killed, so that none may be lost.
        """
        middle = len(submissions) // 2
        self.scene.client.submit_many(submissions[:middle])
        for one in submissions[middle:]:
            self.scene.client.submit(one.source, id=one.id, policy=one.policy, callback=one.callback)
        self.promised |= {one.id: utc_now() for one in submissions}

    @contextmanager
    def flowing(self, per_second: float = 20, *, bare: bool = False) -> Iterator[None]:
        """Submit pictures while the block runs, a few at a time; with `bare`, some as bare messages."""
        ended = threading.Event()

        def flow() -> None:
            dice = random.Random(self.prefix)
            while not ended.is_set():
                size = dice.choice([1, 1, 2, 3, 8])
                self.accept(size)
                if bare:
                    self.send(1)
                ended.wait((size + bare) / per_second)

        thread = threading.Thread(target=flow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    # During the fault.

    def mark_injection(self) -> None:
        """Note that the fault is injected now."""
        self.injected_at.append(utc_now())
        self._last_injection = time.monotonic()

    def wait_for_decisions(self, number: int) -> None:
        """Wait for this number of decisions: the workers are then busy."""
        wait_for(lambda: self.count_decisions() >= number, what=f"{number} decisions on {self.prefix}")

    def count_decisions(self) -> int:
        ours = DecisionRow.submission_id.startswith(self.prefix, autoescape=True)
        with self.scene.deployment.database.reading() as session:
            return session.scalar(select(func.count()).where(ours)) or 0

    def count_decided(self, submissions: Sequence[Submission]) -> int:
        """Return the number of these that are decided."""
        ids = [one.id for one in submissions]
        query = select(func.count(DecisionRow.submission_id.distinct()))
        with self.scene.deployment.database.reading() as session:
            return session.scalar(query.where(DecisionRow.submission_id.in_(ids))) or 0

    # Results.

    def count_rows(self, condition: ColumnElement[bool]) -> int:
        """Return the number of ledger rows of this load that satisfy the condition."""
        ours = SubmissionRow.id.startswith(f"{self.prefix}.", autoescape=True)
        with self.scene.deployment.database.reading() as session:
            return session.scalar(select(func.count()).where(ours, condition)) or 0

    @property
    def expectation(self) -> Expectation:
        return Expectation(notifies=self.callback is not None, refused=self.refused, bare=self.bare)

    def in_redis(self) -> tuple[int, int]:
        """Return the number of messages of this load that are queued, and of those unacknowledged."""
        queued, unacknowledged = self.scene.messages()
        return _count_with(self.prefix, queued), _count_with(self.prefix, unacknowledged)

    def facts(self, *, with_redis: bool = False) -> Facts | None:
        """Return the current state; None while Redis or the database is unavailable."""
        try:
            queued, unacknowledged = self.in_redis() if with_redis else (0, 0)
            with self.scene.deployment.database.reading() as session:
                return read_facts(
                    session, f"{self.prefix}.", self.promised, queued=queued, unacknowledged=unacknowledged
                )
        except (redis.RedisError, DatabaseUnavailableError):
            return None

    def wait_for_oracle(self, patience_seconds: float) -> tuple[Findings, float]:
        """Poll until the oracle holds for the database; return its findings, and the seconds to heal."""
        deadline = time.monotonic() + patience_seconds
        findings = Findings(stuck=["the database does not answer"])
        while time.monotonic() < deadline:
            if facts := self.facts():
                findings = examine(facts, self.expectation)
                if findings.hold:
                    break
            time.sleep(POLL_SECONDS)
        return findings, time.monotonic() - self._last_injection

    def slowest_round(self) -> float:
        """Return the longest time from an injection until everything promised before the next is decided."""
        with self.scene.deployment.database.reading() as session:
            query = select(DecisionRow.submission_id, DecisionRow.created_at)
            times = dict(session.execute(query).all())
        slowest = 0.0
        for injected, following in zip(self.injected_at, [*self.injected_at[1:], utc_now()], strict=True):
            decided = [times[one] for one, promised in self.promised.items() if promised <= following]
            slowest = max([slowest, *((made - injected).total_seconds() for made in decided)])
        return slowest


def _count_with(prefix: str, messages: Sequence[Sequence[str]]) -> int:
    return sum(any(one.startswith(f"{prefix}.") for one in ids) for ids in messages)


def _distinct(data: bytes, submission_id: str) -> bytes:
    head, mark, poison = data.rpartition(b"poison:")
    return (head or poison if mark else data) + submission_id.encode() + (mark + poison if mark else b"")
