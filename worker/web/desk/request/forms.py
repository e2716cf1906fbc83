"""Parses the URL-encoded forms that the desk's pages send."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from fastapi import Request

from worker.web.http.bodies import body_deadline, chunks, media_type, unsupported
from worker.web.http.problems import ProblemError

_URLENCODED: Final = "application/x-www-form-urlencoded"
_MAX_BYTES: Final = 64 * 1024
_MAX_FIELDS: Final = 400


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form; each may have several values."""

    fields: dict[str, list[str]]

    def get(self, name: str) -> str:
        """Return the first value of a field, empty if it is missing."""
        return next(iter(self.fields.get(name, ())), "")

    def all(self, name: str) -> list[str]:
        """Return every value of a field."""
        return self.fields.get(name, [])


async def read_form(request: Request) -> Form:
    """Parse a form; ProblemError if it is invalid."""
    if media_type(request) != _URLENCODED:
        raise unsupported(_URLENCODED)
    async with body_deadline():
        body = b"".join([chunk async for chunk in chunks(request, _MAX_BYTES)])
    try:
        fields = parse_qs(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except ValueError:
        raise ProblemError(400, "the form cannot be read") from None
    if any("\0" in value for values in fields.values() for value in values):
        raise ProblemError(400, "the form has a NUL character")
    return Form(fields)
