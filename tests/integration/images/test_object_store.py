"""Objects by store and key: from a folder, from memory, and from a server that speaks S3."""

import errno
import logging
from collections.abc import Iterator
from pathlib import Path

import boto3
import fsspec
import pytest
from moto.server import ThreadedMotoServer

from worker.domain.submission import StoredObject
from worker.errors import (
    InvalidSubmissionError,
    RemoteUnavailableError,
    SettingsError,
    SourceError,
    SourceMissingError,
    SourceNotAllowedError,
    UnavailableError,
    UndecodablePictureError,
)
from worker.images.limits import Limits
from worker.images.object_store import ObjectStores, _RemoteRoot

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
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a server with our objects in a bucket, make it the one that AWS's variables name, yield its root."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": str(tmp_path_factory.mktemp("aws") / "config"),
        }.items():
            patch.setenv(name, value)
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
    assert type(away.value) is UnavailableError
    fsspec.get_filesystem_class("s3").clear_instance_cache()


class Failing:
    """Stands in for a filesystem of fsspec."""

    def __init__(self, failure=None, *, size=5, data=b"a cat"):
        self.failure, self.size, self.data = failure, size, data

    def info(self, _path):
        if self.failure:
            raise self.failure
        return {"type": "file", "size": self.size}

    def cat_file(self, _path, *, start, end):
        return self.data[start:end]


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        (PermissionError("403"), SourceNotAllowedError, "access denied"),
        (OSError(errno.EBUSY, "slow down"), UnavailableError, "does not answer"),
        (ConnectionResetError("reset"), UnavailableError, "does not answer"),
        (TimeoutError("slow"), RemoteUnavailableError, "did not arrive within 30 s"),
        (OSError(errno.EIO, "what?"), RemoteUnavailableError, "cannot be read"),
        (OSError(errno.EINVAL, "no such name"), SourceError, "cannot be read"),
    ],
)
def test_what_a_store_answers_decides_what_follows(failure, kind, words):
    root = _RemoteRoot("uploads", Failing(failure), "bucket", LIMITS, 30, (ConnectionError,))
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
