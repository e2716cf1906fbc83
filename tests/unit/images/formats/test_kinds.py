"""A file is what its first bytes say, whatever its name says."""

import io
import zipfile

import pytest
from PIL import Image
from support.pictures import drawing, encoded

from worker.errors import UndecodableKind
from worker.images.decoding.decoder import FORMATS
from worker.images.formats.kinds import is_judged, kind_of


def zipped(first):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(first, "x")
    return file.getvalue()


def box(brand):
    return b"\0\0\0\x18ftyp" + brand + bytes(12)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"%PDF-1.7\n%", "pdf"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "svg"),
        (b"\xef\xbb\xbf\n<?xml version='1.0'?><!-- a -->\n<!DOCTYPE svg>\n<svg:svg width='1'>", "svg"),
        (b"<html><body>a <b>page</b>", "other"),
        (b"words about <svg>", "other"),
        (encoded(drawing(), "TIFF"), "tiff"),
        (b"MM\0+\0\x08\0\0", "tiff"),
        (encoded(drawing(), "ICO"), "ico"),
        (b"\0\0\2\0\1\0 of a cursor", "ico"),
        (encoded(drawing(), "JPEG2000"), "jpeg_2000"),
        (encoded(drawing(), "JPEG2000", no_jp2=True), "jpeg_2000"),
        (b"\xff\x0a\x7f", "jpeg_xl"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "jpeg_xl"),
        (box(b"heic"), "heic"),
        (box(b"mif1"), "heic"),
        (b"8BPS\0\1", "photoshop"),
        (box(b"isom"), "video"),
        (box(b"qt  "), "video"),
        (b"\x1a\x45\xdf\xa3\x9f", "video"),
        (b"RIFF\x24\0\0\0AVI LIST", "video"),
        (b"\0\0\x01\xba\x44", "video"),
        (b"OggS\0\2", "video"),
        (box(b"M4A "), "audio"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio"),
        (b"ID3\4\0", "audio"),
        (b"\xff\xfb\x90\x64", "audio"),
        (zipped("[Content_Types].xml"), "office"),
        (zipped("mimetype"), "office"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "office"),
        (b"{\\rtf1", "office"),
        (zipped("holiday.jpg"), "archive"),
        (b"\x1f\x8b\x08", "archive"),
        (b"7z\xbc\xaf\x27\x1c", "archive"),
        (b"just words", "other"),
        (bytes(100), "other"),
        (b"", "other"),
    ],
)
def test_a_file_is_what_it_begins_with(data, kind):
    assert kind_of(data) is UndecodableKind(kind)
    assert not is_judged(data)


@pytest.mark.parametrize("kind", [name for name in FORMATS if name != "HEIF"])
def test_what_is_judged_is_no_other_kind(kind):
    data = encoded(drawing(), kind)

    assert is_judged(data)
    assert kind_of(data) in {UndecodableKind.OTHER, UndecodableKind.VIDEO}


def test_an_animated_avif_is_judged():
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]

    assert is_judged(encoded(frames[0], "AVIF", save_all=True, append_images=frames[1:]))
