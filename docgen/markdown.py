"""Pieces of Markdown that mean the same to every renderer, whatever characters are in the text."""

import html
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

#: What Markdown reads as markup, outside code.
_MARKUP: Final = re.compile(r"([\\*\[\]]|(?<!\w)_|_(?!\w))")
#: Code in a description, between backticks.
_CODE: Final = re.compile(r"`([^`]+)`")


def code(text: str) -> str:
    """Return text as code, also if it contains what ends a cell of a table or a code span."""
    if "|" in text or "`" in text:
        return f"<code>{_escaped(text)}</code>"
    return f"`{text}`"


def prose(text: str) -> str:
    """Return a description as one line: what is between backticks is code, and all else is text."""
    pieces = _CODE.split(" ".join(text.split()))
    return "".join(code(piece) if number % 2 else _escaped(piece) for number, piece in enumerate(pieces))


def paragraphs(text: str) -> str:
    """Return a description of several paragraphs, with empty lines between."""
    return "\n\n".join(prose(paragraph) for paragraph in re.split(r"\n\s*\n", text.strip()))


def link(text: str, target: str) -> str:
    """Return a link; `text` is Markdown."""
    return f"[{text}]({target})"


def anchor(heading: str) -> str:
    """Return the anchor of a heading of plain text, as Python-Markdown makes it."""
    ascii_only = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii_only).strip().lower())


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of cells that are Markdown."""
    names = list(header)
    lines = [names, ["---"] * len(names), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fence(language: str, text: str) -> str:
    """Return a block of code."""
    longest = max(map(len, re.findall(r"`{3,}", text)), default=2)
    marks = "`" * (longest + 1)
    return f"{marks}{language}\n{text.rstrip()}\n{marks}"


def blocks(*texts: str) -> str:
    """Return what is not empty, with empty lines between."""
    return "\n\n".join(text for text in texts if text)


def page(title: str, opening: str, sections: Mapping[str, str]) -> str:
    """Return a page: its title, its first sentence, the list of its sections, and these by their headings."""
    contents = "\n".join(f"- {link(_escaped(heading), '#' + anchor(heading))}" for heading in sections)
    parts = [blocks(f"## {_escaped(heading)}", body) for heading, body in sections.items()]
    return blocks(f"# {title}", opening, contents, *parts) + "\n"


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\1", _entities(text))


def _entities(text: str) -> str:
    return html.escape(text, quote=False).replace("|", "&#124;").replace("`", "&#96;")
