"""A policy is asked for by a name that its folder has; what the folder cannot know, the workers do."""

import os

import pytest

from worker.errors import UsageError
from worker.policy_files import intake
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


def test_a_file_is_parsed_once_until_it_is_saved_again(folder, monkeypatch):
    parsed = []
    read = intake.read_policy
    monkeypatch.setattr(intake, "read_policy", lambda file, **how: parsed.append(file) or read(file, **how))
    file = folder / "posts.yaml"
    for _ in range(3):
        require_policy(folder, "posts")
    assert parsed == [file]
    text = file.read_text()
    file.write_text(f"{text}shadow: true\n")
    for _ in range(3):
        with pytest.raises(UsageError, match="is a shadow"):
            require_policy(folder, "posts")
    file.write_text(text)
    require_policy(folder, "posts")
    assert parsed == [file] * 3


def test_a_file_that_replaces_another_is_parsed_though_its_size_and_time_are_the_same(folder):
    file, other = folder / "posts.yaml", folder / "other.txt"
    text = file.read_text()
    as_shadow, plain = f"{text}shadow: true\n", f"{text}shadow: false"
    assert len(as_shadow) == len(plain)
    file.write_text(plain)
    require_policy(folder, "posts")
    before = file.stat()
    other.write_text(as_shadow)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)
    with pytest.raises(UsageError, match="is a shadow"):
        require_policy(folder, "posts")
