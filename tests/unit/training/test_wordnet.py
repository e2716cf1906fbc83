"""WordNet's files as their manual, wndb(5WN), describes them."""

import pytest

from training.wordnet import WordNet

DATA = """\
  1 This software and database is being provided to you, the LICENSEE, by Princeton University.
00000001 03 n 01 entity 0 000 | that which is
00000002 06 n 02 weapon 0 arm 1 001 @ 00000001 n 0000 | for fighting
00000003 06 n 02 gun 0 side_arm 0 002 @ 00000002 n 0000 ~ 00000004 n 0000 | fires bullets
00000004 05 n 01 bat 0 001 @ 00000001 n 0000 | flies at night
00000005 06 n 01 bat 1 001 @ 00000002 n 0000 | hits balls
"""
INDEX = """\
  1 This software and database is being provided to you, the LICENSEE, by Princeton University.
arm n 1 1 @ 1 0 00000002
bat n 2 1 @ 2 1 00000005 00000004
entity n 1 0 1 1 00000001
gun n 1 2 @ ~ 1 1 00000003
side_arm n 1 2 @ ~ 1 0 00000003
weapon n 1 1 @ 1 1 00000002
"""


@pytest.fixture
def wordnet(tmp_path):
    (tmp_path / "data.noun").write_text(DATA)
    (tmp_path / "index.noun").write_text(INDEX)
    return WordNet.read(tmp_path)


def test_words_of_one_meaning_stand_together(wordnet):
    assert wordnet.synsets[wordnet.sense("gun", frozenset({6}))].words == ("gun", "side arm")


def test_the_kind_chooses_among_meanings(wordnet):
    assert wordnet.sense("bat", frozenset({5})) == 4
    assert wordnet.sense("bat", frozenset({6})) == 5
    assert wordnet.sense("bat", frozenset({13})) is None


def test_broader_meanings_leave_out_the_abstract_top(wordnet, monkeypatch):
    monkeypatch.setattr("training.wordnet.MIN_DEPTH", 1)
    assert list(wordnet.broader(3, levels=3)) == [2]


def test_common_nouns_are_attested_or_have_several_meanings(wordnet):
    assert wordnet.common_nouns == ("bat", "entity", "gun", "weapon")
