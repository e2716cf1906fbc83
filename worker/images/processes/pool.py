"""Decodes pictures in a pool of child processes, so that a malicious picture crashes at worst its own child.

A thread with a picture takes an idle child, uses it exclusively and waits for its answer until a deadline.
Children share no queue, lock or thread. Libraries were tried: if a child dies, `concurrent.futures` fails all
pictures, and so does `pebble` 5.2 if the child was idle.
"""

import hashlib
import json
import logging
import re
import signal
from contextlib import suppress
from dataclasses import asdict, dataclass
from threading import Condition
from typing import Any, Final

import numpy as np

from worker import child_python
from worker.concurrency.processors import usable_processors
from worker.domain.moderation.picture import PictureFacts
from worker.domain.moderation.view import View, Views
from worker.errors import (
    ResourceUnavailableError,
    UnavailableError,
    UndecodableKind,
    UndecodablePictureError,
)
from worker.images.decoding.sampling import frame_seed
from worker.images.limits import Limits
from worker.images.parts import LEAST_PARTS, MOST_PARTS, MOST_VIEWS, Parts
from worker.images.preprocessing import Pixels, Preprocessing
from worker.images.processes.child_process import RESOURCE, ChildProcess
from worker.images.processes.messages import BrokenMessageError
from worker.images.sources.local_folder import SHORTAGES

log = logging.getLogger(__name__)

#: A child is replaced after this number of pictures, so that leaks in decoders stay small.
PICTURES_A_CHILD: Final = 1000
_MOST_BY_DEFAULT: Final = 4
_NUMBERS: Final = ("width", "height", "frames", "pages")
_FORMAT: Final = re.compile(r"[A-Z]{1,8}", re.ASCII)
_START_HINT: Final = "starting one takes a process, memory, and disk space for a temporary file"
_CHILD_MODULE: Final = "worker.images.processes.child"


@dataclass(frozen=True, slots=True)
class PreparedPicture:
    """A decoded picture, prepared for a model."""

    facts: PictureFacts
    #: Shape (views, height, width, 3), in the order of `views`.
    pixels: Pixels

    @property
    def views(self) -> Views:
        """What each of the pixel arrays shows."""
        return self.facts.views(len(self.pixels))

    def showing(self, view: View) -> Pixels:
        """Return the pixels of a view, which may come from another preparation of the same picture."""
        pixels: Pixels = self.pixels[self.views.index(view)]
        return pixels


class DecoderPool:
    """A pool of decoding child processes; safe to call from any number of threads.

    `processes` 0 means one for each processor, at most four. A picture is refused if decoding it takes longer
    than `seconds` or needs more address space than `memory_bytes`. `lazy` starts each child when it is first
    needed. `frame_key` is the secret by which frames of long animations are drawn; without one an uploader
    can compute which frames are judged.
    """

    def __init__(  # noqa: PLR0913 - all but one by name
        self,
        limits: Limits,
        *,
        processes: int,
        seconds: float,
        memory_bytes: int,
        child_module: str = _CHILD_MODULE,
        lazy: bool = False,
        frame_key: bytes = b"",
    ) -> None:
        self.limits = limits
        self._frame_key = frame_key
        self._seconds, self._memory_bytes = seconds, memory_bytes
        settings = {"limits": asdict(limits), "seconds": seconds, "memory_bytes": memory_bytes}
        self._command = child_python.command(child_module, json.dumps(settings))
        self.processes = processes or min(_MOST_BY_DEFAULT, usable_processors())
        self._changed = Condition()
        self._closed = False
        self._children: set[ChildProcess] = set()
        # None stands for a child that has yet to be started.
        self._idle: list[ChildProcess | None] = [None] * self.processes
        if not lazy:
            self._start_all()

    def decode(
        self,
        data: bytes,
        preprocessing: Preprocessing,
        *,
        scaled: bool = True,
        most_parts: int = MOST_PARTS,
    ) -> PreparedPicture:
        """Decode a picture and scale it to the size that its model expects.

        `scaled` lets a large JPEG be decoded at a fraction of its size, which is several times faster and
        changes its embedding a little. A wide or tall picture has several parts; with `most_parts` 1 it is
        cropped at its centre, as the model's own image processor does. UndecodablePictureError if it cannot
        be judged, also if it crashed its decoder; UnavailableError if there is no decoder.
        """
        self.limits.check_bytes(len(data))
        child = self._take()
        try:
            seed = frame_seed(self._frame_key, data).hex()
            answer = self._ask(child, data, _Request(preprocessing, scaled, most_parts, seed))
        except BaseException:
            self._discard(child)
            raise
        if child.pictures < PICTURES_A_CHILD:
            self._give_back(child)
        else:
            self._discard(child)
        if isinstance(answer, UndecodablePictureError):
            raise answer
        return answer

    def wait_until_ready(self) -> None:
        """Block until every child is ready to decode; UnavailableError if one does not start."""
        children: list[ChildProcess] = []
        try:
            while len(children) < self.processes:
                children.append(self._take())
        finally:
            for child in children:
                self._give_back(child)

    def close(self) -> None:
        """Stop every child; threads waiting for one get UnavailableError. Idempotent."""
        with self._changed:
            self._closed = True
            idle, busy = [child for child in self._idle if child], set(self._children)
            self._idle.clear()
            self._changed.notify_all()
        for child in idle:
            self._end(child)
        for child in busy.difference(idle):
            # The thread that uses it gets EOFError, and discards it.
            child.stop()

    def _start_all(self) -> None:
        """Start every child without waiting; one that fails to start is started again when it is needed."""
        with suppress(OSError):
            for place in range(len(self._idle)):
                self._idle[place] = self._start()

    def _start(self) -> ChildProcess:
        child = ChildProcess(self._command)
        with self._changed:
            self._children.add(child)
            closed = self._closed
        if closed:
            self._end(child)
            raise _closed()
        return child

    def _take(self) -> ChildProcess:
        """Wait for an idle child, and return it for exclusive use once it is ready."""
        with self._changed:
            self._changed.wait_for(lambda: self._idle or self._closed)
            if self._closed:
                raise _closed()
            child = self._idle.pop()
        try:
            # A child that died while it was idle is replaced: no picture is to blame.
            if child is None or not child.answers():
                child = self._replace(child)
            child.wait_until_ready()
        except BaseException:
            self._discard(child)
            raise
        return child

    def _replace(self, dead: ChildProcess | None) -> ChildProcess:
        if dead is not None:
            self._end(dead)
        try:
            return self._start()
        except OSError as problem:
            raise ResourceUnavailableError(
                RESOURCE, f"a decoding process does not start: {problem}", hint=_START_HINT
            ) from problem

    def _give_back(self, child: ChildProcess | None) -> None:
        with self._changed:
            self._idle.append(child)
            self._changed.notify()

    def _discard(self, child: ChildProcess | None) -> None:
        """Stop a child and start a replacement."""
        if child is not None:
            self._end(child)
        fresh = None
        with suppress(OSError, UnavailableError):
            fresh = None if self._closed else self._start()
        self._give_back(fresh)

    def _end(self, child: ChildProcess) -> None:
        with self._changed:
            self._children.discard(child)
        child.close()

    def _ask(
        self, child: ChildProcess, data: bytes, request: "_Request"
    ) -> PreparedPicture | UndecodablePictureError:
        """Return the prepared picture, or the child's refusal of it.

        Raises UndecodablePictureError if the child must be replaced afterwards.
        """
        try:
            most_views = max(MOST_VIEWS, LEAST_PARTS * 2 * self.limits.max_frames)
            most_bytes = most_views * request.preprocessing.most_bytes
            header, pixels = child.ask(asdict(request), data, most_bytes, self._seconds)
            if "refusal" in header:
                reason = _printable(str(header["refusal"]))
                return UndecodablePictureError(reason, kind=UndecodableKind(header["kind"]))
            if "out_of_memory" not in header:
                return _prepared(data, header, pixels, self.limits, request)
        except TimeoutError:
            raise self._refused(child, self._too_slow(), UndecodableKind.TOO_LARGE) from None
        except (EOFError, OSError) as problem:
            if getattr(problem, "errno", None) in SHORTAGES:
                raise ResourceUnavailableError(RESOURCE, f"no decoder can be reached: {problem}") from problem
            raise self._refused(child, *self._exit_reason(child)) from None
        except (BrokenMessageError, ArithmeticError, LookupError, TypeError, ValueError):
            raise self._refused(child, "its decoder sent an invalid answer") from None
        raise self._refused(
            child,
            f"decoding it needed more memory than {self._memory_bytes / 2**20:,.0f} MiB",
            UndecodableKind.TOO_LARGE,
        )

    def _refused(
        self, child: ChildProcess, why: str, kind: UndecodableKind = UndecodableKind.BROKEN
    ) -> UndecodablePictureError | UnavailableError:
        if self._closed:
            return _closed()
        log.info("decoder %d is replaced: %s", child.pid, why)
        return UndecodablePictureError(f"the picture was refused: {why}", kind=kind)

    def _exit_reason(self, child: ChildProcess) -> tuple[str, UndecodableKind]:
        code = child.exit_code()
        if code == -signal.SIGXCPU:
            return self._too_slow(), UndecodableKind.TOO_LARGE
        how = f"crashed the decoder (signal {-code})" if code < 0 else f"ended the decoder (exit {code})"
        return f"it {how}", UndecodableKind.BROKEN

    def _too_slow(self) -> str:
        return f"decoding it took more than {self._seconds:g} s"


@dataclass(frozen=True, slots=True)
class _Request:
    """The request to decode a picture, as sent to a child."""

    preprocessing: Preprocessing
    scaled: bool
    most_parts: int
    #: In hexadecimal.
    seed: str


def _prepared(
    data: bytes, header: dict[str, Any], pixels: bytearray, limits: Limits, request: _Request
) -> PreparedPicture:
    """Validate a child's answer and return the prepared picture; any error means that it is invalid.

    The parent computes the digest, so that a compromised child can only lie about its own picture. The parts
    follow from the child's answer.
    """
    form, width, height, frames, pages = header["format"], *(int(header[key]) for key in _NUMBERS)
    sides = 0 < width <= limits.max_side and 0 < height <= limits.max_side
    if not sides or not 0 < frames <= limits.max_frames or pages not in {1, 2} or not _FORMAT.fullmatch(form):
        raise BrokenMessageError
    time_share = float(header["time_share"])
    if not 0 <= time_share <= 1:
        raise BrokenMessageError
    preprocessing = request.preprocessing
    parts = Parts.of((width, height), preprocessing, shown=frames * pages, most=request.most_parts)
    sha256 = hashlib.sha256(data).hexdigest()
    facts = PictureFacts(sha256, form, width, height, frames, parts.count, parts.area_share, time_share)
    count, rows, columns, _ = header["shape"]
    if not preprocessing.makes(columns, rows) or facts.views(count).pages != pages:
        raise BrokenMessageError
    return PreparedPicture(facts, np.frombuffer(pixels, np.uint8).reshape(count, rows, columns, 3))


def _printable(text: str) -> str:
    """Replace what a database, a log or a terminal cannot take: `text` may quote the picture's bytes."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _closed() -> UnavailableError:
    return UnavailableError("the decoders are being shut down", hint="try again with another worker")
