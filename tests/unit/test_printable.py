"""Untrusted text reaches a terminal as text: nothing in it is obeyed, and JSON reads back as it was."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.printable import one_line, printable, printable_json

ANYTHING = st.text(alphabet=st.characters(codec=None))
BIDIRECTIONAL = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;owned\x07post", r"\x1b[2J\x1b]0;owned\x07post"),
        (
            "\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\",
            "\\x1b]8;;https://evil.example\\x1b\\link\\x1b]8;;\\x1b\\",
        ),
        ("\x9b31mred", r"\x9b31mred"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("caf\udce9.jpg", r"caf\udce9.jpg"),
        ("over\rwritten\x08", r"over\rwritten\x08"),
        ("[red]:cat:[/red] Grüße 猫 👩‍🚀 مرحبا", "[red]:cat:[/red] Grüße 猫 👩‍🚀 مرحبا"),
        ("two\n\tlines", "two\n\tlines"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text, shown):
    assert printable(text) == shown


@given(ANYTHING)
def test_nothing_is_left_that_controls_a_terminal(text):
    shown = printable(text)
    shown.encode()
    assert not any(character in BIDIRECTIONAL for character in shown)
    assert {
        character for character in shown if unicodedata.category(character) in {"Cc", "Zl", "Zp", "Cs"}
    } <= {"\n", "\t"}
    assert printable(shown) == shown


@given(ANYTHING)
def test_one_line_stays_one(text):
    assert len(one_line(text).splitlines()) <= 1


@given(st.dictionaries(ANYTHING, st.lists(ANYTHING)), st.sampled_from([None, 2]))
def test_json_is_the_same_value_and_shows_nothing_unsafe(value, indent):
    text = printable_json(value, indent=indent)
    assert json.loads(text) == json.loads(json.dumps(value))
    assert printable(text) == text
