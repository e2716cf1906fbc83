"""What looks the same is one phrase, what cannot be seen is refused, and old versions are still understood."""

# ruff: noqa: RUF001 - letters that look like others are what this is about

import pytest

from worker.domain.policies.stored_policy import StoredPolicy
from worker.errors import InvalidPolicyError
from worker.policy_files.parser import parse_policy
from worker.policy_files.stored import parse_stored
from worker.policy_files.text.characters import first_invisible
from worker.policy_files.text.confusable import foreign_letter

TEXT = """name: p
background: [a person]
labels:
  weapons:
    prompts: [a knife]
"""


def prompts(phrases, **how):
    return parse_policy(TEXT.replace("a knife", phrases), "p.yaml", **how).labels[0].prompts


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a caf\u00e9", "a café"),
        ("a cafe\u0301", "a café"),
        ("\uff41 \uff4b\uff4e\uff49\uff46\uff45", "a knife"),
        ("a \U0001d424\U0001d427\U0001d422\U0001d41f\U0001d41e", "a knife"),
        ("a kni\ufb01", "a knifi"),
        ('"a\\tknife"', "a knife"),
        ("a   knife", "a knife"),
        ("a g\u00fcrtel", "a gürtel"),
    ],
)
def test_a_phrase_has_one_spelling(written, read):
    assert prompts(written) == (read,)


def test_spellings_of_one_phrase_count_once_and_contradict_each_other():
    assert prompts("a caf\u00e9, a cafe\u0301") == ("a café",)
    with pytest.raises(InvalidPolicyError, match="is also a background phrase"):
        prompts("\uff41 person")


@pytest.mark.parametrize(
    "character",
    [
        *"\u00a0\u1680\u2002\u200a\u202f\u205f\u3000",
        *"\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e\u034f",
        *"\u200e\u200f\u061c\u202a\u202e\u2066\u2069",
        *"\u115f\u3164\uffa0\u2800\u17b4",
        *"\ufe0f\ufe00\U000e0100\u180b",
        *"\ue000\U000e0041\uffff\ufdd0",
    ],
    ids=ascii,
)
@pytest.mark.parametrize("escaped", [False, True])
def test_a_character_that_shows_nothing_is_refused(character, escaped):
    written = f"\\U{ord(character):08x}" if escaped else character
    if not escaped and character == "\uffff":
        pytest.skip("PyYAML itself refuses it")
    with pytest.raises(InvalidPolicyError, match=rf"p\.yaml:5:.*U\+{ord(character):04X}"):
        prompts(f'"a{written} knife"')


@pytest.mark.parametrize(
    "phrase",
    [
        "a knife",
        "نیم\u200cفاصله",
        "क्\u200dष",
        "T恤",
        "café",
        "a stop-sign, 5%",
        "❤ 🔫",
        "ナイフ",
        "\U0001fae9",
    ],
)
def test_what_shows_is_taken(phrase):
    assert first_invisible(phrase) is None


@pytest.mark.parametrize(
    ("phrase", "letter"),
    [
        ("a kn\u0456fe", "\u0456"),
        ("a \u0441ar", "\u0441"),
        ("a ph\u03bfto", "\u03bf"),
        ("T恤 and Tシャツ", ""),
        ("a нож", ""),
        ("an α-helix", ""),
        ("café", ""),
        ("5µm", ""),
    ],
)
def test_a_letter_of_another_alphabet_is_found_within_a_word(phrase, letter):
    assert foreign_letter(phrase) == letter


@pytest.mark.parametrize("old", ["a\u200b knife", "a\u00a0knife", "a kn\u0456fe"])
def test_a_version_that_was_in_force_is_still_understood(old):
    with pytest.raises(InvalidPolicyError):
        prompts(old)
    assert prompts(old, was_in_force=True) == (old.replace("\u00a0", " "),)


@pytest.mark.parametrize("phrase", ["Pokémon™", "a gun…", "5 m²", "a cafe\u0301"])
def test_a_stored_version_keeps_the_digest_of_its_time(phrase):
    text = TEXT.replace("a knife", phrase)
    now, before = parse_policy(text, "p.yaml"), parse_policy(text, "p.yaml", was_in_force=True)
    assert before.labels[0].prompts == (phrase,)
    assert now.digest != before.digest
    for version in (now, before):
        assert parse_stored(StoredPolicy(text, version.digest), "p.yaml") == version


def test_phrases_that_became_one_later_are_still_two_in_a_stored_version():
    text = TEXT.replace("a person", "a 2 cat").replace("a knife", "a ² cat")
    with pytest.raises(InvalidPolicyError, match="is also a background phrase"):
        parse_policy(text, "p.yaml")
    assert parse_policy(text, "p.yaml", was_in_force=True).labels[0].prompts == ("a ² cat",)


@pytest.mark.parametrize(
    ("phrase", "read"),
    [
        ("a red heart ❤\ufe0f", "a red heart ❤"),
        ("key 1\ufe0f\u20e3", "key 1\u20e3"),
        ("👨\u200d👩\u200d👧", "👨👩👧"),
        ("🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "🏴"),
        ("🏳\ufe0f\u200d🌈 👍🏽", "🏳🌈 👍🏽"),
    ],
    ids=ascii,
)
def test_emoji_are_taken_without_what_joins_them(phrase, read):
    assert prompts(phrase) == (read,)


def test_a_selector_outside_an_emoji_is_refused_at_its_own_place():
    with pytest.raises(InvalidPolicyError, match=r"p\.yaml:5:20: VARIATION SELECTOR-16"):
        prompts("❤\ufe0f gu\ufe0fn")


@pytest.mark.parametrize(
    ("phrase", "read"),
    [
        ("a 5\u00b5m mesh", "a 5\u03bcm mesh"),
        ("a \u00b5Torrent logo", "a \u03bcTorrent logo"),
        ("10 k\u2126 resistor", "10 k\u03a9 resistor"),
        ("10 k\u03a9 resistor", "10 k\u03a9 resistor"),
        ("a \u0394t", "a \u0394t"),
    ],
)
def test_signs_of_science_are_no_foreign_letters(phrase, read):
    assert prompts(phrase) == (read,)


def test_braces_that_become_plain_ones_are_no_second_gap():
    with pytest.raises(InvalidPolicyError, match=r"p\.yaml:6:13: .*has other braces than plain ones"):
        parse_policy(TEXT + "templates: ['a photo of {} ｛｝']\n", "p.yaml")


def test_thresholds_of_zero_are_still_understood_where_they_were_in_force():
    text = TEXT + "    review: 0\n    block: 0\n"
    with pytest.raises(InvalidPolicyError, match=r"(?s)review: 0.*block: 0"):
        parse_policy(text, "p.yaml")
    label = parse_policy(text, "p.yaml", was_in_force=True).labels[0]
    assert (label.review, label.block) == (0, 0)


@pytest.mark.parametrize(
    "description",
    ["Armes\u00a0: x", "|\n      a\n      \u3000\u3000b", '"a\n     \u00a0b"', "zero\u200bwidth"],
)
def test_texts_for_people_may_hold_any_space(description):
    said = description if description[0] in '|"' else f'"{description}"'
    parse_policy(TEXT + f"    description: {said}\n", "p.yaml")


def test_a_byte_order_mark_at_the_beginning_is_none_of_the_words():
    parse_policy("\ufeff" + TEXT, "p.yaml")
    with pytest.raises(InvalidPolicyError, match=r"p\.yaml:1:2: NO-BREAK SPACE"):
        parse_policy("\ufeff\u00a0" + TEXT, "p.yaml")
