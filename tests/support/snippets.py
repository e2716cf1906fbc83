"""The snippets of a page of the documentation, with the directives in comments above them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

_PARSER = MarkdownIt("commonmark").enable("table")


class PageError(AssertionError):
    """Something is wrong on a page; the message begins with its name and the line."""

    def __init__(self, page: Path, line: int, problem: str) -> None:
        super().__init__(f"{page}:{line}: {problem}")


@dataclass(frozen=True)
class Snippet:
    """A block of code, and what its directive says."""

    page: Path
    #: Of the opening fence, from 1.
    line: int
    language: str
    text: str
    #: The name of the file to write it to.
    file: str = ""
    in_background: bool = False
    #: What the output has once the background process is ready.
    wait_for: str = ""
    #: Why it cannot be run.
    not_run: str = ""

    def fails(self, problem: str) -> PageError:
        """Return the error that names this snippet."""
        return PageError(self.page, self.line, problem)


def parse(text: str) -> list[Token]:
    """Return the blocks of a page."""
    return _PARSER.parse(text)


def render(text: str) -> str:
    """Return a page as HTML, as viewers of repositories show it."""
    return str(_PARSER.render(text))


def snippets(page: Path) -> list[Snippet]:
    """Return the snippets in order; PageError for a block or a comment that nothing can be done with."""
    return list(_snippets(page, parse(page.read_text(encoding="utf-8"))))


def _snippets(page: Path, tokens: list[Token]) -> Iterator[Snippet]:
    comments = {token.map[1]: token for token in tokens if token.type == "html_block"}
    for token in tokens:
        if token.type == "code_block":
            raise PageError(page, token.map[0] + 1, "an indented block of code has no language; use a fence")
        if token.type == "fence":
            comment = comments.pop(token.map[0], None)
            yield _snippet(page, token, _directive(page, comment) if comment else {})
    for comment in comments.values():
        raise PageError(page, comment.map[0] + 1, "no block of code is directly below this comment")


def _snippet(page: Path, token: Token, directive: dict[str, object]) -> Snippet:
    line = token.map[0] + 1
    if not token.info.strip():
        raise PageError(page, line, "the block of code has no language")
    return Snippet(page, line, token.info.split()[0], token.content, **directive)


def _directive(page: Path, comment: Token) -> dict[str, object]:
    words = comment.content.strip().removeprefix("<!--").removesuffix("-->").strip()
    match words.partition(": "):
        case ["in background", "", ""]:
            return {"in_background": True}
        case ["in background, wait for", ": ", text]:
            return {"in_background": True, "wait_for": text}
        case ["file", ": ", name]:
            return {"file": name}
        case ["not run", ": ", reason]:
            return {"not_run": reason}
    raise PageError(page, comment.map[0] + 1, f"unknown directive: {words}")
