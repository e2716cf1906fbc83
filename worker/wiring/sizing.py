"""How much goes on at once in a worker process: chosen together for the processors at hand."""

from dataclasses import dataclass
from typing import Final, Self

from worker.concurrency.processors import usable_processors
from worker.settings import Settings

#: More passes would each need a batch of their own in hand; of eight processors two share in each pass.
MOST_PASSES: Final = 4
#: As of the setting: each job in hand is a thread, and a picture's bytes.
MOST_IN_HAND: Final = 1024


@dataclass(frozen=True, slots=True)
class Sizing:
    """How much goes on at once; whatever a setting leaves at 0 follows from the processors."""

    #: Passes through the model at once.
    passes: int
    #: Threads of each.
    torch_threads: int
    #: Jobs in hand: a batch in each pass, and one that is fetched, decoded and recorded meanwhile.
    concurrency: int

    @classmethod
    def of(cls, settings: Settings, processors: int | None = None) -> Self:
        """Return what suits the settings, on so many processors; None means those of this process."""
        processors = processors or usable_processors()
        threads = settings.torch_threads or max(1, processors // (settings.passes or MOST_PASSES))
        passes = settings.passes or min(MOST_PASSES, max(1, processors // threads))
        concurrency = settings.concurrency or min(MOST_IN_HAND, settings.batch_size * (passes + 1))
        return cls(passes, threads, concurrency)
