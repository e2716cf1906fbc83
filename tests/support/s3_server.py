"""A fake S3 on loopback that can refuse requests, which moto cannot."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

#: Status and error code of a refusal.
Refusal = tuple[int, str]


@dataclass
class S3Server:
    """Objects and refusals of the server."""

    url: str
    bucket: str
    objects: dict[str, bytes] = field(default_factory=dict)
    #: Refusals of every request, of listings, and of single keys.
    refuses_all: Refusal | None = None
    refuses_list: Refusal | None = None
    refuses: dict[str, Refusal] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def hold(self, objects: Mapping[str, bytes]) -> None:
        """Replace the objects, and remove all refusals."""
        self.objects, self.refuses, self.asked = dict(objects), {}, []
        self.refuses_all = self.refuses_list = None


@contextmanager
def running_s3(bucket: str) -> Iterator[S3Server]:
    """Serve one bucket; yield its objects and refusals, which tests may change."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.site = site = S3Server(f"http://127.0.0.1:{server.server_port}", bucket)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def s3_environment(url: str, *, forget: bool = True) -> Iterator[None]:
    """Point the AWS variables to a server; `forget` the cached clients of another one."""
    import fsspec  # noqa: PLC0415

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws_variables(url).items():
            patch.setenv(name, value)
        # fsspec caches filesystems with their addresses.
        if forget:
            fsspec.get_filesystem_class("s3").clear_instance_cache()
        yield
    if forget:
        fsspec.get_filesystem_class("s3").clear_instance_cache()


def aws_variables(url: str) -> dict[str, str]:
    """Return the environment variables for clients of the server."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        site, parts = self.server.site, urlsplit(self.path)
        place = unquote(parts.path).removeprefix(f"/{site.bucket}").lstrip("/")
        site.asked.append(f"{self.command} {place}")
        is_list = "list-type" in parts.query
        refusal = site.refuses_all or (site.refuses_list if is_list else site.refuses.get(place))
        if refusal:
            self._refuse(*refusal)
        elif is_list:
            prefix = parse_qs(parts.query).get("prefix", [""])[0]
            self._answer(200, _listing(site, prefix), "application/xml")
        elif place not in site.objects:
            # Without the right to list, S3 hides whether a key exists.
            self._refuse(*(site.refuses_list or (404, "NoSuchKey")))
        else:
            self._object(site.objects[place])

    def _object(self, data: bytes) -> None:
        wanted = self.headers.get("Range", "")
        if wanted:
            first, last = wanted.removeprefix("bytes=").split("-")
            data = data[int(first) : int(last) + 1]
        self._answer(206 if wanted else 200, data, "application/octet-stream")

    def _refuse(self, status: int, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>made up: {code}</Message></Error>"
        self._answer(status, body.encode(), "application/xml")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"etag"')
        self.send_header("Last-Modified", "Wed, 01 Jul 2026 00:00:00 GMT")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    site: S3Server


def _listing(site: S3Server, prefix: str) -> bytes:
    entries = "".join(
        f"<Contents><Key>{key}</Key><Size>{len(data)}</Size>"
        "<LastModified>2026-07-01T00:00:00.000Z</LastModified></Contents>"
        for key, data in sorted(site.objects.items())
        if key.startswith(prefix)
    )
    return (
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{site.bucket}</Name><Prefix>{prefix}</Prefix>"
        f"<KeyCount>{entries.count('<Contents>')}</KeyCount>"
        f"<MaxKeys>10</MaxKeys><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
    ).encode()
