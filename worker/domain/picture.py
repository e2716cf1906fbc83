"""What is known of an uploaded picture once it was decoded, and whether it is still there to be seen."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """The facts of one decoded upload.

    ``sha256`` is the hexadecimal digest of the uploaded bytes, ``format`` the container that was found in
    them (not the one that was claimed), ``width`` and ``height`` are pixels as displayed, and ``frames``
    counts the frames that were looked at: 1 for a still picture.
    """

    sha256: str
    format: str
    width: int
    height: int
    frames: int


class PictureState(StrEnum):
    """What a picture's source has now, compared with the bytes that were judged."""

    SAME = "same"
    CHANGED = "changed"
    #: The source cannot be read.
    UNAVAILABLE = "unavailable"
    #: It can be read, but no bytes are on record to compare with: it could not be read when it was judged.
    NOT_JUDGED = "not_judged"
