"""Signed tokens of browsers that a person signed in from before: there, others cannot lock the person out."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class KnownBrowsers:
    """Signs and verifies browser tokens with the key that all processes share."""

    key: bytes

    def make(self, account: str) -> str:
        """Return a token for a browser that this person has just signed in from."""
        browser = secrets.token_hex(16)
        return f"{browser}.{self._sign(account, browser)}"

    def find(self, account: str, token: str) -> str:
        """Return the browser's id from this person's token; empty if the token is invalid."""
        found = _TOKEN.fullmatch(token)
        if found is None or not hmac.compare_digest(found[2], self._sign(account, found[1])):
            return ""
        return found[1]

    def _sign(self, account: str, browser: str) -> str:
        text = f"known browser|{account}|{browser}"
        return hmac.new(self.key, text.encode(errors="replace"), hashlib.sha256).hexdigest()
