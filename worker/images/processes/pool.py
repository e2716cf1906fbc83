"""Decodes pictures in child processes, so that a hostile one ends a child at worst, and only its own.

A thread that has a picture takes an idle child, talks to it alone and waits until a deadline; there is no
shared queue, lock or thread between children. Libraries were tried: `concurrent.futures` gives all pictures
up where one child dies, and so does `pebble` 5.2 where the child that dies was idle.
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
from worker.images.decoding.seeds import frame_seed
from worker.images.limits import Limits
from worker.images.parts import LEAST_PARTS, MOST_PARTS, MOST_VIEWS, Parts
from worker.images.preprocessing import Pixels, Preprocessing
from worker.images.processes.child_process import RESOURCE, ChildProcess
from worker.images.processes.messages import BrokenMessageError
from worker.images.sources.local_folder import SHORTAGES

log = logging.getLogger(__name__)

#: So many pictures, and a child is replaced: leaks in decoders stay small.
PICTURES_A_CHILD: Final = 1000
_MOST_BY_DEFAULT: Final = 4
_NUMBERS: Final = ("width", "height", "frames", "pages")
_FORMAT: Final = re.compile(r"[A-Z]{1,8}", re.ASCII)
_ROOM: Final = "it needs a process, memory, and room for a temporary file"
_CHILD_MODULE: Final = "worker.images.processes.child"


@dataclass(frozen=True, slots=True)
class PreparedPicture:
    """A decoded picture as its model wants it."""

    facts: PictureFacts
    #: Shape (views, height, width, 3), in the order of `views`.
    pixels: Pixels

    @property
    def views(self) -> Views:
        """What each of the prepared pictures shows."""
        return self.facts.views(len(self.pixels))

    def showing(self, view: View) -> Pixels:
        """Return the pixels that show what a view does, though that may be of another preparation."""
        pixels: Pixels = self.pixels[self.views.index(view)]
        return pixels


class DecoderPool:
    """Child processes that decode; call it from as many threads as you like, each waits for its own picture.

    `processes` 0 means as many as there are processors, but no more than four. A picture that takes longer
    than `seconds`, or its child more address space than `memory_bytes`, is refused. `lazy` starts each child
    when it is needed first. `frame_key` is the secret by which frames of long animations are drawn; without
    one an uploader can compute which.
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
        # Of an empty place the child has yet to be started.
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
        """Decode a picture and bring it to the size its model wants.

        `scaled` lets a large JPEG be decoded at a fraction of its size, which is several times faster and
        moves its embedding a little. A wide or tall picture has several parts; with `most_parts` 1 it is
        cropped at its centre, as the model's own image processor does. UndecodablePictureError if it is no
        picture we judge, whatever it did to its decoder; UnavailableError if there is no decoder.
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
        """Return once every child can decode at once; UnavailableError where one does not start."""
        children: list[ChildProcess] = []
        try:
            while len(children) < self.processes:
                children.append(self._take())
        finally:
            for child in children:
                self._give_back(child)

    def close(self) -> None:
        """End every child; who waits for one gets UnavailableError. Closing twice is closing."""
        with self._changed:
            self._closed = True
            idle, busy = [child for child in self._idle if child], set(self._children)
            self._idle.clear()
            self._changed.notify_all()
        for child in idle:
            self._end(child)
        for child in busy.difference(idle):
            # Whoever talks to it notices, and clears up.
            child.stop()

    def _start_all(self) -> None:
        """Start every child without waiting for any; one that does not start is started when it is needed."""
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
        """Return a child that is ready and nobody else's; wait until there is one."""
        with self._changed:
            self._changed.wait_for(lambda: self._idle or self._closed)
            if self._closed:
                raise _closed()
            child = self._idle.pop()
        try:
            # One that died while it had nothing to do is no picture's fault.
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
                RESOURCE, f"a decoding process does not start: {problem}", hint=_ROOM
            ) from problem

    def _give_back(self, child: ChildProcess | None) -> None:
        with self._changed:
            self._idle.append(child)
            self._changed.notify()

    def _discard(self, child: ChildProcess | None) -> None:
        """End a child and let another take its place."""
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
        """Return what a child made of a picture, or why it refuses it.

        UndecodablePictureError where the child cannot go on after it.
        """
        try:
            most_views = max(MOST_VIEWS, LEAST_PARTS * 2 * self.limits.max_frames)
            most_bytes = most_views * request.preprocessing.most_bytes
            header, pixels = child.ask(asdict(request), data, most_bytes, self._seconds)
            if "refusal" in header:
                reason = _in_plain_characters(str(header["refusal"]))
                return UndecodablePictureError(reason, kind=UndecodableKind(header["kind"]))
            if "out_of_memory" not in header:
                return _prepared(data, header, pixels, self.limits, request)
        except TimeoutError:
            raise self._refused(child, self._too_slow(), UndecodableKind.TOO_LARGE) from None
        except (EOFError, OSError) as problem:
            if getattr(problem, "errno", None) in SHORTAGES:
                raise ResourceUnavailableError(RESOURCE, f"no decoder can be asked: {problem}") from problem
            raise self._refused(child, *self._how_it_ended(child)) from None
        except (BrokenMessageError, ArithmeticError, LookupError, TypeError, ValueError):
            raise self._refused(child, "its decoder gave an answer that makes no sense") from None
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

    def _how_it_ended(self, child: ChildProcess) -> tuple[str, UndecodableKind]:
        code = child.exit_code()
        if code == -signal.SIGXCPU:
            return self._too_slow(), UndecodableKind.TOO_LARGE
        how = f"crashed the decoder (signal {-code})" if code < 0 else f"ended the decoder (exit {code})"
        return f"it {how}", UndecodableKind.BROKEN

    def _too_slow(self) -> str:
        return f"decoding it took more than {self._seconds:g} s"


@dataclass(frozen=True, slots=True)
class _Request:
    """What a child is asked to make of a picture."""

    preprocessing: Preprocessing
    scaled: bool
    most_parts: int
    #: In hexadecimal.
    seed: str


def _prepared(
    data: bytes, header: dict[str, Any], pixels: bytearray, limits: Limits, request: _Request
) -> PreparedPicture:
    """Return what a child made of a picture; an error of any kind if it makes no sense.

    The digest is ours, so that a child that was taken over cannot speak of another picture than its own. Its
    parts follow from what it says.
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


def _in_plain_characters(text: str) -> str:
    """Return `text` so that a database, a log and a terminal take it: it may quote the picture's bytes."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _closed() -> UnavailableError:
    return UnavailableError("the decoders are being shut down", hint="try again with another worker")
