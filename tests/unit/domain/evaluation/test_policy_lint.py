"""What the linter warns of, on vectors made for it, and what it leaves alone."""

import numpy as np
import pytest

from worker.domain.evaluation.policy_lint import (
    COLLAPSED,
    INSIDE,
    MIN_PICTURES,
    NOISE,
    SAME,
    Finding,
    lint_collapsed,
    lint_on_pictures,
    lint_phrases,
)
from worker.domain.moderation.scoring import PhraseVectors
from worker.domain.policies.policy import Label, Policy

AXES = ("gun", "beer", "person", "toy", "sky")


def near(axis, cosine, other):
    """Return a unit vector at this cosine to one axis, the rest of it along another."""
    vector = np.zeros(len(AXES), np.float32)
    vector[AXES.index(axis)] = cosine
    vector[AXES.index(other)] = (1 - cosine**2) ** 0.5
    return vector


def policy_of(background, *labels):
    """Return a policy and its vectors; every phrase comes with its own vector."""
    found = dict(background)
    made = []
    for name, prompts, lookalikes in labels:
        found |= prompts | lookalikes
        made.append(Label(name, tuple(prompts), lookalikes=tuple(lookalikes)))
    vectors = PhraseVectors.of(list(found), np.stack(list(found.values())))
    return Policy("p", tuple(background), tuple(made)), vectors


def axis(name):
    return np.eye(len(AXES), dtype=np.float32)[AXES.index(name)]


PERSON = {"a person": axis("person")}


def places(findings: list[Finding]):
    return [(finding.at, finding.phrase) for finding in findings]


def test_labels_whose_prompts_are_the_same_vector_are_named_once_with_their_nearest_prompts():
    findings = lint_phrases(
        *policy_of(
            PERSON,
            ("weapons", {"a handgun": axis("gun"), "a gun": near("gun", 0.98, "toy")}, {}),
            ("arms", {"a beer": axis("beer"), "a pistol": near("gun", 0.99, "toy")}, {}),
        )
    )
    assert places(findings) == [(("labels", "arms", "prompts"), "a pistol")]
    assert '"a pistol" of label arms and "a gun" of label weapons' in findings[0].message


@pytest.mark.parametrize(("cosine", "warned"), [(SAME + 0.005, True), (SAME - 0.005, False)])
def test_labels_are_the_same_from_a_cosine_on(cosine, warned):
    policy, vectors = policy_of(
        PERSON, ("a", {"a handgun": axis("gun")}, {}), ("b", {"a pistol": near("gun", cosine, "toy")}, {})
    )
    assert bool(lint_phrases(policy, vectors)) is warned


@pytest.mark.parametrize(("cosine", "warned"), [(INSIDE + 0.01, True), (INSIDE - 0.01, False)])
def test_a_lookalike_is_inside_a_label_of_one_prompt_from_a_cosine_on(cosine, warned):
    lookalikes = {"a toy": near("gun", cosine, "toy"), "a pen": axis("toy")}
    findings = lint_phrases(*policy_of(PERSON, ("weapons", {"a handgun": axis("gun")}, lookalikes)))
    assert places(findings) == ([(("labels", "weapons", "lookalikes"), "a toy")] if warned else [])


@pytest.mark.parametrize(("sibling", "warned"), [(0.97, False), (0.93, True)])
def test_a_phrase_is_inside_only_where_no_prompt_is_nearer_to_its_prompt(sibling, warned):
    prompts = {"a handgun": axis("gun"), "a pistol": near("gun", sibling, "sky")}
    findings = lint_phrases(*policy_of(PERSON, ("weapons", prompts, {"a toy": near("gun", 0.95, "toy")})))
    assert bool(findings) is warned


def test_a_background_phrase_inside_several_labels_is_named_once():
    findings = lint_phrases(
        *policy_of(
            {"a toy": near("gun", 0.93, "toy"), "a person": axis("person")},
            ("weapons", {"a handgun": axis("gun")}, {}),
            ("sport", {"an air rifle": near("gun", 0.95, "toy")}, {}),
        )
    )
    assert places(findings) == [(("background",), "a toy")]
    assert 'label sport: to the model it is nearly "an air rifle"' in findings[0].message
    assert findings[0].message.endswith("also inside weapons")


def uploads(*rows):
    """Return as many pictures as it takes, like the rows in turn."""
    return np.stack([rows[n % len(rows)] for n in range(MIN_PICTURES)])


def on_pictures(pictures):
    policy, vectors = policy_of(
        {"a person": axis("person"), "the sky": axis("sky")},
        ("weapons", {"a handgun": axis("gun")}, {"a toy": axis("toy")}),
        ("alcohol", {"a beer": axis("beer")}, {}),
    )
    return lint_on_pictures(policy, vectors, pictures)


def test_a_background_phrase_that_is_never_the_nearest_is_named():
    findings = on_pictures(uploads(axis("person"), near("person", 0.9, "gun")))
    assert places(findings) == [(("background",), "the sky")]
    assert "none of the newest 200 pictures" in findings[0].message


def test_lookalikes_do_not_take_the_backgrounds_place():
    assert on_pictures(uploads(near("toy", 0.9, "person"), near("toy", 0.9, "sky"))) == []


def test_a_label_that_nothing_ever_beats_is_named():
    findings = on_pictures(uploads(near("gun", 0.9, "person"), near("gun", 0.9, "sky")))
    assert places(findings) == [(("labels", "weapons"), "")]
    assert (
        "on every one of the newest 200 pictures a prompt of label weapons is nearer" in findings[0].message
    )


def test_a_single_picture_on_which_the_background_wins_is_enough():
    rows = [near("gun", 0.9, "person")] * 3 + [near("gun", 0.9, "sky"), axis("person")]
    assert on_pictures(uploads(*rows)) == []


def test_few_pictures_say_nothing():
    assert on_pictures(uploads(axis("person"))[1:]) == []
    assert on_pictures(np.empty((0, 0), np.float32)) == []


@pytest.mark.parametrize(("cosine", "collapsed"), [(COLLAPSED + 0.0002, True), (COLLAPSED - 0.0002, False)])
def test_different_phrases_with_one_vector_are_named_together(cosine, collapsed):
    policy, vectors = policy_of(
        {"a person": axis("person"), "ナイフ": near("person", cosine, "sky")},
        ("weapons", {"a handgun": axis("gun")}, {"нож": near("person", cosine, "sky"), "a toy": axis("toy")}),
    )
    findings = lint_collapsed(policy, vectors)
    if not collapsed:
        # These two have the very same one.
        assert [finding.phrase for finding in findings] == ["ナイフ"]
        return
    (finding,) = findings
    assert (finding.at, finding.phrase) == (("background",), "a person")
    assert finding.message == '"a person" is one and the same to the model as "ナイフ", "нож"'


def test_a_phrase_in_capitals_is_no_other_phrase():
    policy, vectors = policy_of(PERSON, ("weapons", {"a Gun": axis("gun"), "a gun": axis("gun")}, {}))
    assert lint_collapsed(policy, vectors) == []


@pytest.mark.parametrize(("likeness", "noise"), [(NOISE + 0.2, True), (NOISE - 0.2, False)])
def test_a_phrase_that_pictures_are_near_as_to_random_letters_is_named(likeness, noise):
    pictures = np.random.default_rng(0).normal(size=(4000, len(AXES))).astype(np.float32)
    pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)
    policy, vectors = policy_of(
        {"a person": axis("person")}, ("weapons", {"a hndgn": near("sky", likeness, "gun")}, {})
    )
    nonsense = (
        np.stack([near("sky", 0.9, "toy"), near("sky", 0.9, "beer")]) - 0.3 * axis("toy") - 0.3 * axis("beer")
    )
    findings = [
        f for f in lint_on_pictures(policy, vectors, pictures, nonsense) if "random letters" in f.message
    ]
    assert places(findings) == ([(("labels", "weapons", "prompts"), "a hndgn")] if noise else [])
