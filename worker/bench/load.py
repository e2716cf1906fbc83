"""Generates load for a running worker, and reads from the database when each picture is decided."""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import cycle
from pathlib import Path
from subprocess import Popen
from typing import Final

from moderation_client import Client, LocalFile, Submission, new_submission_id
from moderation_client.messages import MAX_SUBMISSIONS

from worker.bench.figures import FullLoad, PacedLoad, PeakMemory, rate_of
from worker.bench.pictures import Pictures
from worker.bench.usage import ProcessTree, idle_seconds, read_tree
from worker.bench.worker_metrics import WorkerMetrics, fetch
from worker.errors import UnavailableError
from worker.stage.stage import Stage
from worker.usecases.moderation.follow_decisions import FollowDecisions
from worker.wiring.sizing import Sizing

#: Nothing is counted in this first share of a load's time: the worker's queue is still filling up.
_WARM_UP: Final = 0.25
#: How often the database is polled under full load, and while latencies are measured.
_POLL_SECONDS, _FAST_POLL_SECONDS = 0.05, 0.004
#: A worker that decides nothing for this long is given up.
_STALL_SECONDS: Final = 90.0
#: A load goes on until this number of decisions, even beyond its time: fewer say nothing.
_LEAST: Final = 4
_MEMORY_EVERY_SECONDS: Final = 1.0
#: The number of files that are kept to be submitted again.
_KEPT: Final = 24

#: Returns the next file to submit.
_NextFile = Callable[[], Path]


@dataclass(frozen=True, slots=True)
class TimedDecision:
    """A decided picture."""

    #: By the monotonic clock: when it was sent, and when its decision was found in the database.
    sent_at: float
    seen_at: float


@dataclass(frozen=True, slots=True)
class _Moment:
    """A reading of all clocks: processor seconds, None if the system does not report them."""

    at: float
    worker: float | None
    decoders: float | None
    sender: float
    idle: float | None


@dataclass
class Load:
    """Sends pictures to one worker, and observes it.

    A load takes longer than its seconds if they are too short for a few pictures. It raises UnavailableError
    if the worker exits or stalls.
    """

    stage: Stage
    process: "Popen[bytes]"
    client: Client
    pictures: Pictures
    tick: Callable[[], None]
    #: The number of decided pictures, and of those among them that could not be judged.
    decided: int = 0
    unjudged: int = 0
    memory: PeakMemory | None = None
    _waiting: dict[str, tuple[Path, float]] = field(default_factory=dict)
    _kept: list[Path] = field(default_factory=list)
    _last_decision: int = 0
    _progress_at: float = field(default_factory=time.monotonic)
    _memory_at: float = 0.0

    def __post_init__(self) -> None:
        """Skip decisions from before."""
        self._last_decision = FollowDecisions(self.stage.database).newest()

    def single(self, seconds: float) -> FullLoad:
        """Keep the worker busy with new pictures, one a message."""
        return self._full(seconds, self._new_file, per_message=1, waiting=self._enough)

    def many(self, seconds: float, rate: float) -> FullLoad:
        """Keep the worker busy with new pictures, each message with about two seconds of work."""
        per_message = max(4, min(MAX_SUBMISSIONS, int(2 * rate)))
        messages = max(2, -(-self._enough // per_message))
        return self._full(seconds, self._new_file, per_message=per_message, waiting=messages * per_message)

    def repeats(self, seconds: float) -> FullLoad:
        """Keep the worker busy with bytes that it has already judged, one a message."""
        files = cycle(self._kept)
        return self._full(seconds, lambda: next(files), per_message=1, waiting=self._enough)

    def paced(self, seconds: float, rate: float) -> PacedLoad:
        """Send new pictures at random moments, `rate` of them a second, and measure the latency of each."""
        gaps = random.Random(0)
        began, metrics, found = time.monotonic(), self._metrics(), list[TimedDecision]()
        next_at, sent = began + gaps.expovariate(rate), 0
        while (now := time.monotonic()) < began + seconds or sent < _LEAST or self._waiting:
            if next_at <= now and (next_at < began + seconds or sent < _LEAST):
                self._send_one(self._new_file())
                next_at, sent = next_at + gaps.expovariate(rate), sent + 1
            found += self._poll()
            time.sleep(max(0.0, min(_FAST_POLL_SECONDS, next_at - time.monotonic())))
        counted = [one for one in found if one.sent_at >= began + _WARM_UP * seconds] or found
        waits = sorted(one.seen_at - one.sent_at for one in counted)
        stages = self._metrics().since(metrics).stages
        return PacedLoad(
            rate=rate,
            pictures=len(waits),
            median_seconds=statistics.median(waits),
            p95_seconds=waits[min(len(waits) - 1, int(0.95 * len(waits)))],
            stages={name: 1000 * one.mean for name, one in stages.items()},
        )

    def drain(self) -> None:
        """Wait until every sent picture is decided."""
        while self._waiting:
            self._poll()
            time.sleep(_POLL_SECONDS)

    def _full(self, seconds: float, next_file: _NextFile, *, per_message: int, waiting: int) -> FullLoad:
        """Keep `waiting` pictures undecided for `seconds`; some are still undecided at the end."""
        found: list[TimedDecision] = []
        warm_at = time.monotonic() + _WARM_UP * seconds
        end = warm_at + (1 - _WARM_UP) * seconds
        self._keep(warm_at, found, next_file, per_message, waiting)
        warm = len(found)
        metrics, before = self._metrics(), self._moment()
        self._keep(end, found, next_file, per_message, waiting, least=warm + _LEAST)
        after = self._moment()
        began, ended = before.at, after.at
        counted = [one.seen_at for one in found if one.seen_at >= began]
        rate = rate_of(counted, began, ended)
        pictures = rate * (ended - began)
        return FullLoad(
            rate=rate,
            pictures=len(counted),
            seconds=ended - began,
            per_message=per_message,
            worker_core_ms=_core_ms(before.worker, after.worker, pictures),
            decoders_core_ms=_core_ms(before.decoders, after.decoders, pictures),
            sender_core_ms=1000 * (after.sender - before.sender) / pictures,
            idle_core_ms=_core_ms(before.idle, after.idle, pictures),
            pictures_a_pass=self._metrics().since(metrics).passes.mean,
        )

    def _keep(  # noqa: PLR0913 - what is sent, how, and until when
        self,
        until: float,
        found: list[TimedDecision],
        next_file: _NextFile,
        per_message: int,
        waiting: int,
        *,
        least: int = 1,
    ) -> None:
        """Keep `waiting` pictures undecided `until` then, and until `least` are `found` decided."""
        while time.monotonic() < until or len(found) < least:
            poll_at = time.monotonic() + _POLL_SECONDS
            while len(self._waiting) + per_message <= waiting and time.monotonic() < poll_at:
                self._send(next_file, per_message)
            found += self._poll()
            time.sleep(_POLL_SECONDS)

    def _send(self, next_file: _NextFile, per_message: int) -> None:
        if per_message == 1:
            self._send_one(next_file())
            return
        files = {new_submission_id(): next_file() for _ in range(per_message)}
        sent_at = time.monotonic()
        self.client.submit_many([Submission(one, LocalFile(file.name)) for one, file in files.items()])
        self._waiting |= {one: (file, sent_at) for one, file in files.items()}

    def _send_one(self, file: Path) -> None:
        sent_at = time.monotonic()
        submission_id = self.client.submit(LocalFile(file.name))
        self._waiting[submission_id] = (file, sent_at)

    def _new_file(self) -> Path:
        picture = self.pictures.next()
        file = self.stage.media / f"{new_submission_id()}{picture.suffix}"
        file.write_bytes(picture.data)
        if len(self._kept) < _KEPT:
            self._kept.append(file)
        return file

    def _poll(self) -> list[TimedDecision]:
        """Return what was decided since the last poll, and delete its files.

        UnavailableError if the worker stalls.
        """
        decided = FollowDecisions(self.stage.database).after(self._last_decision)
        seen_at, found = time.monotonic(), []
        for one in decided:
            self._last_decision = one.id
            self.unjudged += not one.is_judged
            # If a policy is saved during the run, a redelivered picture can be decided twice.
            if sent := self._waiting.pop(one.submission_id, None):
                file, sent_at = sent
                if file not in self._kept:
                    file.unlink()
                found.append(TimedDecision(sent_at, seen_at))
        self.decided += len(found)
        self._require_progress(seen_at, progressed=bool(found) or not self._waiting)
        self.tick()
        return found

    def _require_progress(self, now: float, *, progressed: bool) -> None:
        if progressed:
            self._progress_at = now
        if now >= self._memory_at + _MEMORY_EVERY_SECONDS:
            self._memory_at = now
            self._tree()
        if self.process.poll() is not None:
            raise UnavailableError(f"the worker exited with code {self.process.returncode}{self._log_end()}")
        if now > self._progress_at + _STALL_SECONDS:
            raise UnavailableError(f"the worker decided nothing for {_STALL_SECONDS:g} s{self._log_end()}")

    def _tree(self) -> ProcessTree | None:
        """Read the worker's process tree, and update the peak memory."""
        tree = read_tree(self.process.pid)
        if tree is not None:
            least = self.memory or PeakMemory(0, 0, 0)
            self.memory = PeakMemory(
                max(least.worker_bytes, tree.own_peak_bytes),
                max(least.decoders_bytes, tree.children_peak_bytes),
                max(least.decoders, tree.children),
            )
        return tree

    def _moment(self) -> _Moment:
        tree = self._tree()
        return _Moment(
            at=time.monotonic(),
            worker=tree.own_seconds if tree else None,
            decoders=tree.children_seconds if tree else None,
            sender=time.process_time(),
            idle=idle_seconds(),
        )

    def _metrics(self) -> WorkerMetrics:
        try:
            return fetch(self.stage.settings.metrics_port)
        except (OSError, HTTPException) as problem:
            raise UnavailableError(
                f"the worker's metrics cannot be read: {problem}{self._log_end()}"
            ) from problem

    def _log_end(self) -> str:
        return ":\n" + "\n".join(self.stage.log.read_text(errors="replace").splitlines()[-10:])

    @property
    def _enough(self) -> int:
        """How many undecided pictures keep a worker busy: those in its threads, and the next batch."""
        settings = self.stage.settings
        return Sizing.of(settings).concurrency + settings.batch_size


def _core_ms(before: float | None, after: float | None, pictures: float) -> float | None:
    """Return core-milliseconds a picture."""
    return None if before is None or after is None else 1000 * (after - before) / pictures
