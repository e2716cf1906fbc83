"""`moderate policy check`, `test` and `schema`, as a policy editor meets them, with the bundled model."""

import json
import shutil

import numpy as np
import pytest
from support.tables import make_tables

from worker import resources
from worker.domain.evaluation.policy_lint import MIN_PICTURES
from worker.domain.moderation.picture import PictureFacts
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.errors import InvalidPolicyError
from worker.settings import Settings
from worker.store.decisions import embeddings
from worker.store.engine.database import Database
from worker.usecases.moderation.judge_picture import JudgePicture, vector_digest
from worker.wiring.components import limits_of, open_decoder, open_encoder
from worker.wiring.policies import open_policies

POLICIES = resources.folder("policies")
TEXT = """name: small
templates: ["a sticker of {}", "{}"]
background: [an ordinary picture, something else]
labels:
  weapons:
    prompts: [crossed swords, a dagger]
"""
TESTS = """tests:
  - picture: cases/crossed-swords.webp
    expect: {action: review, labels: [weapons]}
  - picture: cases/cat.jpg
    expect: {action: allow}
"""


@pytest.fixture
def file(tmp_path):
    folder = tmp_path / "policies"
    folder.mkdir()
    shutil.copytree(POLICIES / "cases", folder / "cases")
    (folder / "small.yaml").write_text(TEXT + TESTS, encoding="utf-8")
    return folder / "small.yaml"


def test_check_warns_with_places_and_hints_and_does_not_fail(moderate, file):
    twins = TEXT + "  blades:\n    prompts: [a dagger]\n    lookalikes: [a  Dagger]\n"
    file.write_text(twins.replace("a  Dagger", '"dagger, a dagger, a"'), encoding="utf-8")
    result = moderate("policy", "check", file)
    assert result.exit_code == 0
    assert (
        f'warning: {file}:8:15: "a dagger" of label blades and "a dagger" of label weapons are nearly'
        in result.err
    )
    assert "    8 |     prompts: [a dagger]\n      |               ^\n  hint: " in result.err
    assert "small.yaml: no problems (2 labels, 5 phrases, 0 tests" in result.out


@pytest.mark.parametrize("arguments", [(), ("--no-model",)])
def test_check_names_curly_quotes_that_switch_a_label_off(moderate, file, arguments):
    file.write_text(TEXT.replace("a dagger", "“a kitchen knife”"), encoding="utf-8")
    result = moderate("policy", "check", file, *arguments)
    assert result.exit_code == 0
    assert result.err == (
        f"warning: {file}:6:31: the quotes “ ” are part of this phrase, and the model reads them\n"
        "    6 |     prompts: [crossed swords, “a kitchen knife”]\n"
        "      |                               ^\n"
        "  hint: YAML takes off plain quotes, \" and ', and no others: write plain ones, or none\n"
    )


def test_check_names_every_phrase_that_the_model_cannot_read(moderate, file):
    phrases = "[нож, a dagger 🗡, d a g g e r, a d\u0430gger]"
    file.write_text(TEXT.replace("[crossed swords, a dagger]", phrases), encoding="utf-8")
    result = moderate("policy", "check", file)
    assert result.exit_code == 1
    assert f"{file}:6:48: CYRILLIC SMALL LETTER A (U+0430) in " in result.err
    file.write_text(file.read_text(encoding="utf-8").replace(", a d\u0430gger", ""), encoding="utf-8")
    result = moderate("policy", "check", file)
    assert result.exit_code == 0
    places = [line.split(":", 4)[1:4] for line in result.err.splitlines() if line.startswith("warning")]
    assert places == [[f" {file}", "6", "15"], [f" {file}", "6", "20"], [f" {file}", "6", "32"]]


def test_check_says_that_photographs_are_nothing_for_the_bundled_model(moderate):
    result = moderate("policy", "check", POLICIES / "default.yaml")
    assert result.exit_code == 0
    assert (
        f"warning: {POLICIES / 'default.yaml'}:20:1: the templates are for photographs, and the bundled model knows"
        in result.err
    )


def test_check_takes_a_folder_and_names_what_only_looks_like_a_policy(moderate, file):
    shutil.copy(file, file.with_name("small.yaml~"))
    shutil.copy(file, file.with_name("avatars.YAML"))
    shutil.copy(file, file.with_name("small (1).yaml"))
    file.with_name("README.md").write_text("# Policies", encoding="utf-8")
    result = moderate("policy", "check", "--no-model", file.parent)
    assert result.exit_code == 1
    assert (
        f"warning: {file.with_name('avatars.YAML')} is not read as a policy: its name does not" in result.err
    )
    assert (
        f"warning: {file}~ is not read as a policy: its name does not end in .yaml: small.yaml is"
        in result.err
    )
    assert "hint: small.yaml is there already: remove the copy, or give it another name" in result.err
    assert "README" not in result.err
    assert result.out.startswith(f"{file}: no problems (1 labels, ")
    empty = file.parent / "cases"
    result = moderate("policy", "check", empty)
    assert (result.exit_code, f"there is no policy in {empty}" in result.err) == (2, True)


def test_check_can_be_read_by_programs(moderate, file):
    file.write_text(TEXT.replace("a dagger", "“a dagger”"), encoding="utf-8")
    broken = file.with_name("broken.yaml")
    broken.write_text(TEXT.replace("name: small", "name: broken") + "    review: 0\n", encoding="utf-8")
    shutil.copy(file, file.with_name("avatars.YAML"))
    result = moderate("policy", "check", "--json", "--no-model", file.parent)
    assert result.exit_code == 1
    refused, warned, stray = json.loads(result.out)
    assert (refused["file"], refused["ok"], refused["policy"]) == (str(broken), False, None)
    (problem,) = refused["problems"]
    assert (problem["line"], problem["column"]) == (7, 13)
    assert problem["message"].startswith('"review: 0" sends every picture to a person')
    assert problem["hint"]
    assert (warned["ok"], warned["policy"], warned["problems"]) == (True, "small", [])
    assert [(one["line"], one["column"]) for one in warned["warnings"]] == [(6, 31)]
    assert (stray["file"], stray["ok"], stray["policy"]) == (str(file.with_name("avatars.YAML")), True, None)
    assert stray["warnings"][0]["line"] is None


def test_check_refuses_what_the_model_would_cut_off(moderate, file):
    long = "a dagger with a very long handle " * 5
    file.write_text(TEXT.replace("a dagger", long), encoding="utf-8")
    result = moderate("policy", "check", file, POLICIES / "stickers.yaml")
    assert result.exit_code == 1
    assert f"{file}:6:31: this phrase has " in result.err
    assert "stickers.yaml: no problems" in result.out
    assert "small.yaml: no problems" not in result.out


def test_check_without_the_model_only_reads(moderate, file):
    file.write_text(TEXT.replace("a dagger", "a dagger with a very long handle " * 5), encoding="utf-8")
    result = moderate("policy", "check", "--no-model", file, model="/nowhere")
    assert (result.exit_code, result.err) == (0, "")


def test_check_loads_no_model_for_files_that_cannot_be_read(moderate, file):
    file.write_text(TEXT + "treshold: 1\n", encoding="utf-8")
    result = moderate("policy", "check", file, model="/nowhere")
    assert result.exit_code == 1
    assert "did you mean" in result.err


def test_check_says_so_where_there_is_no_model(moderate, file):
    result = moderate("policy", "check", file, model="/nowhere")
    assert result.exit_code == 3
    assert "/nowhere" in result.err


def store_uploads(url: str, vectors) -> None:
    """Store so many embeddings as a worker under the bundled model would."""
    database = Database.connect(url)
    make_tables(database)
    settings = Settings.read()
    with open_encoder(settings) as encoder:
        digest = vector_digest(encoder, limits_of(settings))
    with database.transaction() as session:
        for number, vector in enumerate(vectors):
            facts = PictureFacts(f"{number:064}", "PNG", 1, 1, 1)
            embeddings.keep(session, digest, [(facts, vector[None])])
    database.dispose()


def test_check_asks_the_uploads_what_the_background_is_worth(moderate, file, sqlite_url):
    likeness = TransformersEncoder.load("demo").encode_texts(["a sticker of an ordinary picture"])[0]
    store_uploads(sqlite_url, np.stack([likeness] * MIN_PICTURES))
    result = moderate("policy", "check", file)
    assert result.exit_code == 0
    assert (
        f'warning: {file}:3:35: the background phrase "something else" is the nearest one on none of the newest 200'
        in result.err
    )
    assert "an ordinary picture" not in result.err.replace(file.read_text().splitlines()[2], "")


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/moderation.db", "postgresql://nobody@127.0.0.1:1/nothing"]
)
def test_check_says_nothing_about_uploads_where_no_database_answers(moderate, file, url):
    result = moderate("policy", "check", file, database_url=url)
    assert (result.exit_code, result.err) == (0, "")


def test_test_shows_expected_and_got_with_scores_and_margins(moderate, file):
    result = moderate("policy", "test", file)
    assert result.exit_code == 0
    header, swords, cat, _, total = result.out.splitlines()
    assert header.split() == ["picture", "expected", "got", "scores", "margin", "result"]
    assert swords.split()[:5] == ["cases/crossed-swords.webp", "review,", "weapons", "review,", "weapons"]
    assert "(review at 0.5)" in swords
    assert [swords.split()[-2][0], cat.split()[-2][0]] == ["+", "-"]
    assert cat.endswith("passed")
    assert total == "2 of 2 tests passed"


def test_a_failing_test_is_explained_and_is_the_exit_code(moderate, file):
    file.write_text(TEXT + TESTS.replace("{action: allow}", "{labels: [weapons]}"), encoding="utf-8")
    result = moderate("policy", "test", file)
    assert result.exit_code == 1
    assert "\ncases/cat.jpg: weapons 0." in result.out
    assert '" lost to "' in result.out
    assert "1 of 2 tests passed" in result.out


def test_tests_can_be_read_by_programs(moderate, file):
    result = moderate("policy", "test", file, "--json")
    assert result.exit_code == 0
    swords, cat = json.loads(result.out)
    assert swords["expected"] == {"action": "review", "labels": ["weapons"]}
    assert swords["got"] == {"action": "review", "labels": ["weapons"]}
    (score,) = swords["scores"]
    assert (score["threshold"], score["threshold_of"]) == (0.5, "review")
    assert score["margin"] == pytest.approx(score["score"] - 0.5)
    assert (cat["passed"], cat["expected"]["labels"]) == (True, None)


def test_a_policy_without_tests_says_so_and_needs_no_model(moderate, file):
    file.write_text(TEXT, encoding="utf-8")
    result = moderate("policy", "test", file, model="/nowhere")
    assert result.exit_code == 0
    assert "small.yaml: no tests; " in result.out
    assert json.loads(moderate("policy", "test", file, "--json").out) == []


def test_a_broken_file_is_not_tested(moderate, file):
    file.write_text(TEXT + TESTS.replace("cat.jpg", "dog.jpg"), encoding="utf-8")
    result = moderate("policy", "test", file)
    assert (result.exit_code, result.out) == (1, "")
    assert 'the picture "cases/dog.jpg" is not there' in result.err


def test_a_policy_whose_tests_fail_can_be_tried_out_but_not_put_in_force(moderate, file):
    file.write_text(TEXT + TESTS.replace("{action: allow}", "{labels: [weapons]}"), encoding="utf-8")
    settings = {"policies": file.parent, "policy": "small"}
    assert moderate("scan", POLICIES / "cases" / "cat.jpg", **settings).exit_code == 0
    read = Settings.read(**settings)
    with (
        open_decoder(read) as decoder,
        open_encoder(read) as encoder,
        pytest.raises(InvalidPolicyError) as refused,
    ):
        open_policies(read, JudgePicture(encoder, decoder))
    assert 'the test of "cases/cat.jpg" fails: expected weapons; got allow, no label' in refused.value.message
