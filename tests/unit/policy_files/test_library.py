"""A saved file goes live, a broken one never does, and what is in force stays in force."""

import logging
import os
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from worker.domain.moderation.scoring import PhraseVectors
from worker.domain.policies.stored_policy import LearnedThresholds, StoredPolicy
from worker.errors import InvalidPolicyError, SettingsError, UnavailableError, UnknownPolicyError
from worker.policy_files import library as module
from worker.policy_files.library import PolicyLibrary, Prepared


def policy_text(name: str, prompt: str = "a handgun") -> str:
    return f"name: {name}\nbackground: [a person]\nlabels:\n  weapons:\n    prompts: [{prompt}]\n"


def embed(policy, *_):
    phrases = list(dict.fromkeys(policy.phrases()))
    return Prepared(policy, PhraseVectors.of(phrases, np.eye(len(phrases), dtype=np.float32)))


def prompt_in_force(library: PolicyLibrary, name: str = "posts") -> str:
    return library.current(name).policy.labels[0].prompts[0]


@pytest.fixture(autouse=True)
def _no_time_to_settle(monkeypatch):
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "posts.yaml").write_text(policy_text("posts"), encoding="utf-8")
    return tmp_path


@pytest.fixture
def file(folder):
    return folder / "posts.yaml"


@pytest.fixture
def library(folder):
    library = PolicyLibrary(folder, embed)
    library.load()
    return library


def test_loading_reads_every_policy_of_the_folder(folder):
    (folder / "avatars.yml").write_text(policy_text("avatars"), encoding="utf-8")
    (folder / "README.md").write_text("not a policy", encoding="utf-8")
    (folder / ".posts.yaml.swp.yaml").write_text("an editor's", encoding="utf-8")
    (folder / "cases.yaml").mkdir()
    library = PolicyLibrary(folder, embed)
    library.load()
    assert library.names == ["avatars", "posts"]


def test_what_only_looks_like_a_policy_is_logged_once_and_not_read(folder, caplog):
    (folder / "avatars.YAML").write_text(policy_text("avatars"), encoding="utf-8")
    library = PolicyLibrary(folder, embed)
    library.load()
    (folder / "cats.yaml.txt").write_text(policy_text("cats"), encoding="utf-8")
    library.refresh()
    library.refresh()
    assert library.names == ["posts"]
    assert [message.partition(" is not read as a policy: ")[0] for message in caplog.messages[-2:]] == [
        f"{folder / 'avatars.YAML'}",
        f"{folder / 'cats.yaml.txt'}",
    ]
    assert caplog.text.count("is not read as a policy") == 2


def test_a_file_that_a_rule_of_today_refuses_stays_in_force_as_it_was(folder, file, caplog):
    # As after an upgrade: what was in force broke no rule of its time.
    before = policy_text("posts", "a\u00a0handgun") + "    review: 0\n"
    file.write_text(before, encoding="utf-8")
    library = PolicyLibrary(folder, embed, {"posts": StoredPolicy(before, "")}.get)
    library.load()
    assert prompt_in_force(library) == "a handgun"
    assert "NO-BREAK SPACE (U+00A0)" in library.refusals[file]
    assert "the last good version stays in force" in caplog.text


def test_what_is_in_force_comes_with_its_text_vectors_and_time(library):
    live = library.current("posts")
    assert live.text == policy_text("posts")
    assert set(live.vectors.index) == set(live.policy.phrases())
    assert timedelta(0) <= datetime.now(UTC) - live.loaded_at < timedelta(minutes=1)


def test_loading_lists_all_problems_of_all_files(folder):
    (folder / "a.yaml").write_text("name: a\n", encoding="utf-8")
    (folder / "b.yaml").write_text("name: b\ntreshold: 1\n", encoding="utf-8")
    with pytest.raises(InvalidPolicyError) as error:
        PolicyLibrary(folder, embed).load()
    assert error.value.message.count("a.yaml:1:1") == 2
    assert error.value.message.count("b.yaml:1:1") == 2
    assert 'b.yaml:2:1: unknown key "treshold"' in error.value.message


def test_loading_refuses_two_files_for_one_policy(folder):
    (folder / "posts.yml").write_text(policy_text("posts"), encoding="utf-8")
    with pytest.raises(
        InvalidPolicyError, match=r"posts\.yml: posts\.yaml is the policy of this name already"
    ):
        PolicyLibrary(folder, embed).load()


def test_loading_from_no_folder_says_how_to_name_one(tmp_path):
    with pytest.raises(SettingsError, match="there is no policy folder") as error:
        PolicyLibrary(tmp_path / "nothing", embed).load()
    assert "MODERATION_POLICIES" in error.value.hint


def test_loading_from_a_folder_without_policies_says_so(tmp_path):
    with pytest.raises(SettingsError, match=r"no file \*\.yaml"):
        PolicyLibrary(tmp_path, embed).load()


def test_an_unknown_policy_is_refused_with_the_known_ones_and_a_guess(library):
    with pytest.raises(UnknownPolicyError, match=r'no policy "post" is in force; there are: posts') as error:
        library.current("post")
    assert error.value.hint == 'did you mean "posts"?'
    with pytest.raises(UnknownPolicyError) as error:
        library.current("avatars")
    assert error.value.hint.startswith("a policy is a file of that name in ")


def test_a_saved_file_goes_live(library, file):
    before = library.current("posts")
    file.write_text(policy_text("posts", "a rifle"), encoding="utf-8")
    assert library.current("posts") is before
    library.refresh()
    assert prompt_in_force(library) == "a rifle"
    assert prompt_in_force(library) in library.current("posts").vectors.index
    assert before.policy.labels[0].prompts == ("a handgun",)


def test_an_unchanged_file_is_left_alone(library, file):
    before = library.current("posts")
    os.utime(file)
    library.refresh()
    assert library.current("posts") is before


def test_an_edit_that_leaves_time_and_size_as_they_were_goes_live(library, file):
    stat = file.stat()
    file.write_text(policy_text("posts", "a hangdun"), encoding="utf-8")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (file.stat().st_mtime_ns, file.stat().st_size) == (stat.st_mtime_ns, stat.st_size)
    library.refresh()
    assert prompt_in_force(library) == "a hangdun"


def test_a_file_saved_by_rename_goes_live(library, file):
    new = file.with_suffix(".tmp")
    new.write_text(policy_text("posts", "a rifle"), encoding="utf-8")
    new.replace(file)
    library.refresh()
    assert prompt_in_force(library) == "a rifle"


def test_a_file_that_is_still_being_written_waits_for_the_next_look(library, file, monkeypatch):
    file.write_text(policy_text("posts", "a ri"), encoding="utf-8")
    finish = policy_text("posts", "a rifle")
    monkeypatch.setattr(module.time, "sleep", lambda _: file.write_text(finish, encoding="utf-8"))
    library.refresh()
    assert prompt_in_force(library) == "a handgun"
    library.refresh()
    assert prompt_in_force(library) == "a rifle"


def test_a_broken_file_is_refused_once_and_the_last_good_version_stays(library, file, caplog):
    file.write_text(policy_text("posts", "no"), encoding="utf-8")
    library.refresh()
    library.refresh()
    assert prompt_in_force(library) == "a handgun"
    assert 'YAML reads "no" as true or false' in library.refusals[file]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "the last good version stays in force" in record.message
    assert library.refusals[file] in record.message


def test_a_corrected_file_goes_live_and_is_no_longer_refused(library, file):
    file.write_text("broken", encoding="utf-8")
    library.refresh()
    file.write_text(policy_text("posts", "a rifle"), encoding="utf-8")
    library.refresh()
    assert prompt_in_force(library) == "a rifle"
    assert library.refusals == {}


def test_a_file_put_back_as_it_was_is_no_longer_refused(library, file):
    file.write_text("broken", encoding="utf-8")
    library.refresh()
    file.write_text(policy_text("posts"), encoding="utf-8")
    library.refresh()
    assert library.refusals == {}


def test_a_new_file_adds_a_policy(library, folder):
    (folder / "avatars.yaml").write_text(policy_text("avatars"), encoding="utf-8")
    library.refresh()
    assert library.names == ["avatars", "posts"]


def test_a_new_broken_file_adds_none_and_the_refusal_is_the_hint(library, folder, caplog):
    (folder / "avatars.yaml").write_text(policy_text("avatar"), encoding="utf-8")
    library.refresh()
    assert library.names == ["posts"]
    assert "it is not in force" in caplog.text
    with pytest.raises(UnknownPolicyError) as error:
        library.current("avatars")
    assert error.value.hint == f"its file has problems: moderate policy check {folder / 'avatars.yaml'}"


def test_a_deleted_file_is_missed_once_and_its_policy_stays(library, file, caplog):
    file.unlink()
    library.refresh()
    library.refresh()
    assert prompt_in_force(library) == "a handgun"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "is gone; its last version stays in force" in record.message


def test_a_deleted_file_that_comes_back_goes_live(library, file):
    file.unlink()
    library.refresh()
    file.write_text(policy_text("posts", "a rifle"), encoding="utf-8")
    library.refresh()
    assert prompt_in_force(library) == "a rifle"


def test_a_deleted_broken_file_is_no_longer_refused(library, file):
    file.write_text("broken", encoding="utf-8")
    library.refresh()
    file.unlink()
    library.refresh()
    assert library.refusals == {}
    file.write_text("broken", encoding="utf-8")
    library.refresh()
    assert list(library.refusals) == [file]


def test_a_folder_that_disappears_leaves_everything_in_force(library, folder, file):
    file.unlink()
    folder.rmdir()
    library.refresh()
    assert prompt_in_force(library) == "a handgun"


def test_a_second_file_for_a_policy_is_refused_until_the_first_is_gone(library, file):
    twin = file.with_suffix(".yml")
    twin.write_text(policy_text("posts", "a rifle"), encoding="utf-8")
    library.refresh()
    assert prompt_in_force(library) == "a handgun"
    assert list(library.refusals) == [twin]
    file.unlink()
    library.refresh()
    assert prompt_in_force(library) == "a rifle"
    assert library.refusals == {}


def test_a_file_that_another_stood_in_for_comes_back_into_force(library, file):
    twin = file.with_suffix(".yml")
    file.rename(twin)
    library.refresh()
    file.write_text(policy_text("posts", "a rifle"), encoding="utf-8")
    library.refresh()
    assert prompt_in_force(library) == "a rifle"
    file.unlink()
    library.refresh()
    assert prompt_in_force(library) == "a handgun"
    assert library.refusals == {}


def test_a_file_that_vanishes_while_it_is_looked_at_is_no_refusal(library, file, monkeypatch):
    monkeypatch.setattr(module, "policy_files", lambda _: [file])
    file.unlink()
    library.refresh()
    assert library.refusals == {}


class Embedder:
    """Embeds, unless told to fail first."""

    def __init__(self):
        self.failures = []
        self.calls = 0

    def __call__(self, policy, *_):
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return embed(policy)


@pytest.fixture
def embedder(library):
    library._prepare = Embedder()
    return library._prepare


@pytest.mark.parametrize("failure", [RuntimeError("out of memory"), UnavailableError("model away")])
def test_a_failure_to_embed_is_a_refusal_that_is_tried_again(library, file, embedder, failure, caplog):
    file.write_text(policy_text("posts", "a rifle"), encoding="utf-8")
    embedder.failures = [failure, failure]
    library.refresh()
    library.refresh()
    assert prompt_in_force(library) == "a handgun"
    assert "could not be prepared" in library.refusals[file]
    assert len(caplog.records) == 1
    library.refresh()
    assert prompt_in_force(library) == "a rifle"
    assert library.refusals == {}


def test_a_phrase_the_model_refuses_is_not_looked_at_again_at_once(library, file, embedder):
    file.write_text(policy_text("posts", "a rifle"), encoding="utf-8")
    embedder.failures = [InvalidPolicyError("the phrase has 99 tokens")]
    library.refresh()
    library.refresh()
    assert library.refusals == {file: "the phrase has 99 tokens"}
    assert embedder.calls == 1


def test_a_file_put_back_after_a_failure_to_embed_is_no_longer_refused(library, file, embedder):
    good = file.read_text(encoding="utf-8")
    file.write_text(policy_text("posts", "a rifle"), encoding="utf-8")
    embedder.failures = [RuntimeError("out of memory")]
    library.refresh()
    file.write_text(good, encoding="utf-8")
    library.refresh()
    assert library.refusals == {}


def test_jobs_go_on_under_the_old_version_while_the_new_one_is_embedded(library, file):
    started, may_end = threading.Event(), threading.Event()

    def slowly(policy, *_):
        started.set()
        assert may_end.wait(30)
        return embed(policy)

    library._prepare = slowly
    file.write_text(policy_text("posts", "a rifle"), encoding="utf-8")
    with library.watching(0.01):
        assert started.wait(30)
        assert prompt_in_force(library) == "a handgun"
        may_end.set()
        wait_until(lambda: prompt_in_force(library) == "a rifle")


def test_a_watched_folder_is_followed_and_the_watcher_stops_with_its_context(library, file):
    with library.watching(0.01):
        file.write_text(policy_text("posts", "a rifle"), encoding="utf-8")
        wait_until(lambda: prompt_in_force(library) == "a rifle")
    assert "policies" not in [thread.name for thread in threading.enumerate()]
    file.write_text(policy_text("posts", "a shotgun"), encoding="utf-8")
    time.sleep(0.1)
    assert prompt_in_force(library) == "a rifle"


def test_a_long_interval_does_not_delay_the_stop(library):
    started = time.monotonic()
    with library.watching(60):
        pass
    assert time.monotonic() - started < 5


def test_the_watcher_survives_whatever_a_look_raises(library, file, monkeypatch, caplog):
    looks = []

    def failing(folder):
        looks.append(folder)
        raise OSError("stale file handle")

    with monkeypatch.context() as broken:
        broken.setattr(module, "policy_files", failing)
        with library.watching(0.01):
            wait_until(lambda: len(looks) >= 3)
            broken.undo()
            file.write_text(policy_text("posts", "a rifle"), encoding="utf-8")
            wait_until(lambda: prompt_in_force(library) == "a rifle")
    assert "stale file handle" in caplog.text


def wait_until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def shadow_text(name: str, prompt: str = "a handgun") -> str:
    return policy_text(name, prompt) + "shadow: true\n"


def test_a_broken_file_at_the_start_leaves_the_last_good_version_in_force(folder, file, caplog):
    file.write_text("name: posts\ntreshold: 1\n", encoding="utf-8")
    asked = []

    def last_good(name):
        asked.append(name)
        return StoredPolicy(policy_text(name, "a rifle"), "")

    library = PolicyLibrary(folder, embed, last_good)
    library.load()
    assert set(asked) == {"posts"}
    assert prompt_in_force(library) == "a rifle"
    assert 'unknown key "treshold"' in library.refusals[file]
    assert "the last good version stays in force" in caplog.text
    file.write_text(policy_text("posts", "a shotgun"), encoding="utf-8")
    library.refresh()
    assert prompt_in_force(library) == "a shotgun"
    assert library.refusals == {}


def test_a_file_refused_by_its_own_tests_at_the_start_leaves_the_last_good_version_in_force(folder, file):
    def prepare(policy, _file, _text):
        if prompt(policy) == "a handgun":
            raise InvalidPolicyError("1 of 3 tests failed")
        assert policy.tests == ()
        return embed(policy)

    def prompt(policy):
        return policy.labels[0].prompts[0]

    library = PolicyLibrary(folder, prepare, lambda name: StoredPolicy(policy_text(name, "a rifle"), ""))
    library.load()
    assert prompt_in_force(library) == "a rifle"
    assert library.refusals == {file: "1 of 3 tests failed"}
    with pytest.raises(InvalidPolicyError, match="1 of 3 tests failed"):
        PolicyLibrary(folder, prepare).load()


@pytest.mark.parametrize("text", [None, "no: policy\n", policy_text("another")])
def test_without_a_last_good_version_a_broken_file_at_the_start_is_an_error(folder, file, text):
    file.write_text("name: posts\ntreshold: 1\n", encoding="utf-8")
    (folder / "avatars.yaml").write_text("name: avatars\n", encoding="utf-8")
    stored = {"avatars": policy_text("avatars"), "posts": text}
    good = {name: StoredPolicy(one, "") for name, one in stored.items() if one}
    library = PolicyLibrary(folder, embed, good.get)
    with pytest.raises(InvalidPolicyError) as error:
        library.load()
    assert "posts.yaml:2:1" in error.value.message
    assert "avatars.yaml:1:1" in error.value.message
    assert library.in_force == ()


def test_a_second_file_for_a_policy_at_the_start_stands_behind_the_first(folder, file):
    file.with_suffix(".yml").write_text(policy_text("posts", "a rifle"), encoding="utf-8")
    library = PolicyLibrary(folder, embed, lambda name: StoredPolicy(policy_text(name, "a shotgun"), ""))
    library.load()
    assert prompt_in_force(library) == "a handgun"
    assert list(library.refusals) == [file.with_suffix(".yml")]


def test_a_shadow_is_kept_apart_and_decides_nothing(folder):
    (folder / "strict.yaml").write_text(shadow_text("strict"), encoding="utf-8")
    library = PolicyLibrary(folder, embed)
    library.load()
    assert library.names == ["posts"]
    assert [live.policy.name for live in library.shadows] == ["strict"]
    assert [live.policy.name for live in library.in_force] == ["posts", "strict"]
    with pytest.raises(UnknownPolicyError, match='"strict" is a shadow') as error:
        library.current("strict")
    assert "shadow: true" in error.value.hint


def test_a_policy_becomes_a_shadow_and_comes_back_by_saving_the_file(library, file):
    first = library.current("posts").loaded_at
    file.write_text(shadow_text("posts"), encoding="utf-8")
    library.refresh()
    assert (library.names, len(library.shadows)) == ([], 1)
    assert library.shadows[0].loaded_at > first
    file.write_text(policy_text("posts"), encoding="utf-8")
    library.refresh()
    assert (library.names, library.shadows) == (["posts"], ())


def test_the_default_policy_is_never_a_shadow(folder, file):
    file.write_text(shadow_text("posts"), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"posts\.yaml: `shadow: true`, but the policy decides"):
        PolicyLibrary(folder, embed, default="posts").load()
    file.write_text(policy_text("posts"), encoding="utf-8")
    library = PolicyLibrary(folder, embed, default="posts")
    library.load()
    file.write_text(shadow_text("posts"), encoding="utf-8")
    library.refresh()
    assert library.names == ["posts"]
    assert "`shadow: true`" in library.refusals[file]


def test_the_states_say_what_is_in_force_and_what_was_refused(library, folder, file):
    (folder / "strict.yaml").write_text(shadow_text("strict"), encoding="utf-8")
    (folder / "avatars.yaml").write_text("broken", encoding="utf-8")
    file.write_text("broken too", encoding="utf-8")
    library.refresh()
    avatars, posts, strict = library.states
    live = library.current("posts")
    assert (avatars.policy, avatars.digest, avatars.in_force_since) == ("avatars", None, None)
    assert "avatars.yaml:1:1" in avatars.refusal
    assert (posts.digest, posts.in_force_since) == (live.policy.digest, live.loaded_at)
    assert "posts.yaml:1:1" in posts.refusal
    assert posts.refused_at > live.loaded_at
    assert (strict.shadow, strict.refusal, strict.refused_at) == (True, None, None)
    before = library.states
    library.refresh()
    assert library.states == before


def test_a_new_comment_does_not_make_a_new_version(library, file):
    since = library.current("posts").loaded_at
    file.write_text("# worded with care\n" + policy_text("posts"), encoding="utf-8")
    library.refresh()
    assert library.current("posts").text.startswith("# worded")
    assert library.current("posts").loaded_at == since


def test_the_vectors_of_a_version_are_computed_once_however_many_jobs_ask(library, file, embedder):
    file.write_text(policy_text("posts", "a rifle"), encoding="utf-8")
    library.refresh()
    for _ in range(100):
        library.current("posts")
        library.refresh()
    assert embedder.calls == 1


def test_a_broken_file_at_the_start_keeps_no_other_policy_from_deciding(folder, caplog):
    (folder / "avatars.yaml").write_text("name: avatars\n", encoding="utf-8")
    library = PolicyLibrary(folder, embed, default="posts")
    library.load()
    assert library.names == ["posts"]
    assert [path.name for path in library.refusals] == ["avatars.yaml"]
    assert "it is not in force" in caplog.text
    with pytest.raises(UnknownPolicyError) as unknown:
        library.current("avatars")
    assert unknown.value.hint == f"its file has problems: moderate policy check {folder / 'avatars.yaml'}"


def test_without_its_default_policy_nothing_starts_and_all_problems_are_told(folder):
    (folder / "avatars.yaml").write_text("name: avatars\n", encoding="utf-8")
    (folder / "posts.yaml").write_text("name: posts\n", encoding="utf-8")
    library = PolicyLibrary(folder, embed, default="posts")
    with pytest.raises(InvalidPolicyError, match=r"(?s)avatars\.yaml.*posts\.yaml"):
        library.load()
    assert library.names == []


def test_what_its_own_pictures_refused_is_tried_again_unsaved(library, file, embedder, monkeypatch):
    embedder.failures.append(InvalidPolicyError("the test of cases/cat.jpg fails"))
    file.write_text(policy_text("posts", "a rifle"), encoding="utf-8")
    library.refresh()
    library.refresh()
    assert prompt_in_force(library) == "a handgun"
    monkeypatch.setattr(module, "RETRY_SECONDS", 0)
    library.refresh()
    assert prompt_in_force(library) == "a rifle"
    assert library.refusals == {}


def test_a_policy_that_learned_something_else_is_prepared_again(folder, file):
    learned = {"posts": ""}

    def prepare(policy, *_):
        state = LearnedThresholds(learned["posts"]) if learned["posts"] else None
        return replace(embed(policy), policy=policy.with_learned(state))

    library = PolicyLibrary(folder, prepare, learned_now=learned.get)
    library.load()
    before = library.current("posts")
    library.refresh()
    assert library.current("posts") is before
    learned["posts"] = "a" * 64
    library.refresh()
    assert library.current("posts").policy.learned == "a" * 64
    assert library.current("posts").policy.digest != before.policy.digest
    learned["posts"] = ""
    library.refresh()
    assert library.current("posts").policy.digest == before.policy.digest
