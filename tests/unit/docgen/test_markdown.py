"""Whatever is in a description, its Markdown shows the same characters."""

import html
import re

import markdown
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from docgen import markdown as md

AWKWARD = [
    "a | b",
    "<script>",
    "a*b*c",
    "[x](y)",
    "snake_case_name",
    "_leading",
    "back\\slash",
    "&amp;",
    "`code | with <pipe>`",
]


def shown(text: str) -> str:
    """Return what a reader sees, in a repository's viewer and on the site alike."""
    of_viewer, of_site = (
        html.unescape(re.sub(r"<[^>]*>", "", rendered)).strip()
        for rendered in (
            MarkdownIt("commonmark").enable("table").render(text),
            markdown.markdown(text, extensions=["tables"]),
        )
    )
    assert "".join(of_viewer.split()) == "".join(of_site.split())
    return of_viewer


@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_text_is_shown_as_it_is_in_a_cell(text):
    table = md.table(["name", "meaning"], [["a", md.prose(text)]])
    assert shown(table).splitlines()[-1].strip() == text.replace("`", "")


@given(st.text(st.sampled_from("ab *_[]<>|&\\`#-+.!(){}~"), min_size=1).map(lambda text: f"a {text} b"))
def test_any_text_is_shown_as_it_is(text):
    # Spaces at the ends of code are not shown.
    expected = re.sub(r"`([^`]+)`", r"\1", " ".join(text.split()))
    assert "".join(shown(md.prose(text)).split()) == "".join(expected.split())


@pytest.mark.parametrize("text", ["a|b", "*a|b*", "a`b", "<list[str]>", "_x_", "a\\"])
def test_code_is_shown_as_it_is(text):
    assert shown(md.table(["a"], [[md.code(text)]])).splitlines()[-1].strip() == text


def test_a_block_of_code_may_contain_one():
    text = "```yaml\na: 1\n```"
    (token,) = MarkdownIt("commonmark").parse(md.fence("text", text))
    assert (token.info, token.content.strip()) == ("text", text)


def test_anchors_are_those_of_the_site():
    assert md.anchor("POST /v1/submissions/{submission_id}") == "post-v1submissionssubmission_id"
    assert md.anchor("decision.made") == "decisionmade"
