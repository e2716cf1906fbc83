"""Fetches a picture by its URL: guarded at every redirect, bounded in bytes, and in time as a whole."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin

from moderation_client.url import Url

from worker.concurrency.deadline import Deadline
from worker.errors import (
    AddressNotAllowedError,
    RemoteUnavailableError,
    SourceError,
    SourceMissingError,
    SourceNotAllowedError,
    SourceUnavailableError,
)
from worker.images.limits import Limits
from worker.network.http import GuardedHttp, HttpResponse
from worker.network.own_failures import is_of_resolver, own_failure

MAX_REDIRECTS: Final = 3
#: What operators call the way to pictures by URL.
PLACE: Final = "the way to URLs"

_REDIRECTS: Final = {301, 302, 303, 307, 308}
_MISSING: Final = 404
_GONE: Final = 410
#: Beside every 5xx: what a server says that cannot serve now.
_LATER: Final = {408, 425, 429}


@dataclass(slots=True)
class _Memory:
    """The URL that was fetched last: its host has a name that can be resolved."""

    url: Url | None = None


@dataclass(frozen=True, slots=True)
class Download:
    """Gets what a URL names; nothing it raises or logs shows a query, which may be a signature."""

    http: GuardedHttp
    limits: Limits
    #: For names, connections, redirects and the picture together.
    seconds: float
    _memory: _Memory = field(default_factory=_Memory, repr=False, compare=False)

    def __call__(self, text: str) -> bytes:
        """Return the encoded picture, at most `limits.max_bytes` long.

        SourceNotAllowedError if the URL or a redirect leads where it must not, SourceMissingError if the
        server says 404, SourceError if it gives something else than a file, UndecodablePictureError if that
        is too large, RemoteUnavailableError if the server does not answer in time, SourceUnavailableError if
        this machine cannot ask any server.
        """
        try:
            return self._follow(text)
        except (RemoteUnavailableError, SourceNotAllowedError) as error:
            if problem := self._own_failure(Url.parse(text), error):
                raise SourceUnavailableError(PLACE, problem) from error
            raise

    def _own_failure(self, url: Url, error: Exception) -> str:
        """Return what is wrong with this machine; "" if the failure is about the URL."""
        if is_of_resolver(error):
            return "" if self._resolves_another(url) else f"this machine's resolver does not answer: {error}"
        return own_failure(error, self.http.tls)

    def _resolves_another(self, url: Url) -> bool:
        known = self._memory.url
        if known is None or known.host == url.host:
            return False
        try:
            self.http.guard.resolve(known.host, known.port)
        except OSError:
            return False
        return True

    def _follow(self, text: str) -> bytes:
        deadline = Deadline(self.seconds)
        url = Url.parse(text)
        for _ in range(1 + MAX_REDIRECTS):
            try:
                with self.http.get(url, deadline) as answer:
                    if answer.status not in _REDIRECTS:
                        self._memory.url = url
                        return self._body(answer, url)
                    url = _next(url, answer)
            except AddressNotAllowedError as refusal:
                raise SourceNotAllowedError(refusal.message, hint=refusal.hint) from refusal
        raise SourceError(f"{_host(text)} redirects more than {MAX_REDIRECTS} times")

    def _body(self, answer: HttpResponse, url: Url) -> bytes:
        _check_head(answer, url)
        declared = answer.headers.get("content-length", "")
        if declared.isdecimal():
            self.limits.check_bytes(int(declared[:20]))
        # Not a list of chunks: a server may send them a byte long.
        data = bytearray()
        for chunk in answer.chunks:
            data += chunk
            self.limits.check_bytes(len(data))
        return bytes(data)


def _check_head(answer: HttpResponse, url: Url) -> None:
    status = answer.status
    if status == _MISSING:
        raise SourceMissingError(f"{url} is not there: {url.host} answered {status}")
    if status == _GONE:
        raise SourceError(f"{url} is gone for good: {url.host} answered {status}")
    if status in _LATER or status >= 500:
        raise RemoteUnavailableError(f"{url.host} answered {status} for {url}")
    if status != 200:
        raise SourceError(
            f"{url} cannot be had: {url.host} answered {status}",
            hint="a signed URL has to be good until the picture is judged" if status in {401, 403} else "",
        )
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise SourceError(f"{url.host} sent {url} compressed, although it was asked not to")


def _next(url: Url, answer: HttpResponse) -> Url:
    """Return where a redirect leads; SourceNotAllowedError where a submission could not lead there either."""
    # A browser would keep the fragment to itself.
    location = answer.headers.get("location", "").partition("#")[0]
    try:
        target = Url.parse(urljoin(f"{url.scheme}://{url.authority}{url.target}", location))
    except ValueError as problem:
        raise SourceNotAllowedError(f"{url.host} redirects to what is no URL for us: {problem}") from None
    if url.scheme == "https" and target.scheme == "http":
        raise SourceNotAllowedError(f"{url.host} redirects from https to http")
    return target


def _host(text: str) -> str:
    return Url.parse(text).host
