"""Derives the seed by which frames of an animation are drawn: only who knows the key knows them before."""

import hashlib
import hmac


def frame_seed(key: bytes, data: bytes) -> bytes:
    """Return HMAC-SHA256 of the picture's SHA-256: the same picture always has the same frames.

    The child that decodes a picture gets its seed and not the key, which would give away all others.
    """
    return hmac.digest(key, hashlib.sha256(data).digest(), "sha256")
