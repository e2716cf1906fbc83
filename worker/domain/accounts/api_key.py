"""A key to the HTTP API: `mod_`, a public id, and a secret that is shown once."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from worker.errors import UsageError

MAX_NAME_CHARACTERS: Final = 80
_TOKEN: Final = re.compile(r"mod_([0-9a-f]{10})_([A-Za-z0-9_-]{43})")


class Scope(StrEnum):
    """What a key permits; every key covers all submissions."""

    #: Submit pictures.
    SUBMIT = "submit"
    #: Read decisions.
    READ = "read"
    #: Work the review queue on behalf of the reviewer that the request names.
    REVIEWS = "reviews"
    #: Appeal decisions, and read the answers.
    APPEALS = "appeals"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key, without its secret."""

    id: str
    name: str
    scopes: frozenset[Scope]
    #: Hexadecimal digest of the secret. A plain SHA-256, with neither salt nor stretching: those slow down
    #: attacks on passwords, and 32 random bytes cannot be guessed.
    secret_sha256: str = field(repr=False)

    def opens_with(self, secret: str) -> bool:
        """Whether `secret` is this key's, compared in constant time."""
        return hmac.compare_digest(self.secret_sha256, _digest(secret))


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A new key with its token, which is not stored anywhere."""

    key: ApiKey
    #: What the client sends.
    token: str = field(repr=False)


def new_api_key(name: str, scopes: Collection[Scope]) -> NewApiKey:
    """Make a key; UsageError if its name is not valid or it has no scope."""
    if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise UsageError(
            f"a key's name has 1 to {MAX_NAME_CHARACTERS} printable characters",
            hint="name it after the client that uses it: upload-service",
        )
    if not scopes:
        raise UsageError("a key needs at least one scope", hint="--scope submit,read")
    key_id, secret = secrets.token_hex(5), secrets.token_urlsafe(32)
    return NewApiKey(ApiKey(key_id, name, frozenset(scopes), _digest(secret)), f"mod_{key_id}_{secret}")


def split_token(token: str) -> tuple[str, str] | None:
    """Return the id and the secret of a token; None if it does not have a token's form."""
    found = _TOKEN.fullmatch(token)
    return (found[1], found[2]) if found else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
