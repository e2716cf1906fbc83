"""Reads objects from the stores that the operator configured; a job names a store and a key, never a URL."""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, Self
from urllib.parse import unquote, urlsplit

from worker.domain.submission import STORE_NAME_PATTERN
from worker.errors import (
    RemoteUnavailableError,
    SettingsError,
    SourceError,
    SourceMissingError,
    SourceNotAllowedError,
    UnavailableError,
)
from worker.images.limits import Limits
from worker.images.local_folder import LocalFolder
from worker.network.deadline import Deadline

SETTING: Final = "MODERATION_OBJECT_STORES"
#: What a root can be: `file` is read without following links out of it, the others through fsspec.
PROTOCOLS: Final = ("file", "s3", "gs", "az", "memory")

#: The S3 client would wait a minute and try five times; jobs end before that.
_OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "s3": {
        "use_listings_cache": False,
        "config_kwargs": {"connect_timeout": 3, "read_timeout": 10, "retries": {"max_attempts": 1}},
    }
}
#: What s3fs makes of a store that is busy, and of one that failed for no reason it knows.
_BUSY: Final = {errno.EBUSY}
_PUZZLING: Final = {errno.EIO, getattr(errno, "EREMOTEIO", errno.EIO)}


class _Root(Protocol):
    """Where the keys of one store lead."""

    def read(self, path: str, /) -> bytes:
        """Return the object at a key; raise as `ObjectStores.read` does."""
        ...


@dataclass(frozen=True, slots=True)
class ObjectStores:
    """The configured stores by their names."""

    roots: Mapping[str, _Root]

    @classmethod
    def open(cls, roots: Mapping[str, str], limits: Limits, seconds: float) -> Self:
        """Take the roots as URLs, connecting to none yet; SettingsError where one cannot be a root."""
        return cls({name: _open(name, root, limits, seconds) for name, root in roots.items()})

    def read(self, store: str, key: str) -> bytes:
        """Return the encoded picture at `key` below the root of `store`.

        SourceNotAllowedError where there is no such store, or it does not let us read the object;
        SourceMissingError, UndecodablePictureError where it is too large; UnavailableError where the store
        is away, RemoteUnavailableError where it is too slow with this object.
        """
        if store not in self.roots:
            known = ", ".join(sorted(self.roots)) or "none"
            raise SourceNotAllowedError(
                f"no object store {store!r} is configured here, there is {known}",
                hint=f"{SETTING} names the stores and their roots",
            )
        return self.roots[store].read(key)


@dataclass(frozen=True, slots=True)
class _RemoteRoot:
    """A bucket, or a prefix in one, through fsspec."""

    store: str
    #: Typed loosely: fsspec publishes no types.
    filesystem: Any
    prefix: str
    limits: Limits
    seconds: float
    #: What the client raises beside OSError when it cannot reach the store.
    away: tuple[type[Exception], ...]

    def read(self, path: str, /) -> bytes:
        deadline = Deadline(self.seconds)
        with self._named_failures(path):
            return deadline.await_result(lambda: self._fetch(path))

    def _fetch(self, key: str) -> bytes:
        place = f"{self.prefix}/{key}"
        facts = self.filesystem.info(place)
        if facts["type"] != "file":
            raise SourceNotAllowedError(f"{key!r} in the store {self.store} is no object")
        size = int(facts["size"] or 0)
        self.limits.check_bytes(size)
        if size == 0:
            return b""  # S3 has no range to give of nothing
        # One more than allowed: an object that grew meanwhile is noticed.
        data = bytes(self.filesystem.cat_file(place, start=0, end=self.limits.max_bytes + 1))
        self.limits.check_bytes(len(data))
        return data

    @contextmanager
    def _named_failures(self, key: str) -> Iterator[None]:
        what = f"{key!r} in the store {self.store}"
        try:
            yield
        except FileNotFoundError as problem:
            raise SourceMissingError(f"there is no object {what}") from problem
        except PermissionError as problem:
            raise SourceNotAllowedError(
                f"{what} cannot be read: access denied",
                hint="S3 says so of a missing object too, where the worker may not list the bucket",
            ) from problem
        except TimeoutError as problem:
            raise RemoteUnavailableError(f"{what} did not arrive within {self.seconds:g} s") from problem
        except self.away as problem:
            raise self._is_away(problem) from problem
        except OSError as problem:
            if problem.errno in _BUSY:
                raise self._is_away(problem) from problem
            reason = problem.strerror or problem
            if problem.errno in _PUZZLING:
                raise RemoteUnavailableError(f"{what} cannot be read: {reason}") from problem
            raise SourceError(f"{what} cannot be read: {reason}") from problem

    def _is_away(self, problem: Exception) -> UnavailableError:
        return UnavailableError(f"the object store {self.store} does not answer: {problem}")


def _open(name: str, root: str, limits: Limits, seconds: float) -> _Root:
    if not STORE_NAME_PATTERN.fullmatch(name):
        raise SettingsError(
            f"{SETTING}: {name[:80]!r} is not the name of a store",
            hint="lower-case letters, digits, - and _",
        )
    parts = urlsplit(root)
    if parts.scheme not in PROTOCOLS or "::" in root:
        raise SettingsError(
            f"{SETTING}: the root of {name} is {root!r}",
            hint=f"a root begins with {', '.join(f'{protocol}://' for protocol in PROTOCOLS)}",
        )
    # Without a bucket, or at the top of a disk, the key alone would choose what is read.
    if not f"{parts.netloc}{parts.path}".strip("/"):
        raise SettingsError(f"{SETTING}: the root of {name} names no folder or bucket: {root!r}")
    if parts.scheme == "file":
        return LocalFolder(Path(unquote(parts.path)), limits, f"the object store {name}", SETTING)
    return _open_remote(name, root, parts.scheme, limits, seconds)


def _open_remote(name: str, root: str, protocol: str, limits: Limits, seconds: float) -> _RemoteRoot:
    # Slow to import, and most deployments have a folder.
    from fsspec.core import url_to_fs  # noqa: PLC0415

    try:
        filesystem, prefix = url_to_fs(root, **_OPTIONS.get(protocol, {}))
    except ImportError as missing:
        raise SettingsError(
            f"{SETTING}: the root of {name} needs a package that is not installed: {missing}",
            hint="for s3 it is in 'moderation-worker[worker,s3]'",
        ) from None
    return _RemoteRoot(name, filesystem, prefix.rstrip("/"), limits, seconds, _away(protocol))


def _away(protocol: str) -> tuple[type[Exception], ...]:
    if protocol != "s3":
        return (ConnectionError,)
    from botocore.exceptions import (  # noqa: PLC0415 - installed with s3fs
        ConnectionError as Unreachable,
    )
    from botocore.exceptions import (  # noqa: PLC0415
        CredentialRetrievalError,
        HTTPClientError,
        NoCredentialsError,
    )

    return (ConnectionError, Unreachable, HTTPClientError, NoCredentialsError, CredentialRetrievalError)
