"""Splits ids read from an index into chunks that one statement can look up."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

Item = TypeVar("Item")

_SIZE: Final = 500


def chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Yield the items in order, at most `_SIZE` at a time."""
    for start in range(0, len(items), _SIZE):
        yield items[start : start + _SIZE]
