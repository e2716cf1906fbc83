"""Chooses the concurrency of a worker process to fit its processors."""

from dataclasses import dataclass
from typing import Final, Self

from worker.concurrency.processors import usable_processors
from worker.settings import Settings

#: Each further pass would need another batch in flight; with eight processors, a pass has two threads.
MOST_PASSES: Final = 4
#: The maximum of the setting: each job in flight takes a thread and a picture's bytes.
MOST_IN_FLIGHT: Final = 1024


@dataclass(frozen=True, slots=True)
class Sizing:
    """Concurrency of a worker process; a setting of 0 is derived from the processors."""

    #: Concurrent passes through the model.
    passes: int
    #: Threads of each pass.
    torch_threads: int
    #: Jobs in flight: a batch for each pass, and one that is being fetched, decoded or recorded.
    concurrency: int

    @classmethod
    def of(cls, settings: Settings, processors: int | None = None) -> Self:
        """Return the sizing for this number of processors; None means those of this process."""
        processors = processors or usable_processors()
        threads = settings.torch_threads or max(1, processors // (settings.passes or MOST_PASSES))
        passes = settings.passes or min(MOST_PASSES, max(1, processors // threads))
        concurrency = settings.concurrency or min(MOST_IN_FLIGHT, settings.batch_size * (passes + 1))
        return cls(passes, threads, concurrency)
