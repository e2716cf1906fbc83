"""An uploaded picture is there whole under its name, or not at all."""

import hashlib
import os

import pytest

from worker.errors import UnavailableError, UndecodablePictureError
from worker.images.limits import Limits
from worker.images.sources.uploads import Uploads

DATA = b"a picture"


@pytest.fixture
def uploads(tmp_path):
    return Uploads(tmp_path, Limits(max_bytes=10, max_pixels=1, max_side=1, max_frames=1))


def files(uploads):
    return [path for path in uploads.media_root.rglob("*") if path.is_file()]


def receive(uploads, data=DATA, submission_id="upload-7"):
    with uploads.receiving() as picture:
        picture.write(data)
        assert picture.sha256 == hashlib.sha256(data).hexdigest()
        return uploads.keep(picture, submission_id)


def test_what_is_kept_is_whole_and_has_a_name_of_its_own(uploads):
    kept = receive(uploads)
    uploads.confirm(kept)
    assert files(uploads) == [uploads.media_root / kept.path]
    assert (uploads.media_root / kept.path).read_bytes() == DATA
    # Deleting one of two equal ones must not take the other away.
    again = receive(uploads)
    uploads.discard(again)
    assert files(uploads) == [uploads.media_root / kept.path]


def test_what_is_not_kept_is_gone(uploads):
    with uploads.receiving() as picture:
        picture.write(DATA)
    assert files(uploads) == []
    uploads.discard(receive(uploads))
    assert files(uploads) == []


def test_a_picture_that_grows_too_large_is_refused_while_it_comes(uploads):
    with uploads.receiving() as picture:
        picture.write(b"123456")
        with pytest.raises(UndecodablePictureError, match="at most 10"):
            picture.write(b"123456")
    assert files(uploads) == []


def test_a_media_root_that_cannot_be_written_is_away(uploads):
    (uploads.media_root / "web").write_text("in the way")
    with pytest.raises(UnavailableError, match="cannot take uploads"):
        receive(uploads)


def test_what_a_dead_process_left_is_swept(uploads):
    with uploads.receiving() as abandoned, uploads.receiving() as fresh:
        os.utime(abandoned.path, (0, 0))
        assert uploads.abandoned() == []
        assert files(uploads) == [fresh.path]


def test_what_was_never_confirmed_is_named_once_it_is_old(uploads):
    kept, fresh = receive(uploads), receive(uploads, b"fresh")
    assert uploads.abandoned() == []
    os.utime(uploads.media_root / "web/.pending" / kept.path.rpartition("/")[2], (0, 0))
    assert uploads.abandoned() == [kept]
    uploads.discard(kept)
    uploads.confirm(fresh)
    assert files(uploads) == [uploads.media_root / fresh.path]


def test_a_note_whose_writer_died_is_deleted(uploads):
    receive(uploads)
    note = uploads.media_root / "web/.pending/half"
    note.write_text("upload-7")
    os.utime(note, (0, 0))
    assert uploads.abandoned() == []
    assert not note.exists()
