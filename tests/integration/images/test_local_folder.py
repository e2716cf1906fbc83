"""Files below a folder, and whatever tries to be read from outside it."""

import errno
import os
import socket
from pathlib import Path

import pytest

from worker.errors import (
    SourceError,
    SourceMissingError,
    SourceNotAllowedError,
    SourceNotReadyError,
    SourceUnavailableError,
    UnavailableError,
    UndecodablePictureError,
)
from worker.images.limits import Limits
from worker.images.sources.local_folder import LocalFolder

LIMITS = Limits(max_bytes=100, max_pixels=1_000, max_side=100, max_frames=4)


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.png").write_bytes(b"secret")
    return folder


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "media"
    (folder / "2026" / "july").mkdir(parents=True)
    (folder / "2026" / "july" / "cat.png").write_bytes(b"a cat")
    return folder


@pytest.fixture
def read(root):
    return LocalFolder(root, LIMITS).read


def test_a_file_below_the_root_is_read(read):
    assert read("2026/july/cat.png") == b"a cat"


def test_the_root_may_itself_be_reached_by_a_link(root, tmp_path):
    (tmp_path / "link").symlink_to(root)

    assert LocalFolder(tmp_path / "link", LIMITS).read("2026/july/cat.png") == b"a cat"


def test_a_link_that_stays_below_the_root_is_followed(root, read):
    (root / "latest").symlink_to("2026/july")
    (root / "pet.png").symlink_to(root / "latest" / "cat.png")

    assert read("pet.png") == b"a cat"


@pytest.mark.parametrize("path", ["../outside/secret.png", "2026/../../outside/secret.png", "..", "2026/.."])
def test_a_path_that_climbs_is_refused(read, path):
    with pytest.raises(SourceNotAllowedError, match=r"climbs with '\.\.'"):
        read(path)


def test_an_absolute_path_is_refused_even_below_the_root(root, read):
    with pytest.raises(SourceNotAllowedError, match="relative to the media root"):
        read(str(root / "2026" / "july" / "cat.png"))


@pytest.mark.parametrize("absolute", [True, False])
def test_a_link_to_a_file_outside_is_refused(root, outside, read, absolute):
    target = outside / "secret.png" if absolute else "../outside/secret.png"
    (root / "link.png").symlink_to(target)

    with pytest.raises(SourceNotAllowedError, match="leads out of the media root"):
        read("link.png")


def test_a_link_to_a_folder_outside_is_refused(root, outside, read):
    (root / "folder").symlink_to(outside)

    with pytest.raises(SourceNotAllowedError, match="leads out of the media root"):
        read("folder/secret.png")


def test_a_neighbour_whose_name_begins_like_the_root_is_outside(root, read):
    neighbour = root.parent / "media-private"
    neighbour.mkdir()
    (neighbour / "secret.png").write_bytes(b"secret")
    (root / "link.png").symlink_to(neighbour / "secret.png")

    with pytest.raises(SourceNotAllowedError):
        read("link.png")


@pytest.mark.parametrize("swap", [("2026/july/cat.png", "cat.png"), ("2026/july", ".")])
def test_what_is_swapped_for_a_link_after_the_check_is_refused(root, outside, read, monkeypatch, swap):
    (outside / "cat.png").write_bytes(b"secret")
    resolve = LocalFolder._resolve_beneath

    place, target = swap

    def resolve_and_swap(*arguments):
        resolved = resolve(*arguments)
        (root / place).rename(root / "aside")
        (root / place).symlink_to(outside / target)
        return resolved

    monkeypatch.setattr(LocalFolder, "_resolve_beneath", resolve_and_swap)

    with pytest.raises(SourceError):
        read("2026/july/cat.png")


def test_links_that_lead_in_a_circle_are_refused(root, read):
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")

    with pytest.raises(SourceNotAllowedError):
        read("one")


@pytest.mark.parametrize("path", ["missing.png", "missing/cat.png", "2026/july/cat.png/more"])
def test_a_missing_file_is_named(read, path):
    with pytest.raises(SourceMissingError, match=f"there is no file '{path}'"):
        read(path)


@pytest.mark.parametrize("path", [".", "2026", "2026/july/"])
def test_a_folder_is_refused(read, path):
    with pytest.raises(SourceNotAllowedError, match="not a regular file"):
        read(path)


@pytest.mark.timeout(10)
def test_a_pipe_is_refused_without_waiting_for_somebody_to_write(root, read):
    os.mkfifo(root / "pipe.png")

    with pytest.raises(SourceNotAllowedError, match="not a regular file"):
        read("pipe.png")


def test_a_socket_is_refused(root, read, monkeypatch):
    monkeypatch.chdir(root)  # the address of a socket may be at most 107 bytes long
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")

        with pytest.raises(SourceNotAllowedError):
            read("socket.png")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_refused(root, read):
    try:
        os.mknod(root / "zero.png", 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("devices cannot be made here")

    with pytest.raises(SourceError):
        read("zero.png")


@pytest.mark.parametrize("path", ["x" * 300, "/".join(["folder"] * 140) + "/" + "y" * 40])
def test_a_name_that_no_file_can_have_is_refused(read, path):
    with pytest.raises(SourceError):
        read(path)


@pytest.mark.parametrize("name", ["a\nb.png", "\x1b[31m.png"])
def test_an_error_shows_odd_names_in_one_line_of_plain_characters(read, name):
    with pytest.raises(SourceError) as refused:
        read(name)

    assert refused.value.message.isprintable()


def test_a_file_of_just_the_allowed_size_is_read(root, read):
    (root / "full.png").write_bytes(b"x" * 100)

    assert read("full.png") == b"x" * 100


def test_a_larger_file_is_refused_with_size_and_limit(root, read):
    (root / "large.png").write_bytes(b"x" * 101)

    with pytest.raises(UndecodablePictureError, match="the picture has 101 bytes; at most 100 are judged"):
        read("large.png")


def test_a_file_that_grows_while_it_is_read_is_refused(root, read, monkeypatch):
    (root / "growing.png").write_bytes(b"x" * 50)
    fdopen = os.fdopen

    def grow_and_open(*arguments, **options):
        (root / "growing.png").write_bytes(b"x" * 500)
        return fdopen(*arguments, **options)

    monkeypatch.setattr(os, "fdopen", grow_and_open)

    with pytest.raises(UndecodablePictureError, match="at most 100"):
        read("growing.png")


def failing_open(monkeypatch, number, *, of=None):
    """Let opening fail, of everything or of names that end so."""
    real_open = os.open

    def fail(path, *arguments, **options):
        if of is None or str(path).endswith(of):
            raise OSError(number, os.strerror(number))
        return real_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", fail)


@pytest.mark.parametrize("read_before", [True, False])
@pytest.mark.parametrize("name", ["EACCES", "EIO", "ESTALE", "ENOTCONN", "EMFILE", "ENFILE", "ENODEV"])
def test_while_no_file_can_be_read_the_folder_is_unavailable(root, read, monkeypatch, name, read_before):
    (root / "dog.png").write_bytes(b"a dog")
    if read_before:
        read("dog.png")
    number = getattr(errno, name)
    failing_open(monkeypatch, number)
    with pytest.raises(SourceUnavailableError, match=os.strerror(number).lower()) as refused:
        read("2026/july/cat.png")
    assert refused.value.resource == "the media root"


@pytest.mark.parametrize("read_before", [True, False])
@pytest.mark.parametrize("name", ["EACCES", "EIO", "ESTALE"])
def test_what_one_file_alone_refuses_is_about_that_file(root, read, monkeypatch, name, read_before):
    (root / "2026" / "dog.png").write_bytes(b"a dog")
    if read_before:
        read("2026/dog.png")
    number = getattr(errno, name)
    failing_open(monkeypatch, number, of="cat.png")
    with pytest.raises(SourceNotReadyError, match=os.strerror(number).lower()):
        read("2026/july/cat.png")


def test_the_only_file_says_nothing_of_the_folder_when_it_cannot_be_read(read, monkeypatch):
    failing_open(monkeypatch, errno.EIO, of="cat.png")
    with pytest.raises(SourceUnavailableError, match="no other picture"):
        read("2026/july/cat.png")


def test_an_empty_root_is_one_whose_disk_is_not_mounted(tmp_path):
    root = tmp_path / "media"
    root.mkdir()
    with pytest.raises(SourceUnavailableError, match="as if it were not mounted"):
        LocalFolder(root, LIMITS).read("cat.png")
    (root / ".keep").touch()
    with pytest.raises(SourceMissingError):
        LocalFolder(root, LIMITS).read("cat.png")


def test_a_root_that_comes_back_is_read_again(root, read):
    aside = root.rename(root.parent / "aside")
    with pytest.raises(SourceUnavailableError, match="is not there"):
        read("2026/july/cat.png")
    root.mkdir()
    with pytest.raises(SourceUnavailableError, match="it is empty"):
        read("2026/july/cat.png")
    root.rmdir()
    aside.rename(root)
    assert read("2026/july/cat.png") == b"a cat"


def test_a_search_for_another_file_looks_at_few(tmp_path, monkeypatch):
    root = tmp_path / "media"
    for n in range(300):
        (root / f"{n:03}").mkdir(parents=True)
    looked_at = []
    scan = os.scandir

    def counting(path):
        looked_at.append(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", counting)
    (root / "cat.png").touch()
    failing_open(monkeypatch, errno.EIO, of="cat.png")
    with pytest.raises((SourceNotReadyError, SourceUnavailableError)):
        LocalFolder(root, LIMITS).read("cat.png")
    assert len(looked_at) < 10


def test_no_descriptor_is_left_open(root, read):
    (root / "large.png").write_bytes(b"x" * 101)
    before = len(list(Path("/dev/fd").iterdir()))

    for path in ("2026/july/cat.png", "2026", "large.png", "missing.png"):
        try:
            read(path)
        except (SourceError, UndecodablePictureError):
            continue

    assert len(list(Path("/dev/fd").iterdir())) == before


def test_a_media_root_that_is_away_is_a_matter_of_waiting_and_not_of_the_picture(tmp_path):
    (tmp_path / "file").touch()

    for root in (tmp_path / "unmounted", tmp_path / "file"):
        with pytest.raises(UnavailableError, match="media root") as refused:
            LocalFolder(root, LIMITS).read("cat.png")

        assert "MODERATION_MEDIA_ROOT" in refused.value.hint
