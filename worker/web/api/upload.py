"""Reads `multipart/form-data` uploads; the picture is streamed to disk."""

from typing import Any, Final

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from worker.errors import UndecodablePictureError
from worker.images.sources.uploads import IncomingPicture
from worker.web.api.request_schemas import FORM_FIELDS
from worker.web.http.bodies import body_deadline, chunks
from worker.web.http.problems import ProblemError

PICTURE: Final = "picture"
#: Larger than any valid field.
MAX_FIELD_BYTES: Final = 16 * 1024
#: All of the form except the picture.
FORM_BYTES: Final = 128 * 1024


async def read_form(request: Request, picture: IncomingPicture, max_picture_bytes: int) -> dict[str, str]:
    """Write the form's picture to `picture` and return the other fields.

    ProblemError if the body is not a form, has other fields, or is too large.
    """
    form = _Form(request.headers["Content-Type"], picture)
    async with body_deadline():
        async for chunk in chunks(request, max_picture_bytes + FORM_BYTES):
            # Writing blocks on the disk.
            await run_in_threadpool(form.feed, chunk)
    return form.finish()


class _Form:
    """A form that is being received."""

    def __init__(self, content_type: str, picture: IncomingPicture) -> None:
        _, parameters = parse_options_header(content_type)
        boundary = parameters.get(b"boundary")
        if not boundary:
            raise ProblemError(400, "the Content-Type names no boundary")
        self._picture = picture
        self._fields: dict[str, bytearray] = {}
        self._seen: set[str] = set()
        self._header, self._value, self._name = bytearray(), bytearray(), ""
        self._is_complete = False
        callbacks: Any = {
            "on_part_begin": self._begin_part,
            "on_header_begin": self._begin_header,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._take,
            "on_end": self._end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError:
            raise ProblemError(400, "the boundary is too long") from None

    def feed(self, chunk: bytes) -> None:
        """Parse the next chunk of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise ProblemError(400, "the body is not multipart/form-data") from None
        except UndecodablePictureError as error:
            raise ProblemError(413, error.message) from None

    def finish(self) -> dict[str, str]:
        """Return the fields; ProblemError if something is missing."""
        if not self._is_complete:
            raise ProblemError(400, "the form ends too early")
        if PICTURE not in self._seen:
            raise ProblemError(422, f"the form has no field {PICTURE!r}", hint="curl -F picture=@cat.jpg")
        if self._picture.size == 0:
            raise ProblemError(422, "the picture is empty: 0 bytes")
        try:
            return {name: value.decode() for name, value in self._fields.items()}
        except UnicodeDecodeError:
            raise ProblemError(422, "a field is not UTF-8") from None

    def _begin_part(self) -> None:
        self._name = ""

    def _begin_header(self) -> None:
        self._header, self._value = bytearray(), bytearray()

    def _end_header(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            _, parameters = parse_options_header(bytes(self._value))
            self._name = parameters.get(b"name", b"").decode("utf-8", "replace")

    def _end_headers(self) -> None:
        if self._name not in {PICTURE, *FORM_FIELDS}:
            raise ProblemError(
                422,
                f"unknown field {self._name[:80]!r}",
                hint=f"the fields are {PICTURE}, {', '.join(FORM_FIELDS)}",
            )
        if self._name in self._seen:
            raise ProblemError(422, f"the field {self._name!r} appears twice")
        self._seen.add(self._name)
        if self._name != PICTURE:
            self._fields[self._name] = bytearray()

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._name == PICTURE:
            self._picture.write(data[start:end])
            return
        field = self._fields[self._name]
        field += data[start:end]
        if len(field) > MAX_FIELD_BYTES:
            raise ProblemError(422, f"the field {self._name!r} has more than {MAX_FIELD_BYTES:,} bytes")

    def _end(self) -> None:
        self._is_complete = True
