"""A process says what it has in force: at the start, at a change, and as a heartbeat; a database away stops nothing."""

import logging
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import text
from support.deployment import wait_for

from worker.domain.moderation.scoring import PhraseVectors
from worker.policy_files import library as library_module
from worker.policy_files.library import PolicyLibrary, Prepared
from worker.policy_files.parser import parse_policy
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import PolicyStateRow
from worker.store.policies import policy_states, policy_versions
from worker.usecases.policies import report_policies as module
from worker.usecases.policies.report_policies import PolicyReporter, ReportPolicies, process_name

PROCESS = "host:1:20260101T000000Z"


def policy_text(name, prompt="a handgun"):
    return f"name: {name}\nbackground: [a person]\nlabels:\n  weapons:\n    prompts: [{prompt}]\n"


def embed(policy, *_):
    phrases = list(dict.fromkeys(policy.phrases()))
    return Prepared(policy, PhraseVectors.of(phrases, np.eye(len(phrases), dtype=np.float32)))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def file(tmp_path):
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "posts.yaml").write_text(policy_text("posts"), encoding="utf-8")
    return folder / "posts.yaml"


@pytest.fixture
def library(file, monkeypatch):
    monkeypatch.setattr(library_module, "SETTLE_SECONDS", 0)
    library = PolicyLibrary(file.parent, embed)
    library.load()
    return library


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def reporter(database, library, clock):
    return PolicyReporter(ReportPolicies(database, PROCESS), library, clock)


def reported(database):
    with database.reading() as session:
        return policy_states.all_states(session)


def last_good(database):
    with database.reading() as session:
        found = policy_versions.last_good(session, "posts")
        return found.text if found else None


def test_the_first_look_reports_what_is_in_force_and_keeps_its_text(database, library, reporter):
    reporter.look()
    (found,) = reported(database)
    assert (found.process, found.state) == (PROCESS, library.states[0])
    assert last_good(database) == policy_text("posts")


def test_a_change_and_a_refusal_are_reported_at_the_next_look(database, library, reporter, file):
    reporter.look()
    file.write_text(policy_text("posts", "a rifle"), encoding="utf-8")
    library.refresh()
    reporter.look()
    assert reported(database)[0].state.digest == library.current("posts").policy.digest
    assert last_good(database) == policy_text("posts", "a rifle")
    file.write_text("broken", encoding="utf-8")
    library.refresh()
    reporter.look()
    assert "posts.yaml:1:1" in reported(database)[0].state.refusal
    assert last_good(database) == policy_text("posts", "a rifle")


def test_nothing_new_is_reported_as_a_heartbeat_alone(database, reporter, clock):
    def seen_at():
        return reported(database)[0].seen_at

    reporter.look()
    first = seen_at()
    clock.now = module.HEARTBEAT_SECONDS - 1
    reporter.look()
    assert seen_at() == first
    clock.now = module.HEARTBEAT_SECONDS
    reporter.look()
    assert seen_at() > first


def test_a_heartbeat_does_not_put_an_old_version_before_a_newer_one_elsewhere(database, reporter, clock):
    reporter.look()
    with database.transaction() as session:
        elsewhere = policy_text("posts", "a rifle")
        policy = parse_policy(elsewhere, "posts.yaml")
        policy_versions.in_force(session, policy, elsewhere)
    clock.now = module.HEARTBEAT_SECONDS
    reporter.look()
    assert last_good(database) == elsewhere


def test_while_the_database_is_away_it_tries_again_and_says_so_once(
    database, library, reporter, file, caplog
):
    with database.transaction() as session:
        session.execute(text("ALTER TABLE policy_states RENAME TO away"))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            reporter.look()
    assert len([r for r in caplog.records if r.name == module.__name__]) == 1
    assert last_good(database) is None
    file.write_text(policy_text("posts", "a rifle"), encoding="utf-8")
    library.refresh()
    with database.transaction() as session:
        session.execute(text("ALTER TABLE away RENAME TO policy_states"))
    reporter.look()
    assert reported(database)[0].state == library.states[0]
    assert last_good(database) == policy_text("posts", "a rifle")


def test_those_who_ended_without_a_word_are_forgotten(database, reporter):
    with database.transaction() as session:
        long_ago = utc_now() - module.FORGOTTEN_AFTER - timedelta(minutes=1)
        session.add(PolicyStateRow(process="host:0:0", policy="posts", shadow=False, seen_at=long_ago))
    reporter.look()
    assert [found.process for found in reported(database)] == [PROCESS]


def test_while_it_reports_the_process_is_listed_and_afterwards_no_longer(database, reporter, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    with reporter.reporting():
        (found,) = wait_for(lambda: reported(database), what="the first report")
        assert found.process == PROCESS
    assert reported(database) == []


def test_it_stops_though_the_database_is_away(database, reporter):
    with database.transaction() as session:
        session.execute(text("DROP TABLE policy_states"))
    with reporter.reporting():
        pass


def test_the_name_of_a_process_says_where_and_which_it_is():
    host, pid, start = process_name().rsplit(":", 2)
    assert host
    assert pid.isdigit()
    assert start.endswith("Z")
