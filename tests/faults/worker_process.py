"""`moderate worker` with fault injection: the id of a submission can crash or delay its worker.

The second part of an id such as `r3.die-before-commit-1.17` names a moment, and how often the fault occurs.
The service has no code for this: its functions are wrapped here, before it starts.
"""

import functools
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from worker.__main__ import main
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.images.processes.pool import DecoderPool
from worker.network.address_guard import AddressGuard
from worker.usecases.moderation.moderate_image import ModerateImage
from worker.usecases.moderation.record_decisions import RecordDecisions
from worker.wiring import components, notifications

#: Names the folder that counts how often a fault has occurred: the process that counts is about to die.
NOTES = "FAULTS_NOTES"
#: A picture of this colour raises MemoryError in the model.
TOO_MUCH = (255, 0, 255)

#: Makes 127.0.0.1 a public address to which every name resolves.
ANYWHERE: dict[str, Any] = {
    "resolve": lambda _host, _port: ["127.0.0.1"],
    "what_is_special": lambda _address: "",
    "ports": frozenset(range(1, 2**16)),
}

_MARK = re.compile(r"(?P<moment>[a-z-]+)-(?P<number>\d+)")


def wrap() -> None:
    """Wrap every function at which a worker may crash."""
    # The platform of the tests is on loopback.
    components.AddressGuard = notifications.AddressGuard = functools.partial(AddressGuard, **ANYWHERE)  # type: ignore[assignment]
    components.DecoderPool = functools.partial(DecoderPool, child_module="support.poisoned_child")  # type: ignore[assignment]
    _wrap(ModerateImage, "_fetch_and_judge", before=lambda submission, *_: _crash("die-judging", submission))
    _wrap(ModerateImage, "_fetch_and_judge", before=lambda submission, *_: _sleep(submission))
    _wrap(RecordDecisions, "_follow_up", after=_crash_before_commit)
    _wrap(
        ModerateImage, "_record_decision", after=lambda submission, *_: _crash("die-after-commit", submission)
    )
    _wrap(TransformersEncoder, "encode_images", before=_run_out_of_memory)


def _wrap(owner: Any, name: str, *, before: Any = None, after: Any = None) -> None:
    inner: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(inner)
    def wrapped(self: Any, *arguments: Any, **options: Any) -> Any:
        if before:
            before(*arguments)
        result = inner(self, *arguments, **options)
        if after:
            after(*arguments)
        return result

    setattr(owner, name, wrapped)


def _crash(moment: str, submission: Any) -> None:
    """Kill this process if the submission asks for it and has not reached its number of crashes."""
    mark = _mark_of(submission.id)
    if mark and mark["moment"] == moment and _is_left(submission.id, int(mark["number"])):
        os.kill(os.getpid(), signal.SIGKILL)


def _crash_before_commit(_session: Any, made: Any) -> None:
    for judged, _decision_id in made:
        _crash("die-before-commit", judged.submission)


def _sleep(submission: Any) -> None:
    mark = _mark_of(submission.id)
    if mark and mark["moment"] == "slow":
        Path(os.environ[NOTES], f"{submission.id}.{time.time_ns()}").touch()
        time.sleep(int(mark["number"]))


def _run_out_of_memory(images: Any) -> None:
    if any((np.asarray(image).reshape(-1, 3) == TOO_MUCH).all() for image in images):
        raise MemoryError(f"no room for {len(images)} pictures")


def _mark_of(submission_id: str) -> "re.Match[str] | None":
    parts = submission_id.split(".")
    return _MARK.fullmatch(parts[1]) if len(parts) == 3 else None


def _is_left(submission_id: str, times: int) -> bool:
    for n in range(times):
        with suppress(FileExistsError):
            Path(os.environ[NOTES], f"{submission_id}.{n}").touch(exist_ok=False)
            return True
    return False


if __name__ == "__main__":
    wrap()
    sys.argv = ["moderate", "worker", *sys.argv[1:]]
    main()
