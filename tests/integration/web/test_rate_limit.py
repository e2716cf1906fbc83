"""Tokens in a real Redis, shared by all who count there; and what happens while it is away."""

import secrets

import pytest

from worker.web.http.rate_limit import LocalBuckets, RateLimit


@pytest.fixture
def limits(redis_url):
    prefix = f"{secrets.token_hex(4)}:"
    made = [RateLimit(redis_url, prefix, per_minute=6) for _ in range(2)]
    yield made
    for limit in made:
        limit.close()


def test_all_processes_count_together_and_each_key_for_itself(limits):
    first, second = limits
    assert [limit.take("a") for limit in [first, second] * 3] == [0] * 6
    assert 5 < first.take("a") <= 10
    assert 15 < second.take("a", cost=2) <= 20
    assert first.take("b") == 0


def test_a_request_that_costs_more_than_there_can_be_takes_all(limits):
    first, _ = limits
    assert first.take("a", cost=1000) == 0
    assert 50 < first.take("a", cost=1000) <= 60


def test_while_redis_is_away_each_process_counts_for_itself():
    limit = RateLimit("redis://127.0.0.1:1/0", "x:", per_minute=3)
    assert [limit.take("a") for _ in range(3)] == [0] * 3
    assert 0 < limit.take("a") <= 20
    limit.close()


def test_a_broker_that_is_no_redis_counts_locally():
    limit = RateLimit("memory://", "x:", per_minute=1)
    assert limit.take("a") == 0
    assert 0 < limit.take("a") <= 60


def test_tokens_come_back(monkeypatch):
    now = 100.0
    monkeypatch.setattr("worker.web.http.rate_limit.time.monotonic", lambda: now)
    buckets = LocalBuckets(60)
    assert buckets.take("a", 60) == 0
    assert buckets.take("a", 2) == 2
    now += 2
    assert buckets.take("a", 2) == 0
