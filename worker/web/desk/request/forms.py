"""Reads the forms that the desk's pages send: small, and of one kind alone."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from fastapi import Request

from worker.web.http.bodies import chunks, in_time, media_type, unsupported
from worker.web.http.problems import ProblemError

_URLENCODED: Final = "application/x-www-form-urlencoded"
_MAX_BYTES: Final = 64 * 1024
_MAX_FIELDS: Final = 400


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form; each may be there several times."""

    fields: dict[str, list[str]]

    def get(self, name: str) -> str:
        """Return the first value of a field, empty where there is none."""
        return next(iter(self.fields.get(name, ())), "")

    def all(self, name: str) -> list[str]:
        """Return every value of a field."""
        return self.fields.get(name, [])


async def read_form(request: Request) -> Form:
    """Return what a form says; ProblemError where it is none of ours."""
    if media_type(request) != _URLENCODED:
        raise unsupported(_URLENCODED)
    async with in_time():
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
