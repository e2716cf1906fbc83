"""Signs and verifies Standard Webhooks (standardwebhooks.com) with the standard library.

if not verify_webhook(secret, request.headers, request.body):
    return 401

The package `standardwebhooks` does the same for one secret, but raises ValueError for a malformed header, so
that a receiver would answer with status 500; tests compare the two.
"""

import base64
import hmac
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Final

from moderation_client.errors import SettingsError

PREFIX: Final = "whsec_"
#: Length of a secret that the standard requires.
MIN_BYTES: Final = 24
MAX_BYTES: Final = 64
#: A receiver accepts an event that is at most this old, or this far ahead of its clock.
TOLERANCE_SECONDS: Final = 300

_VERSION: Final = "v1"


def new_secret() -> str:
    """Return a new secret in the format of settings and receivers: `whsec_` and base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def read_secrets(text: str) -> tuple[bytes, ...]:
    """Parse comma-separated secrets, newest first; SettingsError, which shows none, if one is invalid."""
    written = [one for one in re.split(r"[,\s]+", text) if one]
    return tuple(_read_secret(one, f"secret {n} of {len(written)}") for n, one in enumerate(written, 1))


def headers(keys: Sequence[bytes], event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of an event, signed with every key; a receiver needs one of the keys."""
    signed = " ".join(f"{_VERSION},{_signature(key, event_id, str(timestamp), body)}" for key in keys)
    return {"webhook-id": event_id, "webhook-timestamp": str(timestamp), "webhook-signature": signed}


def verify(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float | None = None,
    tolerance_seconds: float = TOLERANCE_SECONDS,
) -> bool:
    """Return whether a webhook was signed with `secret` at most `tolerance_seconds` ago.

    `body` is the body as received, `now` the Unix time in seconds, by default the clock's. A webhook that is
    sent again is valid again: deduplicate by its `webhook-id`. SettingsError if the secret is invalid.
    """
    (key,) = read_secrets(secret)
    given = {name.lower(): value for name, value in headers.items()}
    event_id, timestamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit()):
        return False
    if abs((time.time() if now is None else now) - int(timestamp[:15])) > tolerance_seconds:
        return False
    expected = f"{_VERSION},{_signature(key, event_id, timestamp, body)}".encode()
    signatures = given.get("webhook-signature", "").encode().split(b" ")
    return any(hmac.compare_digest(one, expected) for one in signatures)


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
            hint="`moderate outbox new-secret` makes one; separate several with commas, the newest first",
        )
    return key
