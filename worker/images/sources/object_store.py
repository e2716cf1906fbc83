"""Reads objects from configured stores; a job names a store and a key, never a URL."""

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, Self
from urllib.parse import unquote, urlsplit

from moderation_client.submission import STORE_NAME_PATTERN

from worker.concurrency.deadline import Deadline
from worker.errors import (
    ModerationError,
    RemoteUnavailableError,
    SettingsError,
    SourceError,
    SourceMissingError,
    SourceNotAllowedError,
    SourceNotReadyError,
    SourceUnavailableError,
)
from worker.images.limits import Limits
from worker.images.sources.local_folder import LocalFolder
from worker.images.sources.witness import UNNAMED, LastRead, Witness

SETTING: Final = "MODERATION_OBJECT_STORES"
#: Schemes of a root: `file` is read without following links out of it, the others through fsspec.
PROTOCOLS: Final = ("file", "s3", "gs", "az", "memory")

#: By default the S3 client waits a minute and tries five times; a job times out before that.
_OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "s3": {
        "use_listings_cache": False,
        "config_kwargs": {"connect_timeout": 3, "read_timeout": 10, "retries": {"max_attempts": 1}},
    }
}
#: Time limit for finding out whether a store answers at all.
_WITNESS_SECONDS: Final = 8.0
#: Objects to list when looking for another one to read.
_LISTED: Final = 10
#: Error numbers by which clients report temporary failures of the store.
_PASSING: Final = {errno.EBUSY, errno.EIO, getattr(errno, "EREMOTEIO", errno.EIO)}


class _Root(Protocol):
    """The root of one store, from which keys are read."""

    def read(self, path: str, /) -> bytes:
        """Return the object at a key; raise as `ObjectStores.read` does."""
        ...


@dataclass(frozen=True, slots=True)
class ObjectStores:
    """The configured stores by name."""

    roots: Mapping[str, _Root]

    @classmethod
    def open(cls, roots: Mapping[str, str], limits: Limits, seconds: float) -> Self:
        """Parse root URLs, without connecting yet; SettingsError if one cannot be a root."""
        return cls({name: _open(name, root, limits, seconds) for name, root in roots.items()})

    def read(self, store: str, key: str) -> bytes:
        """Return the encoded picture at `key` below the root of `store`.

        SourceNotAllowedError if there is no such store, SourceMissingError if there is no such object,
        SourceNotReadyError if only this object cannot be read, UndecodablePictureError if it is too large,
        SourceUnavailableError if the store as a whole cannot be read, RemoteUnavailableError if the store
        fails for this object only.
        """
        return self.root(store).read(key)

    def root(self, store: str) -> "_Root":
        """Return the root of `store`; SourceNotAllowedError if there is no such store."""
        if store not in self.roots:
            known = ", ".join(sorted(self.roots)) or "none"
            raise SourceNotAllowedError(
                f"no object store {store!r} is configured here, there is {known}",
                hint=f"{SETTING} names the stores and their roots",
            )
        return self.roots[store]


@dataclass(frozen=True, slots=True)
class _RemoteRoot:
    """A bucket, or a prefix in one, through fsspec."""

    store: str
    #: `Any`: fsspec publishes no types.
    filesystem: Any
    prefix: str
    limits: Limits
    seconds: float
    #: What the client raises if it cannot reach the store or is misconfigured.
    unreachable: tuple[type[Exception], ...]
    _last: LastRead = field(default_factory=LastRead)

    def read(self, path: str, /) -> bytes:
        deadline = Deadline(self.seconds)
        try:
            data = deadline.await_result(lambda: self._fetch(path))
        except ModerationError:
            raise
        except Exception as problem:
            raise self._source_error(path, problem) from problem
        self._last.name = path
        return data

    def _fetch(self, key: str) -> bytes:
        place = f"{self.prefix}/{key}"
        facts = self.filesystem.info(place)
        if facts["type"] != "file":
            raise SourceNotAllowedError(f"{key!r} in the store {self.store} is not an object")
        size = int(facts["size"] or 0)
        self.limits.check_bytes(size)
        if size == 0:
            return b""  # S3 refuses a range of an empty object
        # One byte more than allowed, to notice an object that grew since `info`.
        data = bytes(self.filesystem.cat_file(place, start=0, end=self.limits.max_bytes + 1))
        self.limits.check_bytes(len(data))
        return data

    def _source_error(self, key: str, problem: Exception) -> ModerationError:
        """Return the error for a failed read: about this object only if another one can be read."""
        if isinstance(problem, self.unreachable):
            return self._unavailable(problem, "does not answer")
        witness = Witness(self._peek, self._some, self._last)
        if wrong := witness.problem(key, missing=isinstance(problem, FileNotFoundError)):
            return self._unavailable(wrong)
        return self._object_error(f"{key!r} in the store {self.store}", problem)

    def _object_error(self, what: str, problem: Exception) -> ModerationError:
        if isinstance(problem, FileNotFoundError):
            return SourceMissingError(f"there is no object {what}")
        if isinstance(problem, PermissionError):
            return SourceNotReadyError(
                f"{what} cannot be read: access denied",
                hint="S3 answers so for a missing object too if the worker may not list the bucket",
            )
        if isinstance(problem, TimeoutError):
            return RemoteUnavailableError(f"{what} did not arrive within {self.seconds:g} s")
        if not isinstance(problem, OSError) or problem.errno in _PASSING:
            return RemoteUnavailableError(f"{what} cannot be read: {_reason(problem)}")
        return SourceError(f"{what} cannot be read: {_reason(problem)}")

    def _unavailable(self, problem: Exception, what: str = "cannot be read") -> SourceUnavailableError:
        return SourceUnavailableError(
            place_of(self.store),
            f"the object store {self.store} {what}: {_reason(problem)}",
            hint=f"check its credentials and permissions, this machine's clock, and its root in {SETTING}",
        )

    def _peek(self, key: str) -> None:
        place = f"{self.prefix}/{key}"
        Deadline(_WITNESS_SECONDS).await_result(lambda: self.filesystem.cat_file(place, start=0, end=1))

    def _some(self) -> list[str]:
        deadline = Deadline(_WITNESS_SECONDS)
        return deadline.await_result(lambda: _first_keys(self.filesystem, self.prefix))


def place_of(store: str) -> str:
    """Return the name of a store in messages and metrics."""
    return f"the object store {store}"


def _first_keys(filesystem: Any, prefix: str) -> list[str]:
    """Return the keys of a few objects, UNNAMED for an object that has no key or no byte to read."""
    bucket, _, folder = prefix.partition("/")
    if "s3" not in filesystem.protocol:
        # Other stores cannot be listed in bounded time; this checks that the root exists.
        filesystem.info(prefix)
        return [UNNAMED]
    below = f"{folder}/" if folder else ""
    page = filesystem.call_s3("list_objects_v2", Bucket=bucket, Prefix=below, MaxKeys=_LISTED)
    return [one["Key"].removeprefix(below) if one["Size"] else UNNAMED for one in page.get("Contents", [])]


def _reason(problem: Exception) -> str:
    """Return the reason that a store gave, with its error code if there is one."""
    text = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
    response = getattr(problem.__cause__, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return f"{code}: {text}" if code and not str(code).isdecimal() else str(text)


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
    # Without a bucket or folder, keys could name anything on the store or the disk.
    if not f"{parts.netloc}{parts.path}".strip("/"):
        raise SettingsError(f"{SETTING}: the root of {name} names no folder or bucket: {root!r}")
    if parts.scheme == "file":
        return LocalFolder(Path(unquote(parts.path)), limits, place_of(name), SETTING)
    return _open_remote(name, root, parts.scheme, limits, seconds)


def _open_remote(name: str, root: str, protocol: str, limits: Limits, seconds: float) -> _RemoteRoot:
    # Slow to import, and most deployments read from a folder.
    from fsspec.core import url_to_fs  # noqa: PLC0415

    try:
        filesystem, prefix = url_to_fs(root, **_OPTIONS.get(protocol, {}))
    except ImportError as missing:
        raise SettingsError(
            f"{SETTING}: the root of {name} needs a package that is not installed: {missing}",
            hint="for s3 it is in 'moderation-worker[s3]'",
        ) from None
    return _RemoteRoot(name, filesystem, prefix.rstrip("/"), limits, seconds, _unreachable(protocol))


def _unreachable(protocol: str) -> tuple[type[Exception], ...]:
    if protocol != "s3":
        return (ConnectionError,)
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - installed with s3fs

    return (ConnectionError, BotoCoreError)
