"""Every kind of source through the one reader, as a deployment assembles it."""

import hashlib
import json

import fsspec
import pytest
from moderation_client.submission import ImageUrl, InlineBytes, LocalFile, StoredObject

from worker.errors import SettingsError, SourceError, SourceNotAllowedError, UndecodablePictureError
from worker.images.sources.reader import verify_sha256
from worker.settings import Settings
from worker.wiring.components import image_reader


@pytest.fixture
def reader(tmp_path, monkeypatch):
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "cat.png").write_bytes(b"a cat on disk")
    fsspec.filesystem("memory").pipe("/reader/cat.png", b"a cat in store")
    monkeypatch.setenv("MODERATION_OBJECT_STORES", json.dumps({"uploads": "memory://reader"}))
    return image_reader(Settings.read(media_root=tmp_path / "media", max_picture_bytes=100))


@pytest.mark.parametrize(
    ("source", "data"),
    [
        (LocalFile("cat.png"), b"a cat on disk"),
        (InlineBytes(b"a cat"), b"a cat"),
        (StoredObject("uploads", "cat.png"), b"a cat in store"),
    ],
)
def test_each_kind_is_read_from_where_it_is(reader, source, data):
    assert reader.read(source) == data


@pytest.mark.parametrize(
    "url", ["https://cdn.example.com/cat.png", "http://127.0.0.1/", "http://169.254.169.254/"]
)
def test_by_default_no_url_is_fetched(reader, url):
    with pytest.raises(SourceNotAllowedError, match="is not allowed here") as refused:
        reader.read(ImageUrl(url))
    assert "MODERATION_URL_HOSTS" in refused.value.hint


def test_any_public_address_is_not_this_machine(tmp_path):
    reader = image_reader(Settings.read(media_root=tmp_path, url_hosts="any-public"))
    for url in ("http://127.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/"):
        with pytest.raises(SourceNotAllowedError, match="has the address"):
            reader.read(ImageUrl(url))


def test_too_many_bytes_inside_the_message_are_refused(reader):
    with pytest.raises(UndecodablePictureError, match="101 bytes"):
        reader.read(InlineBytes(b"x" * 101))


@pytest.mark.parametrize(
    "wrong",
    [
        {"url_hosts": "https://cdn.example.com"},
        {"object_stores": {"up": "http://a.b"}},
        {"object_stores": "uploads"},
    ],
)
def test_settings_that_name_nothing_are_refused_at_the_start(wrong):
    with pytest.raises(SettingsError):
        image_reader(Settings.read(**wrong))


def test_bytes_that_were_promised_pass():
    verify_sha256(b"a cat", hashlib.sha256(b"a cat").hexdigest())
    verify_sha256(b"a cat", None)


def test_other_bytes_than_were_promised_are_refused():
    with pytest.raises(SourceError, match="promised " + "0" * 64):
        verify_sha256(b"a dog", "0" * 64)
