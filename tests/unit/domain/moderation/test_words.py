"""Whole words are found in any script and any case, and only whole ones."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.moderation.words import Tokens, Words, is_word


def found(word, text):
    return bool(Words([word]).first_in(Tokens.of(text)))


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("ak47", "cheap AK47 for sale"),
        ("ak47", "ak47"),
        ("AK-47", "cheap_ak_47.jpg"),
        ("ak 47", "an ak.47!"),
        ("assault rifle", "my new assault\n  rifle"),
        ("gun", "#gun #love"),
        ("gun", "(gun)"),
        ("gun", "g\u200bun, hidden by an invisible character"),
        ("gun", "\uff27\uff35\uff2e in full-width letters"),
        (
            "gun",
            "\N{CIRCLED LATIN CAPITAL LETTER G}\N{CIRCLED LATIN CAPITAL LETTER U}\N{CIRCLED LATIN CAPITAL LETTER N}",
        ),
        ("straße", "STRASSE 7"),
        ("istanbul", "\u0130stanbul"),
        ("оружие", "Купить ОРУЖИЕ дёшево"),
        ("σπαθί", "ΣΠΑΘΊ"),
        ("हथियार", "सस्ता हथियार यहाँ"),
        ("سلاح", "سلاح للبيع"),
        ("枪", "卖枪支"),
        ("枪支", "卖枪支ak47便宜"),
        ("ak47", "卖枪支ak47便宜"),
        ("ナイフ", "新しいナイフです"),
        ("ปืน", "ขายปืนราคาถูก"),
        ("총", "이 총 팝니다"),
        ("🔫", "look🔫\ufe0f"),
        ("don't", "I DON\N{RIGHT SINGLE QUOTATION MARK}T know"),
    ],
)
def test_a_word_is_found_however_it_is_written(word, text):
    assert found(word, text)
    # File names from macOS are decomposed.
    assert found(word, unicodedata.normalize("NFD", text))
    assert found(unicodedata.normalize("NFD", word), text)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("gun", "begun"),
        ("gun", "gunther"),
        ("gun", "guns"),
        ("gun", "gun2"),
        ("ak47", "ak 47"),
        ("ak 47", "ak47"),
        ("assault rifle", "a rifle, an assault"),
        ("हथ", "हथियार"),
        ("оружи", "оружие"),
        ("cafe", "café"),
        ("gun", ""),
        ("gun", "..."),
    ],
)
def test_a_part_of_a_word_is_not_found(word, text):
    assert not found(word, text)


def test_the_first_of_the_words_is_named_as_it_was_written():
    words = Words(["rifle", "AK-47", "ak 47"])
    assert words.first_in(Tokens.of("an ak-47, which is a rifle")) == "rifle"
    assert words.first_in(Tokens.of("an ak-47")) == "AK-47"
    assert Words([]).first_in(Tokens.of("an ak-47")) == ""


def test_words_are_placed_in_the_text_for_people_to_see():
    text = "Cheap AK_47, 卖枪支, ak 47 47"
    tokens = Tokens.of(text)
    places = Words(["ak-47", "枪", "枪支", "47 47"]).places_in(tokens)
    assert [tokens.text[start:end] for start, end in places] == ["AK_47", "枪支", "ak 47 47"]


@pytest.mark.parametrize("text", ["", " ", "!!!", "\u200b", "_-_"])
def test_what_has_no_letter_is_no_word(text):
    assert not is_word(text)


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_every_word_is_found_in_what_contains_it_between_spaces(before, word, after):
    if is_word(word):
        assert found(word, f"{before} {word} {after}")


@given(st.text(max_size=60), st.lists(st.text(max_size=6).filter(is_word), max_size=4))
def test_places_are_in_order_inside_the_text_and_there_if_a_word_is_found(text, words):
    tokens, looked_for = Tokens.of(text), Words(words)
    places = looked_for.places_in(tokens)
    assert bool(places) == bool(looked_for.first_in(tokens))
    ends = [0]
    for start, end in places:
        assert ends[-1] <= start < end <= len(tokens.text)
        ends.append(end)
