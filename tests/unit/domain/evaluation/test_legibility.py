"""Which words a model cannot read, by the pieces that its tokenizer makes of them."""

# ruff: noqa: RUF001 - letters that look like others are what this is about

import pytest

from worker.domain.evaluation import legibility
from worker.domain.evaluation.legibility import lint_legibility, words_of
from worker.domain.policies.policy import Label, Policy

VOCABULARY = frozenset({"handgun", "knife", "kitchen", "photo", "cigarette", "sword"})


def policy_of(*prompts, **keys):
    return Policy("p", ("a person",), (Label("weapons", prompts),), **({"templates": ("{}",)} | keys))


def lint(policy, vocabulary=VOCABULARY, **pieces):
    """Lint with these pieces, separated by spaces, a - for an empty one; all other words are one piece."""
    read = {word: [word] for word in words_of(policy)}
    read |= {word: [piece.strip("-") for piece in said.split()] for word, said in pieces.items()}
    return lint_legibility(policy, read, vocabulary)


def messages(findings):
    return [(finding.phrase, finding.message) for finding in findings]


def test_a_word_with_a_piece_that_stands_for_nothing_is_named():
    (finding,) = lint(policy_of("a handgun", "a нож 🔪"), нож="н - -", **{"🔪": "-"})
    assert finding.at == ("labels", "weapons", "prompts")
    assert finding.phrase == "a нож 🔪"
    assert finding.message.startswith('the model cannot read "нож", "🔪"')


def test_background_lookalikes_and_templates_count_as_phrases():
    policy = Policy(
        "p", ("a ☃",), (Label("weapons", ("a gun",), lookalikes=("a ☂",)),), templates=("a ☎ of {}",)
    )
    findings = lint(policy, **{"☃": "-", "☂": "-", "☎": "-"})
    assert [(finding.at[-1], finding.phrase) for finding in findings] == [
        ("background", "a ☃"),
        ("lookalikes", "a ☂"),
        ("templates", "a ☎ of {}"),
    ]


@pytest.mark.parametrize(
    ("word", "pieces", "spelt"),
    [
        ("xqzvt", "x q z vt", True),
        ("hjkwq", "h j k w q", True),
        ("lhasa", "l ha sa", False),
        ("klan", "k l an", False),
        ("سكين", "س ك ي ن", True),
        ("нож", "н о ж", True),
        ("菜刀", "菜 刀", False),
        ("カッター", "カ ッ タ ー", False),
        ("1980", "1 9 8 0", False),
        ("हथियार", "ह थ ि य ा र", True),
    ],
)
def test_a_word_in_single_letters_is_none_that_the_model_knows(word, pieces, spelt):
    findings = lint(policy_of(f"a {word}"), **{word: pieces})
    assert messages(findings) == (
        [(f"a {word}", f'the model has no word for "{word}" and reads single letters')] if spelt else []
    )


@pytest.mark.parametrize(
    ("phrase", "spelt"), [("g u n", "g u n"), ("a h a n d gun", "a h a n d"), ("vitamin c", "")]
)
def test_letters_with_spaces_between_them_are_no_word(phrase, spelt):
    findings = lint(policy_of(phrase))
    assert bool(findings) is bool(spelt)
    assert spelt in "".join(finding.message for finding in findings)


def test_a_word_in_pieces_near_one_of_the_vocabulary_is_taken_for_misspelt():
    (finding,) = lint(policy_of("a handguun"), handguun="hand gu un")
    assert finding.message == 'the model has no word for "handguun", and one for "handgun"'
    assert finding.hint.startswith('did you mean "handgun"?')


@pytest.mark.parametrize(
    ("word", "pieces"),
    [
        ("kitchenn", "kitchen n"),
        ("swore", "sw ore"),
        ("cigarettes", "ciga re t te s"),
        ("syringe", "sy rin ge"),
        ("ab-c", "ab - c".replace("-", "x")),
    ],
)
def test_few_pieces_other_forms_and_words_near_nothing_are_left_alone(word, pieces):
    assert lint(policy_of(f"a {word}"), **{word: pieces}) == []


@pytest.mark.parametrize("around", ["{}!", "({})", "{}-gun", "{}1", "'{}'", "gun/{}"])
def test_signs_around_a_word_do_not_hide_that_it_is_spelt_out(around):
    word = around.format("xqzvt")
    findings = lint(policy_of(f"a {word}"), xqzvt="x q z vt")
    assert [finding.message for finding in findings] == [
        'the model has no word for "xqzvt" and reads single letters'
    ]


@pytest.mark.parametrize(
    ("word", "pieces"),
    [("knfe", "kn fe"), ("knief", "kni ef"), ("kn1fe", "k n 1 fe"), ("knif", "kni f"), ("Knif,", "kni f ,")],
)
def test_a_short_word_with_one_slip_is_taken_for_misspelt(word, pieces):
    run = word.strip(",")
    (finding,) = lint(policy_of(f"a {word}"), **{word: pieces, run: pieces.removesuffix(" ,")})
    assert finding.message == f'the model has no word for "{run}", and one for "knife"'


def test_a_word_is_looked_up_once_however_often_it_comes(monkeypatch):
    asked = []
    near = legibility._Slips.near
    monkeypatch.setattr(legibility._Slips, "near", lambda self, word: asked.append(word) or near(self, word))
    findings = lint(policy_of(*(f"{n} handguun" for n in range(50))), handguun="hand gu un")
    assert len(findings) == 50
    assert len(asked) <= 3


def test_a_model_that_does_not_say_where_words_end_corrects_nothing():
    assert lint(policy_of("a handguun"), frozenset(), handguun="hand gu un") == []
