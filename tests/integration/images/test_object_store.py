"""Objects by store and key: from a folder, from memory, and from a server that speaks S3."""

import errno
from collections.abc import Iterator
from pathlib import Path

import boto3
import fsspec
import pytest
from moderation_client.submission import StoredObject
from moto.server import ThreadedMotoServer
from support.s3_server import running_s3, s3_environment

from worker.errors import (
    InvalidSubmissionError,
    RemoteUnavailableError,
    SettingsError,
    SourceError,
    SourceMissingError,
    SourceNotAllowedError,
    SourceNotReadyError,
    SourceUnavailableError,
    UnavailableError,
    UndecodablePictureError,
)
from worker.images.limits import Limits
from worker.images.sources.object_store import ObjectStores, _RemoteRoot

LIMITS = Limits(max_bytes=100, max_pixels=1_000, max_side=100, max_frames=4)
OBJECTS = {
    "uploads/2026/cat.png": b"a cat",
    "uploads/ü & x%2e%2e?.png": b"oddly named",
    "uploads/empty.png": b"",
    "uploads/full.png": b"x" * 100,
    "uploads/large.png": b"x" * 101,
    "private/secret.png": b"secret",
    "uploads-private/secret.png": b"secret",
}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Run a server with our objects in a bucket, make it the one that AWS's variables name, yield its root."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with s3_environment(f"http://{host}:{port}"):
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        for key, data in OBJECTS.items():
            client.put_object(Bucket="bucket", Key=key, Body=data)
        client.close()
        yield "s3://bucket/uploads"
    server.stop()


@pytest.fixture
def folder(tmp_path: Path) -> str:
    for key, data in OBJECTS.items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(data)
    return f"file://{tmp_path}/uploads"


@pytest.fixture
def memory() -> str:
    for key, data in OBJECTS.items():
        fsspec.filesystem("memory").pipe(f"/objects/{key}", data)
    return "memory://objects/uploads/"


@pytest.fixture(params=["folder", "memory", "s3"])
def read(request):
    """Read from each kind of store in turn."""
    stores = ObjectStores.open({"uploads": request.getfixturevalue(request.param)}, LIMITS, seconds=30)

    def read_source(key: str, store: str = "uploads") -> bytes:
        source = StoredObject(store, key)
        return stores.read(source.store, source.key)

    return read_source


def test_an_object_is_read(read):
    assert read("2026/cat.png") == b"a cat"
    assert read("full.png") == b"x" * 100
    assert read("empty.png") == b""


def test_a_key_means_what_it_says(read):
    assert read("ü & x%2e%2e?.png") == b"oddly named"
    with pytest.raises(SourceMissingError):
        read("%2e%2e/private/secret.png")


def test_a_missing_object_is_named(read):
    with pytest.raises(SourceMissingError, match=r"there is no (file|object) '2026/dog\.png'"):
        read("2026/dog.png")


def test_too_large_an_object_is_refused(read):
    with pytest.raises(UndecodablePictureError, match="101 bytes; at most 100"):
        read("large.png")


def test_a_folder_is_no_object(read):
    with pytest.raises((SourceNotAllowedError, SourceMissingError)):
        read("2026")


@pytest.mark.parametrize(
    "key", ["../private/secret.png", "/private/secret.png", "2026/../../private/secret.png", "a\0"]
)
def test_no_key_leads_out_of_its_root(read, key):
    with pytest.raises(InvalidSubmissionError):
        read(key)


@pytest.mark.parametrize(
    "key",
    [
        "s3://bucket/private/secret.png",
        "file:///etc/passwd",
        "memory://objects/private/secret.png",
        "simplecache::s3://bucket/private/secret.png",
        "*/secret.png",
    ],
)
def test_no_key_is_an_address(read, key):
    with pytest.raises((InvalidSubmissionError, SourceMissingError)):
        read(key)


def test_a_store_that_is_not_configured_is_named(read):
    with pytest.raises(
        SourceNotAllowedError, match="no object store 'backups' is configured here, there is uploads"
    ):
        read("2026/cat.png", store="backups")


@pytest.mark.parametrize("link", ["../private/secret.png", "/etc/passwd"])
def test_a_link_does_not_lead_out_of_a_folder(folder, tmp_path, link):
    (tmp_path / "uploads" / "link.png").symlink_to(link)
    stores = ObjectStores.open({"disk": folder}, LIMITS, seconds=30)
    with pytest.raises(SourceNotAllowedError, match="leads out of the object store disk"):
        stores.read("disk", "link.png")


def test_a_folder_that_is_away_is_waited_for(tmp_path):
    stores = ObjectStores.open({"disk": f"file://{tmp_path}/unmounted"}, LIMITS, seconds=30)
    with pytest.raises(UnavailableError, match=r"the object store disk .* is not there") as away:
        stores.read("disk", "cat.png")
    assert "MODERATION_OBJECT_STORES" in away.value.hint


def test_a_server_that_is_away_is_waited_for(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    stores = ObjectStores.open({"uploads": s3}, LIMITS, seconds=30)
    with pytest.raises(UnavailableError, match="the object store uploads does not answer") as away:
        stores.read("uploads", "2026/cat.png")
    assert type(away.value) is SourceUnavailableError
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture(scope="module")
def kept_s3():
    with running_s3("photos") as server, s3_environment(server.url):
        yield server


@pytest.fixture
def small_s3(kept_s3):
    """Return an S3 whose answers a test chooses, with three objects below the root of a store."""
    kept_s3.hold({f"uploads/{n}.png": b"a cat" for n in range(3)})
    with s3_environment(kept_s3.url, forget=False):
        yield kept_s3


def open_small():
    return ObjectStores.open({"uploads": "s3://photos/uploads"}, LIMITS, seconds=30)


#: What S3 answers because of how we are set up, whatever object is asked for.
OUR_FAULT = [
    (400, "ExpiredToken"),
    (403, "ExpiredToken"),
    (400, "InvalidToken"),
    (400, "TokenRefreshRequired"),
    (403, "RequestTimeTooSkewed"),
    (403, "InvalidAccessKeyId"),
    (403, "SignatureDoesNotMatch"),
    (403, "AccessDenied"),
    (403, "AllAccessDisabled"),
    (403, "AccountProblem"),
    (404, "NoSuchBucket"),
    (301, "PermanentRedirect"),
    (400, "AuthorizationHeaderMalformed"),
    (500, "InternalError"),
    (503, "ServiceUnavailable"),
    (418, "SomethingNobodyForesaw"),
]


@pytest.mark.parametrize(("status", "code"), OUR_FAULT)
@pytest.mark.parametrize("read_before", [False, True])
def test_what_s3_refuses_whatever_the_object_makes_the_store_unavailable(small_s3, status, code, read_before):
    stores = open_small()
    if read_before:
        assert stores.read("uploads", "0.png") == b"a cat"
    small_s3.refuses_all = (status, code)
    with pytest.raises(SourceUnavailableError, match="the object store uploads cannot be read") as refused:
        stores.read("uploads", "1.png")
    assert refused.value.resource == "the object store uploads"
    # S3 answers HEAD without a body: the reason comes from the second request.
    assert code in refused.value.message or status in {301, 418}
    small_s3.refuses_all = None
    assert stores.read("uploads", "1.png") == b"a cat"


@pytest.mark.parametrize("may_list", [True, False])
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccessDenied", SourceNotReadyError),
        (403, "InvalidObjectState", SourceNotReadyError),
        (500, "InternalError", RemoteUnavailableError),
        (400, "InvalidRequest", SourceError),
    ],
)
def test_what_s3_refuses_of_one_object_is_about_that_object(small_s3, status, code, kind, may_list):
    stores = open_small()
    if not may_list:
        small_s3.refuses_list = (403, "AccessDenied")
        stores.read("uploads", "0.png")
    small_s3.refuses["uploads/1.png"] = (status, code)
    with pytest.raises(kind, match=r"'1\.png' in the store uploads cannot be read") as refused:
        stores.read("uploads", "1.png")
    assert type(refused.value) is kind


@pytest.mark.parametrize("may_list", [True, False])
def test_a_missing_object_is_not_there_yet_whatever_s3_may_say(small_s3, may_list):
    stores = open_small()
    if not may_list:
        small_s3.refuses_list = (403, "AccessDenied")
        stores.read("uploads", "0.png")
    with pytest.raises(SourceNotReadyError, match=r"9\.png"):
        stores.read("uploads", "9.png")
    small_s3.objects["uploads/9.png"] = b"late"
    assert stores.read("uploads", "9.png") == b"late"


def test_a_store_that_holds_nothing_or_lets_nothing_be_read_says_nothing_of_one_object(small_s3):
    small_s3.refuses_list = (403, "AccessDenied")
    with pytest.raises(SourceUnavailableError, match="AccessDenied"):
        open_small().read("uploads", "9.png")
    small_s3.refuses_list = None
    small_s3.refuses = dict.fromkeys(small_s3.objects, (403, "AccessDenied"))
    with pytest.raises(SourceUnavailableError, match="AccessDenied"):
        open_small().read("uploads", "1.png")
    small_s3.objects.clear()
    with pytest.raises(SourceUnavailableError, match="it is empty"):
        open_small().read("uploads", "1.png")


def test_a_missing_object_costs_one_request_more(small_s3):
    stores = open_small()
    stores.read("uploads", "0.png")
    small_s3.asked.clear()
    with pytest.raises(SourceMissingError):
        stores.read("uploads", "9.png")
    assert small_s3.asked[-1] == "GET uploads/0.png"
    assert len(small_s3.asked) <= 3


def test_no_credentials_is_a_matter_of_waiting(small_s3, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(SourceUnavailableError, match="does not answer: Unable to locate credentials"):
        open_small().read("uploads", "0.png")


class Failing:
    """Stands in for a filesystem of fsspec that is not S3; other objects than one can be read."""

    protocol = "memory"

    def __init__(self, failure=None, *, size=5, data=b"a cat"):
        self.failure, self.size, self.data = failure, size, data

    def info(self, path):
        if self.failure and path == "bucket/cat.png":
            raise self.failure
        return {"type": "file", "size": self.size}

    def cat_file(self, _path, *, start, end):
        return self.data[start:end]


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        (PermissionError("403"), SourceNotReadyError, "access denied"),
        (FileNotFoundError("404"), SourceMissingError, "there is no object"),
        (OSError(errno.EBUSY, "slow down"), RemoteUnavailableError, "cannot be read"),
        (ConnectionResetError("reset"), SourceUnavailableError, "does not answer"),
        (TimeoutError("slow"), RemoteUnavailableError, "did not arrive within 30 s"),
        (OSError(errno.EIO, "what?"), RemoteUnavailableError, "cannot be read"),
        (RuntimeError("a client's own"), RemoteUnavailableError, "cannot be read"),
        (OSError(errno.EINVAL, "no such name"), SourceError, "cannot be read"),
    ],
)
def test_what_a_store_answers_decides_what_follows(failure, kind, words):
    root = _RemoteRoot("uploads", Failing(failure), "bucket", LIMITS, 30, (ConnectionError,))
    assert root.read("dog.png") == b"a cat"
    with pytest.raises(kind, match=words) as error:
        root.read("cat.png")
    assert type(error.value) is kind


def test_an_object_that_grows_while_it_is_read_is_refused():
    root = _RemoteRoot("uploads", Failing(data=b"x" * 500), "bucket", LIMITS, 30, ())
    with pytest.raises(UndecodablePictureError, match="101 bytes"):
        root.read("cat.png")


@pytest.mark.parametrize(
    ("name", "root", "words"),
    [
        ("uploads", "http://a.b/c", "the root of uploads is 'http://a.b/c'"),
        ("uploads", "ftp://a.b/c", "the root of uploads is"),
        ("uploads", "/srv/uploads", "the root of uploads is"),
        ("uploads", "simplecache::s3://bucket", "the root of uploads is"),
        ("uploads", "s3://", "names no folder or bucket"),
        ("uploads", "file:///", "names no folder or bucket"),
        ("uploads", "memory://", "names no folder or bucket"),
        ("Uploads!", "s3://bucket", "'Uploads!' is not the name of a store"),
        ("uploads", "gs://bucket", "needs a package that is not installed"),
    ],
)
def test_a_root_that_is_none_is_refused_at_the_start(name, root, words):
    with pytest.raises(SettingsError, match="MODERATION_OBJECT_STORES: ") as refused:
        ObjectStores.open({name: root}, LIMITS, seconds=30)
    assert words in refused.value.message
    assert refused.value.hint or "names no" in words
