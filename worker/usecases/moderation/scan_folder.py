"""Judges local files without broker or database, concurrently, so that they share passes."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from worker.domain.moderation.decision import decide_undecodable, decide_unreadable
from worker.errors import SourceError, UndecodablePictureError
from worker.images.sources.reader import read_named_file
from worker.policy_files.library import LivePolicy
from worker.usecases.moderation.judge_picture import Judgement, JudgePicture


@dataclass(frozen=True, slots=True)
class ScanFolder:
    """Judge files; nothing is stored."""

    judge_picture: JudgePicture
    #: Files in flight: a batch for each pass, and one that is being decoded.
    concurrency: int

    def __call__(self, live: LivePolicy, files: Sequence[Path]) -> Iterator[tuple[Path, Judgement]]:
        """Yield every file with its judgement, in the order given."""
        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="scan") as pool:
            yield from zip(files, pool.map(lambda file: self._judge(live, file), files), strict=True)

    def _judge(self, live: LivePolicy, file: Path) -> Judgement:
        try:
            return self.judge_picture(live, read_named_file(file, self.judge_picture.decoder.limits))
        except UndecodablePictureError as refusal:
            return Judgement(decide_undecodable(live.policy, refusal))
        except SourceError as problem:
            return Judgement(decide_unreadable(live.policy, problem.message))
