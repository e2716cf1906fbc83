"""Derives the seed for drawing frames of an animation, unpredictable without the key."""

import hashlib
import hmac


def frame_seed(key: bytes, data: bytes) -> bytes:
    """Return HMAC-SHA256 of the picture's SHA-256, so that the same picture always has the same frames.

    The decoding child gets only the seed of its picture: the key would reveal the seeds of all others.
    """
    return hmac.digest(key, hashlib.sha256(data).digest(), "sha256")
