"""Detects the kind of a file by its first bytes, never by its name."""

import re
from typing import Final

from worker.errors import UndecodableKind

_Kind = UndecodableKind
_BEGINNINGS: Final = (
    (re.compile(rb"%PDF-"), _Kind.PDF),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), _Kind.TIFF),
    (re.compile(rb"\0\0[\1\2]\0[^\0]"), _Kind.ICO),
    (re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"), _Kind.JPEG_2000),
    (re.compile(rb"\0\0\0\x0cJXL \r\n\x87\n|\xff\x0a"), _Kind.JPEG_XL),
    (re.compile(rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL), _Kind.HEIC),
    (re.compile(rb"8BPS"), _Kind.PHOTOSHOP),
    (re.compile(rb"....ftyp(?:M4A|M4B)|ID3|fLaC|RIFF....WAVE|\xff[\xf1-\xfb]", re.DOTALL), _Kind.AUDIO),
    (re.compile(rb"....(?:ftyp|moov)|RIFF....AVI ", re.DOTALL), _Kind.VIDEO),
    (re.compile(rb"\x1a\x45\xdf\xa3|OggS|FLV\x01|\0\0\x01[\xb3\xba]"), _Kind.VIDEO),
    (re.compile(rb"PK\x03\x04.{26}(?:mimetype|\[Content_)", re.DOTALL), _Kind.OFFICE),
    (re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1|\{\\rtf"), _Kind.OFFICE),
    (re.compile(rb"PK[\3\5]|Rar!\x1a|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd"), _Kind.ARCHIVE),
)
#: Comments, a declaration and white space may precede an SVG's root.
_SVG: Final = re.compile(rb"<(?:\w+:)?svg[\s>/]")
_MARKUP: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<[?!\w]")
_INSPECTED_BYTES: Final = 4096
_JUDGED: Final = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"
    rb"|....ftypavi[fs]",
    re.DOTALL,
)

#: Names of the kinds in reasons.
NAMES: Final = {
    _Kind.PDF: "a PDF",
    _Kind.TIFF: "a TIFF picture",
    _Kind.ICO: "an icon (ICO)",
    _Kind.JPEG_2000: "a JPEG 2000 picture",
    _Kind.JPEG_XL: "a JPEG XL picture",
    _Kind.HEIC: "a HEIC picture",
    _Kind.PHOTOSHOP: "a Photoshop file",
    _Kind.AUDIO: "a sound file",
    _Kind.VIDEO: "a video",
    _Kind.OFFICE: "an office document",
    _Kind.ARCHIVE: "an archive",
    _Kind.SVG: "an SVG drawing",
}


def is_judged(data: bytes) -> bool:
    """Whether a file begins like one of a format that is decoded."""
    return _JUDGED.match(data) is not None


def kind_of(data: bytes) -> UndecodableKind:
    """Return the kind of a file; OTHER if its first bytes match none."""
    head = data[:_INSPECTED_BYTES]
    for beginning, kind in _BEGINNINGS:
        if beginning.match(head):
            return kind
    return _Kind.SVG if _MARKUP.match(head) and _SVG.search(head) else _Kind.OTHER
