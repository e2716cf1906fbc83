"""The key that signs the desk's picture addresses: random, and the same for all processes of a deployment."""

import secrets
from typing import Final

from sqlalchemy.orm import Session

from worker.store import inserting
from worker.store.tables import DeskKeyRow

_PICTURES: Final = "pictures"


def picture_key(session: Session) -> bytes:
    """Return the key, made where there was none."""
    inserting.keep(session, DeskKeyRow, [{"purpose": _PICTURES, "secret": secrets.token_bytes(32)}])
    row = session.get(DeskKeyRow, _PICTURES)
    assert row is not None  # noqa: S101 - it was made above, by us or by another
    return row.secret
