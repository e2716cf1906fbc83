"""The stages of judging one submission, whose times are told one by one."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Literal, get_args

#: In the order in which a submission goes through them.
StageName = Literal["claim", "fetch", "decode", "encode", "score", "record"]
STAGES: Final[tuple[StageName, ...]] = get_args(StageName)

#: Measures what happens within its context as a stage.
Stage = Callable[[StageName], AbstractContextManager[object]]


def unmeasured(_stage: StageName) -> AbstractContextManager[object]:
    """Measure nothing: for commands, whose times nobody fetches."""
    return nullcontext()
