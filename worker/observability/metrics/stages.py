"""The stages of judging a submission, each of which is timed."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Literal, get_args

#: In the order of their execution.
StageName = Literal["claim", "fetch", "decode", "encode", "score", "record"]
STAGES: Final[tuple[StageName, ...]] = get_args(StageName)

#: Times the body of its context as a stage.
Stage = Callable[[StageName], AbstractContextManager[object]]


def unmeasured(_stage: StageName) -> AbstractContextManager[object]:
    """Time nothing: for commands, which have no metrics."""
    return nullcontext()
