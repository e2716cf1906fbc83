"""A policy is readied with the bundled model: what it would cut off is refused, and so is a failing test."""

import shutil

import numpy as np
import pytest

from worker import resources
from worker.errors import InvalidPolicyError
from worker.policy_files.parser import parse_policy, read_policy
from worker.settings import Settings
from worker.usecases.policies.prepare_policy import PreparePolicy
from worker.wiring.components import open_decoder, open_encoder
from worker.wiring.policies import run_policy_tests

CASES = resources.folder("policies") / "cases"
TEXT = """name: small
templates: ["a sticker of {}", "{}"]
background: [an ordinary picture, something else]
labels:
  weapons:
    prompts: [crossed swords, a dagger]
tests:
  - picture: cases/crossed-swords.webp
    expect: {action: review, labels: [weapons]}
  - picture: cases/cat.jpg
    expect: {action: allow}
  - picture: cases/not-a-picture.jpg
    expect: {action: review, labels: []}
"""


@pytest.fixture(scope="module")
def encoder():
    with open_encoder(Settings.read()) as opened:
        yield opened


@pytest.fixture(scope="module")
def decoder():
    with open_decoder(Settings.read(decoder_processes=1)) as opened:
        yield opened


@pytest.fixture
def prepare(encoder, decoder):
    return PreparePolicy(run_policy_tests(encoder, decoder))


@pytest.fixture
def file(tmp_path):
    shutil.copytree(CASES, tmp_path / "cases")
    return tmp_path / "small.yaml"


def prepared(prepare, file, text=TEXT):
    file.write_text(text, encoding="utf-8")
    policy, read = read_policy(file)
    return prepare(policy, file, read)


def refusal(prepare, file, text):
    with pytest.raises(InvalidPolicyError) as error:
        prepared(prepare, file, text)
    return error.value.message


def test_a_policy_whose_tests_pass_gets_its_vectors(prepare, file):
    vectors = prepared(prepare, file).vectors
    assert set(vectors.index) == set(parse_policy(TEXT, file).phrases())
    assert np.linalg.norm(vectors.matrix, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("phrase", "said"),
    [
        ("“a dagger”", "the quotes “ ” are part of this phrase, and the model reads them"),
        ("a кинжал", 'the model cannot read "кинжал": its vocabulary lacks some of these characters'),
        ("a dagger 🗡", 'the model cannot read "🗡": its vocabulary lacks some of these characters'),
        ("d a g g e r", 'the model has no word for "d a g g e r" and reads single letters'),
    ],
)
def test_what_the_model_cannot_read_is_put_in_force_with_one_line_in_the_log(
    prepare, file, caplog, phrase, said
):
    prepared(prepare, file, TEXT.replace("crossed swords, a dagger", f"crossed swords, {phrase}"))
    assert caplog.messages == [
        f"policy small: {file}:6:31: {said}; `moderate policy check {file}` shows the way out"
    ]


def test_a_policy_whose_tests_fail_is_warned_of_too_and_once(prepare, file, caplog):
    text = TEXT.replace("a dagger", "“a dagger”").replace(
        "{action: review, labels: [weapons]}", "{action: allow}"
    )
    for _ in range(2):
        refusal(prepare, file, text)
    (line,) = caplog.messages
    assert "the quotes “ ” are part of this phrase" in line


def test_however_much_there_is_to_say_the_log_has_one_line(prepare, file, caplog):
    prepared(prepare, file, TEXT.replace("crossed swords, a dagger", "crossed swords, нож, меч, лук"))
    (line,) = caplog.messages
    assert ":6:31: the model cannot read" in line
    assert line.endswith(f", and 2 more warnings; `moderate policy check {file}` shows all")


def test_the_policy_of_the_bundled_model_is_read_without_a_word(prepare, caplog):
    file = CASES.parent / "stickers.yaml"
    policy, text = read_policy(file)
    prepare(policy, file, text)
    assert caplog.messages == []


def test_every_failing_test_is_named_with_its_place_and_the_scores_that_decided(prepare, file):
    wrong = TEXT.replace("{action: review, labels: [weapons]}", "{action: allow}").replace(
        "cat.jpg\n    expect: {action: allow}", "cat.jpg\n    expect: {labels: [weapons]}"
    )
    message = refusal(prepare, file, wrong)
    assert (
        f'{file}:8:5: the test of "cases/crossed-swords.webp" fails: expected allow; got review, weapons; '
        in message
    )
    assert '(review at 0.5): "crossed swords" beat "' in message
    assert (
        f'{file}:10:5: the test of "cases/cat.jpg" fails: expected weapons; got allow, no label; weapons 0.'
        in message
    )
    assert "lost to" in message
    assert "not-a-picture" not in message
    assert f"moderate policy test {file}" in message


def test_a_picture_that_is_gone_by_now_fails_its_test(prepare, file):
    file.write_text(TEXT, encoding="utf-8")
    policy, text = read_policy(file)
    (file.parent / "cases" / "cat.jpg").unlink()
    with pytest.raises(InvalidPolicyError, match=r"10:5.*expected allow; the picture cannot be read"):
        prepare(policy, file, text)


def test_a_picture_is_embedded_once_however_often_the_file_is_saved(prepare, file, monkeypatch):
    embedded = []
    judge = type(prepare.run_tests.judge_picture)
    embed = judge.embed
    monkeypatch.setattr(judge, "embed", lambda self, data: (embedded.append(data), embed(self, data))[1])
    prepared(prepare, file)
    prepared(prepare, file, TEXT.replace("a dagger", "a pistol"))
    # The third is no picture, and decoding that costs nothing.
    assert len(set(embedded)) == 3
    assert len(embedded) == 4


def test_a_phrase_beyond_the_window_is_refused_wherever_it_stands(prepare, file, encoder):
    long = "a very long phrase " * 12
    wrong = TEXT.replace("something else", long + "of nothing").replace("a dagger", long)
    message = refusal(prepare, file, wrong)
    assert message.count("this phrase has ") == 2
    assert f"{file}:3:35: " in message
    assert f"{file}:6:31: " in message
    tokens = max(encoder.count_tokens([f"a sticker of {long.strip()}"]))
    assert (
        f'this phrase has {tokens} tokens in the template "a sticker of {{}}"; the model reads {encoder.info.window}'
        in message
    )


def test_the_shipped_policies_can_be_put_in_force_with_the_bundled_model(prepare):
    tests = 0
    for file in CASES.parent.glob("*.yaml"):
        policy, text = read_policy(file)
        prepare(policy, file, text)
        tests += len(policy.tests)
    assert tests >= 6


def test_the_pictures_of_the_shipped_tests_are_small_and_all_used():
    policy, _ = read_policy(CASES.parent / "stickers.yaml")
    assert {file.name for file in CASES.iterdir()} == {
        test.picture.removeprefix("cases/") for test in policy.tests
    }
    assert sum(file.stat().st_size for file in CASES.iterdir()) < 300_000
