"""Secret keys of a deployment: random, created at first use, and shared by all its processes."""

import secrets
from typing import Final

from sqlalchemy.orm import Session

from worker.store.engine import inserting
from worker.store.engine.tables import DeskKeyRow

_PICTURES: Final = "pictures"
_FRAMES: Final = "frames"


def picture_key(session: Session) -> bytes:
    """Return the key that signs the desk's picture URLs."""
    return _key(session, _PICTURES)


def frame_key(session: Session) -> bytes:
    """Return the key that seeds the sampling of frames from long animations."""
    return _key(session, _FRAMES)


def _key(session: Session, purpose: str) -> bytes:
    row = session.get(DeskKeyRow, purpose)
    if row is None:
        inserting.keep(session, DeskKeyRow, [{"purpose": purpose, "secret": secrets.token_bytes(32)}])
        row = session.get(DeskKeyRow, purpose)
    assert row is not None  # noqa: S101 - it was created above, by this process or another
    return row.secret
