"""Draws shares of a whole as one bar; signs distinguish them without colour."""

from collections.abc import Sequence
from typing import Final

from rich.text import Text

#: A sign and a colour for each share, in order.
_SIGNS: Final = "█▓▒░▚▪·"
_PLAIN_SIGNS: Final = "#=+:%o."
_STYLES: Final = ("cyan", "magenta", "yellow", "green", "blue", "red", "dim")


def cells(amounts: Sequence[float], width: int) -> list[int]:
    """Distribute `width` cells in proportion to the amounts; negative amounts get 0."""
    amounts = [max(0.0, amount) for amount in amounts]
    whole = sum(amounts)
    if not whole:
        return [0] * len(amounts)
    exact = [amount * width / whole for amount in amounts]
    shared = [int(share) for share in exact]
    # The remainder goes to the shares that lost most by rounding.
    losers = sorted(range(len(exact)), key=lambda place: shared[place] - exact[place])
    for place in losers[: width - sum(shared)]:
        shared[place] += 1
    return shared


def bar(amounts: Sequence[float], width: int, encoding: str) -> Text:
    """Return a bar of at most seven amounts."""
    return Text.assemble(
        *(
            (sign(place, encoding).plain * count, _STYLES[place])
            for place, count in enumerate(cells(amounts, width))
        )
    )


def sign(place: int, encoding: str) -> Text:
    """Return the sign of the amount at this place, for a legend."""
    signs = _SIGNS if encoding.lower().replace("-", "").startswith("utf") else _PLAIN_SIGNS
    return Text(signs[place], _STYLES[place])
