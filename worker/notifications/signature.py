"""Standard Webhooks signatures (standardwebhooks.com): prove that an event is authentic and recent.

Only the standard library is needed: receivers in Python can use `verify`; others can use a library or the
thirty lines of `examples/receive_webhook.py`.
"""

import base64
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from worker.errors import SettingsError

PREFIX: Final = "whsec_"
#: The standard's limits for a secret.
MIN_BYTES: Final = 24
MAX_BYTES: Final = 64
#: How far an event's timestamp may differ from the receiver's clock.
TOLERANCE_SECONDS: Final = 300

_VERSION: Final = "v1"


def new_secret() -> str:
    """Return a new secret, in the format of settings and receivers."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def read_secrets(text: str) -> tuple[bytes, ...]:
    """Parse secrets separated by commas, the newest first; SettingsError, without the secret, if invalid."""
    written = [one for one in re.split(r"[,\s]+", text) if one]
    return tuple(_read_secret(one, f"secret {n} of {len(written)}") for n, one in enumerate(written, 1))


def headers(keys: Sequence[bytes], event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return an event's headers, with a signature by every key, since a receiver may know any of them."""
    signed = " ".join(f"{_VERSION},{_signature(key, event_id, str(timestamp), body)}" for key in keys)
    return {"webhook-id": event_id, "webhook-timestamp": str(timestamp), "webhook-signature": signed}


def verify(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    tolerance_seconds: float = TOLERANCE_SECONDS,
) -> bool:
    """Whether the signature is valid for `secret` and recent; header names are in lower case.

    Replays within the tolerance are valid too: deduplicate by `webhook-id`.
    """
    event_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit()):
        return False
    if abs(now - int(timestamp[:15])) > tolerance_seconds:
        return False
    (key,) = read_secrets(secret)
    expected = f"{_VERSION},{_signature(key, event_id, timestamp, body)}".encode()
    given = headers.get("webhook-signature", "").encode().split(b" ")
    return any(hmac.compare_digest(one, expected) for one in given)


def _signature(key: bytes, event_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{event_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def _read_secret(text: str, which: str) -> bytes:
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True) if text.startswith(PREFIX) else b""
    except ValueError:
        key = b""
    if not MIN_BYTES <= len(key) <= MAX_BYTES:
        form = f"{PREFIX} and base64 of {MIN_BYTES} to {MAX_BYTES} bytes"
        raise SettingsError(
            f"MODERATION_WEBHOOK_SECRETS: {which} is not {form}",
            hint="`moderate outbox new-secret` makes one; separate several by commas, the newest first",
        )
    return key
