"""What is known of an uploaded picture once it was decoded: its content address and its measures."""

from dataclasses import dataclass


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
