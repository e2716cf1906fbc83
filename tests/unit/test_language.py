"""The code speaks the language of its field: CONTRIBUTING.md, "How we write"."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("worker", "client/moderation_client")
#: In docstrings, comments and texts, for each 10,000 words.
AT_MOST = {
    r"where": 30,
    r"tells?|told": 3,
    r"nobody": 3,
    r"whoever": 3,
    r"in hand": 3,
    r"(is|are) none": 3,
}
IF_AT_LEAST = 60


@cache
def prose() -> str:
    """Return the docstrings and the comments of the packages."""
    paths = (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))
    texts = [path.read_text(encoding="utf-8") for path in paths]
    return " ".join(sentence for text in texts for sentence in (*docstrings(text), *comments(text)))


def docstrings(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            yield ast.get_docstring(node) or ""


def comments(text: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not re.search("noqa|type:", token.string):
            yield token.string.lstrip("#: ")


def per_ten_thousand(pattern: str, text: str) -> float:
    return 10_000 * len(re.findall(rf"\b({pattern})\b", text, re.IGNORECASE)) / len(text.split())


@pytest.mark.parametrize("pattern", AT_MOST)
def test_old_words_do_not_come_back(pattern):
    assert per_ten_thousand(pattern, prose()) <= AT_MOST[pattern]


def test_conditions_are_written_with_if():
    assert per_ten_thousand("if", prose()) >= IF_AT_LEAST
