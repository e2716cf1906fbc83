"""Finds markup around phrases that were copied from elsewhere: HTML, Markdown, bullets, separators."""

import html
import html.entities
import re
from typing import Final

from worker.policy_files.yaml_text.problems import quote

#: A message and a hint.
Hint = tuple[str, str]

_PLAIN: Final = "write the words alone"
_TAG: Final = re.compile(r"</?[A-Za-z][^<>]*>|<!--")
_ENTITY: Final = re.compile(r"&(?:#\d+|#[xX][\da-fA-F]+|[A-Za-z]\w*);")
#: Stars, underscores, tildes or backticks around words; a heading; a link.
_MARKDOWN: Final = re.compile(
    r"(?P<mark>\*{1,3}|(?<!\w)_{1,3}|~~|`{1,3})(?=[^\s*_~`])[^*_~`]+(?<=\S)(?P=mark)(?!\w)"
    r"|^#{1,6} |\]\([^)]*\)"
)
#: A dash, a bullet or a number, as lists have in a word processor or on a web page.
_BULLET: Final = re.compile(
    r"^\s*(?:[-+](?![\d-])|[*\u2010-\u2015\u2022\u2023\u2043\u2212\u2219\u25a0-\u25cf\u25e6\u00b7\uf0b7]"
    r"|\d{1,2}[.)](?=\s))\s*(?=\S)"
)
_SEPARATORS: Final = re.compile("[;|\uff1b\uff0c\u3001\u060c\u061b]")


def wrapper_of(written: str) -> Hint | None:
    """Return a message and a hint about the markup in a phrase as it is written, or None."""
    if entity := _entity(written):
        return entity
    if tag := _TAG.search(written):
        return f"{quote(tag[0])} is HTML, and the model reads it", _PLAIN
    if found := _MARKDOWN.search(written):
        return f"{quote(found[0])} is Markdown, and the model reads its signs", _PLAIN
    if bullet := bullet_of(written):
        return f"{quote(bullet)} is part of this phrase, and the model reads it", _PLAIN
    if separator := _SEPARATORS.search(_ENTITY.sub("", written)):
        return (
            f"{quote(separator[0])} is part of this phrase, which is one phrase to the model",
            "if these are several, write each as an item of the list, with a plain comma between them",
        )
    return None


def bullet_of(text: str) -> str:
    """Return the bullet that a text begins with, other than YAML's, or ""."""
    found = _BULLET.match(text)
    return found[0].strip() if found else ""


def _entity(written: str) -> Hint | None:
    for entity in _ENTITY.findall(written):
        if entity[1] != "#" and entity[1:] not in html.entities.html5:
            continue
        meant = html.unescape(entity)
        shows = meant not in {"", "\N{REPLACEMENT CHARACTER}"} and (meant.isprintable() or meant.isspace())
        return (
            f"{quote(entity)} is HTML, and the model reads it letter by letter",
            f"write the character itself: {quote(html.unescape(written))}" if shows else "remove it",
        )
    return None
