"""Downloads a picture: guards every redirect, and limits its bytes and the total time."""

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
from worker.network.own_failures import is_resolver_failure, own_failure

MAX_REDIRECTS: Final = 3
#: What metrics and `moderate status` call the download of pictures.
PLACE: Final = "the way to URLs"

_REDIRECTS: Final = {301, 302, 303, 307, 308}
_MISSING: Final = 404
_GONE: Final = 410
#: Statuses besides 5xx that mean "try again later".
_LATER: Final = {408, 425, 429}


@dataclass(slots=True)
class _LastFetched:
    """The URL that was fetched last, whose host name could be resolved."""

    url: Url | None = None


@dataclass(frozen=True, slots=True)
class Download:
    """Downloads by URL; no error or log line shows the query, which may be a signature."""

    http: GuardedHttp
    limits: Limits
    #: For name resolution, connections, redirects and the picture together.
    seconds: float
    _last: _LastFetched = field(default_factory=_LastFetched, repr=False, compare=False)

    def __call__(self, text: str) -> bytes:
        """Return the encoded picture, at most `limits.max_bytes` long.

        SourceNotAllowedError if the URL or a redirect is not allowed, SourceMissingError for a 404,
        SourceError for any other response that is not the file, UndecodablePictureError if the file is too
        large, RemoteUnavailableError if the server does not answer in time, SourceUnavailableError if this
        machine cannot reach any server.
        """
        try:
            return self._follow(text)
        except (RemoteUnavailableError, SourceNotAllowedError) as error:
            if problem := self._own_failure(Url.parse(text), error):
                raise SourceUnavailableError(PLACE, problem) from error
            raise

    def _own_failure(self, url: Url, error: Exception) -> str:
        """Return what is wrong with this machine; "" if the URL or its server is at fault."""
        if is_resolver_failure(error):
            return "" if self._resolves_another(url) else f"this machine's resolver does not answer: {error}"
        return own_failure(error, self.http.tls)

    def _resolves_another(self, url: Url) -> bool:
        known = self._last.url
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
                with self.http.get(url, deadline) as response:
                    if response.status not in _REDIRECTS:
                        self._last.url = url
                        return self._body(response, url)
                    url = _redirect_target(url, response)
            except AddressNotAllowedError as refusal:
                raise SourceNotAllowedError(refusal.message, hint=refusal.hint) from refusal
        raise SourceError(f"{_host(text)} redirects more than {MAX_REDIRECTS} times")

    def _body(self, response: HttpResponse, url: Url) -> bytes:
        _check_head(response, url)
        declared = response.headers.get("content-length", "")
        if declared.isdecimal():
            self.limits.check_bytes(int(declared[:20]))
        # Not a list of chunks: a server may send one byte in each.
        data = bytearray()
        for chunk in response.chunks:
            data += chunk
            self.limits.check_bytes(len(data))
        return bytes(data)


def _check_head(response: HttpResponse, url: Url) -> None:
    status = response.status
    if status == _MISSING:
        raise SourceMissingError(f"{url} does not exist: {url.host} answered {status}")
    if status == _GONE:
        raise SourceError(f"{url} is gone for good: {url.host} answered {status}")
    if status in _LATER or status >= 500:
        raise RemoteUnavailableError(f"{url.host} answered {status} for {url}")
    if status != 200:
        raise SourceError(
            f"{url} cannot be downloaded: {url.host} answered {status}",
            hint="a signed URL must stay valid until the picture is judged" if status in {401, 403} else "",
        )
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise SourceError(f"{url.host} sent {url} compressed, although it was asked not to")


def _redirect_target(url: Url, response: HttpResponse) -> Url:
    """Return the target of a redirect; SourceNotAllowedError if a submission could not name it either."""
    # Browsers do not send the fragment.
    location = response.headers.get("location", "").partition("#")[0]
    try:
        target = Url.parse(urljoin(f"{url.scheme}://{url.authority}{url.target}", location))
    except ValueError as problem:
        raise SourceNotAllowedError(f"{url.host} redirects to an invalid URL: {problem}") from None
    if url.scheme == "https" and target.scheme == "http":
        raise SourceNotAllowedError(f"{url.host} redirects from https to http")
    return target


def _host(text: str) -> str:
    return Url.parse(text).host
