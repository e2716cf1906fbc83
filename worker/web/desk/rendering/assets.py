"""The desk's style sheet, script and icon, read once and served under URLs that contain their digest."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from worker.web.http.problems import ProblemError

router = APIRouter()

_FOLDER: Final = Path(__file__).parent / "static"
_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class _Asset:
    data: bytes
    media_type: str

    @property
    def version(self) -> str:
        return hashlib.sha256(self.data).hexdigest()[:12]


#: By name; no request reads another file.
_ASSETS: Final = {
    file.name: _Asset(file.read_bytes(), _MEDIA_TYPES[file.suffix])
    for file in sorted(_FOLDER.iterdir())
    if file.suffix in _MEDIA_TYPES
}


def address(name: str) -> str:
    """Return a file's URL below the desk; it changes with the content."""
    return f"/static/{name}?v={_ASSETS[name].version}"


@router.get("/static/{name}")
def asset(name: str) -> Response:
    """Return a static file."""
    found = _ASSETS.get(name)
    if found is None:
        raise ProblemError(404, "there is no such file")
    return Response(
        found.data,
        media_type=found.media_type,
        headers={"Cache-Control": "public, max-age=604800, immutable"},
    )
