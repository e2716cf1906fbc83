"""Tells a failure of one picture from one of the place that it lies in, by reading another picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

EMPTY: Final = "there is nothing in it, as if it were not mounted or not the right one"
#: Something that lies in a place and cannot be read by a name.
UNNAMED: Final = ""
ALONE: Final = "it holds no other picture that could show whether the place answers"


@dataclass(slots=True)
class LastRead:
    """The picture that was read last."""

    name: str | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """Reads another picture of a place when one cannot be read."""

    #: Reads a little of the picture with this name; raises if that fails.
    peek: Callable[[str], object]
    #: Names a few of what lies there; raises if that cannot be listed.
    some: Callable[[], Sequence[str]]
    memory: LastRead = field(default_factory=LastRead)

    def problem(self, name: str, *, missing: bool = False) -> Exception | None:
        """Return why the place is unavailable; None if only the picture `name` cannot be read.

        Of a place that can be listed, a `missing` picture needs no other one to be read.
        """
        known = self.memory.name
        if known is not None and known != name and self._failure(known) is None:
            return None
        try:
            found = self.some()
        except Exception as problem:  # noqa: BLE001 - whatever a client raises, the place does not answer
            return problem
        if not found:
            return FileNotFoundError(EMPTY)
        if missing:
            return None
        other = next((one for one in found if one not in {name, UNNAMED}), None)
        return FileNotFoundError(ALONE) if other is None else self._failure(other)

    def _failure(self, name: str) -> Exception | None:
        try:
            self.peek(name)
        except Exception as problem:  # noqa: BLE001 - as above
            return problem
        return None
