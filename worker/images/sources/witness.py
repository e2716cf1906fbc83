"""Distinguishes an unreadable picture from an unavailable place, by reading another picture there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

EMPTY: Final = "it is empty, as if it were not mounted or not the right one"
#: An entry of a place that cannot be read by its name.
UNNAMED: Final = ""
ALONE: Final = "it holds no other picture that could show whether the place answers"


@dataclass(slots=True)
class LastRead:
    """The picture that was read last."""

    name: str | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """Reads another picture of a place when one cannot be read."""

    #: Reads the beginning of the picture with this name; raises if that fails.
    peek: Callable[[str], object]
    #: Lists a few entries of the place; raises if it cannot be listed.
    some: Callable[[], Sequence[str]]
    last: LastRead = field(default_factory=LastRead)

    def problem(self, name: str, *, missing: bool = False) -> Exception | None:
        """Return why the place is unavailable; None if only the picture `name` cannot be read.

        If the picture is `missing`, it is enough that the place can be listed.
        """
        known = self.last.name
        if known is not None and known != name and self._failure(known) is None:
            return None
        try:
            found = self.some()
        except Exception as problem:  # noqa: BLE001 - whatever the client raises, the place does not answer
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
