"""A key to the HTTP API: `mod_`, an id that may be shown, and a secret that is shown once."""

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
    """What a key opens; each sees all submissions."""

    #: Handing over pictures.
    SUBMIT = "submit"
    #: Reading what was decided.
    READ = "read"
    #: Working the review queue, in the name of whomever the request names.
    REVIEWS = "reviews"
    #: Appealing decisions, and reading the answers.
    APPEALS = "appeals"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept, without its secret."""

    id: str
    name: str
    scopes: frozenset[Scope]
    #: Of the secret, in hexadecimal. A plain SHA-256, with neither salt nor stretching: those slow down who
    #: guesses passwords, and nobody guesses 32 random bytes.
    secret_sha256: str = field(repr=False)

    def opens_with(self, secret: str) -> bool:
        """Whether `secret` is this key's, in a time that tells nothing about it."""
        return hmac.compare_digest(self.secret_sha256, _digest(secret))


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key that was just made: the only moment at which its text exists."""

    key: ApiKey
    #: What a client sends.
    token: str = field(repr=False)


def new_api_key(name: str, scopes: Collection[Scope]) -> NewApiKey:
    """Make a key; UsageError where it has no proper name, or opens nothing."""
    if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise UsageError(
            f"a key's name has 1 to {MAX_NAME_CHARACTERS} printable characters",
            hint="name it after who holds it: upload-service",
        )
    if not scopes:
        raise UsageError("a key without a scope opens nothing", hint="--scope submit,read")
    key_id, secret = secrets.token_hex(5), secrets.token_urlsafe(32)
    return NewApiKey(ApiKey(key_id, name, frozenset(scopes), _digest(secret)), f"mod_{key_id}_{secret}")


def split_token(token: str) -> tuple[str, str] | None:
    """Return the id and the secret in what a client sent; None where it is no key's text."""
    found = _TOKEN.fullmatch(token)
    return (found[1], found[2]) if found else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
