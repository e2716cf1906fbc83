"""A policy is asked for by a name that its folder has; what the folder cannot know, the workers do."""

import pytest

from worker.errors import UsageError
from worker.policy_files.intake import require_policy

POLICY = "name: {}\nbackground: [a person]\nlabels:\n  weapons:\n    prompts: [a handgun]\n"


@pytest.fixture
def folder(tmp_path):
    for name in ("posts", "avatars"):
        (tmp_path / f"{name}.yaml").write_text(POLICY.format(name), encoding="utf-8")
    return tmp_path


def test_a_policy_that_is_there_is_let_pass(folder):
    require_policy(folder, "posts")


def test_an_unknown_policy_is_refused_with_those_there_are_and_a_guess(folder):
    with pytest.raises(UsageError) as error:
        require_policy(folder, "avatar")
    assert error.value.message == f'there is no policy "avatar" in {folder}; there are: avatars, posts'
    assert error.value.hint.startswith('did you mean "avatars"?')


def test_a_shadow_is_refused(folder):
    (folder / "strict.yaml").write_text(POLICY.format("strict") + "shadow: true\n", encoding="utf-8")
    with pytest.raises(UsageError, match='the policy "strict" is a shadow'):
        require_policy(folder, "strict")


def test_a_broken_file_is_the_workers_business(folder):
    (folder / "posts.yaml").write_text("broken", encoding="utf-8")
    require_policy(folder, "posts")


def test_without_the_folder_nothing_is_known(tmp_path):
    require_policy(tmp_path / "elsewhere", "anything")
