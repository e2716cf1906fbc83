"""What is valid and hardly meant is said with its place: quotes that are part of a phrase, thresholds near 0."""

# ruff: noqa: RUF001 - letters that look like others are what this is about

from pathlib import Path

import pytest

from worker.policy_files.findings import Findings
from worker.policy_files.hints import add_hints
from worker.policy_files.parser import parse_policy
from worker.policy_files.text.quotation import quotes_around

TEXT = """name: p
templates: ["a photo of {}"]
background: [a person]
labels:
  weapons:
    prompts: [a handgun]
    lookalikes: [a toy]
"""


def hints(text):
    found = Findings(Path("p.yaml"), text)
    add_hints(parse_policy(text, "p.yaml"), found)
    return found.problems()


@pytest.mark.parametrize(
    ("phrase", "quotes"),
    [
        ("“a kitchen knife”", "“”"),
        ("„ein Messer“", "„“"),
        ("”en kniv”", "””"),
        ("«un couteau»", "«»"),
        ("「ナイフ」", "「」"),
        ("‘a knife’", "‘’"),
        ("‚ein Messer‘", "‚‘"),
        ("`a knife`", "``"),
        ("´a knife´", "´´"),
        ('"a knife"', '""'),
        ("'a knife'", "''"),
        ("″a knife″", "″″"),
        ("“stop” and “go”", "“”"),
        ("“a knife”.", "“”"),
        ("“a knife", "“"),
        ("a sword”", "”"),
        ("‘a knife", "‘"),
    ],
)
def test_quotes_of_every_kind_are_seen(phrase, quotes):
    assert quotes_around(phrase) == quotes


@pytest.mark.parametrize(
    "phrase",
    [
        "a knife",
        "a “stop” sign",
        "girls' clothes",
        "the '90s",
        "’90s hair",
        'a barrel of 5"',
        "a barrel of 5″",
        "x",
        '"',
        "“”",
        "o'clock",
    ],
)
def test_what_is_no_quotation_of_the_whole_is_left_alone(phrase):
    assert quotes_around(phrase) == ""


@pytest.mark.parametrize("old", ["a handgun", "a toy", "a person"])
def test_a_phrase_in_curly_quotes_is_named_with_its_place(old):
    text = TEXT.replace(old, f"“{old}”")
    (hint,) = hints(text)
    line = text.splitlines()[hint.line - 1]
    assert line[hint.column - 1] == "“"
    assert "the quotes “ ” are part of this phrase" in hint.message


@pytest.mark.parametrize("template", ["“a photo of {}”", "a photo of “{}”", "a photo of '{}'"])
def test_quotes_of_a_template_are_named_too(template):
    (hint,) = hints(TEXT.replace("a photo of {}", template))
    assert (hint.line, hint.column) == (2, 13)


@pytest.mark.parametrize(("review", "hinted"), [("0.001", True), ("0.049", True), ("0.05", False)])
def test_a_threshold_that_flags_nearly_everything_is_named(review, hinted):
    found = hints(TEXT + f"    review: {review}\n")
    assert [hint.message for hint in found] == (
        [f"review at {review} sends nearly every picture to a person"] if hinted else []
    )


@pytest.mark.parametrize(
    ("phrase", "said"),
    [
        ("'&ldquo;a knife&rdquo;'", '"&ldquo;" is HTML, and the model reads it letter by letter'),
        ("'a&#160;knife'", '"&#160;" is HTML, and the model reads it letter by letter'),
        ("'...'", "there is no word in this phrase"),
        ("🔪", "there is no word in this phrase"),
        ("'a &amp; b'", '"&amp;" is HTML, and the model reads it letter by letter'),
        ("'a &#0; b'", '"&#0;" is HTML, and the model reads it letter by letter'),
        ("'a &foo; b'", None),
        ("'<b>a knife</b>'", '"<b>" is HTML, and the model reads it'),
        ("'**a knife**'", '"**a knife**" is Markdown, and the model reads its signs'),
        ("_a knife_", '"_a knife_" is Markdown, and the model reads its signs'),
        ("a gun; a knife", '";" is part of this phrase, which is one phrase to the model'),
        ("a gun， a knife", '"，" is part of this phrase, which is one phrase to the model'),
        ("a gun、a knife", '"、" is part of this phrase, which is one phrase to the model'),
        ("• a gun", '"•" is part of this phrase, and the model reads it'),
        ("´a gun´", "the quotes ' ' are part of this phrase, and the model reads them"),
        ("″a gun″", 'the quotes " " are part of this phrase, and the model reads them'),
        ("'salt & pepper'", None),
        ("snake_case", None),
        ("a 5* hotel", None),
        ("'7'", None),
    ],
)
def test_what_came_from_a_web_page_or_says_nothing_is_named(phrase, said):
    found = hints(TEXT.replace("a handgun", phrase))
    assert [(hint.line, hint.message) for hint in found] == ([(6, said)] if said else [])


def test_nothing_is_said_of_a_plain_policy():
    assert hints(TEXT) == []
