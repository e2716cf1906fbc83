"""A stage takes the operator's settings but those that leave it, and removes its queue."""

from moderation_client import Client, InlineBytes

from worker.stage.stage import set_stage
from worker.usecases.moderation.follow_decisions import FollowDecisions


def test_no_setting_leads_out_of_the_stage(tmp_path, redis_url, monkeypatch):
    monkeypatch.setenv("MODERATION_WEBHOOK_URL", "https://platform.example/moderated")
    monkeypatch.setenv("MODERATION_DATABASE_URL", f"sqlite:///{tmp_path / 'theirs.db'}")
    monkeypatch.setenv("MODERATION_QUEUE", "theirs")
    monkeypatch.setenv("MODERATION_LOG_FORMAT", "json")
    monkeypatch.setenv("MODERATION_BATCH_SIZE", "5")
    (tmp_path / "stage").mkdir()
    with set_stage(tmp_path / "stage", "test", redis_url, policy="avatars") as stage:
        settings = stage.settings
        assert (settings.batch_size, settings.policy) == (5, "avatars")
        assert (settings.webhook_url, settings.log_format) == ("none", "text")
        assert settings.queue.startswith("moderation-test-")
        assert (stage.own_redis, stage.broker) == (False, redis_url)
        assert stage.media.is_dir()
        assert FollowDecisions(stage.database).newest() == 0
    assert not (tmp_path / "theirs.db").exists()


def test_what_waits_on_a_shared_broker_goes_with_the_stage(tmp_path, redis_url):
    with set_stage(tmp_path, "test", redis_url) as stage:
        queue = stage.settings.queue
        with Client(redis_url, queue=queue) as client:
            client.submit(InlineBytes(b"a picture"))
            assert client.depth().waiting == 1
    with Client(redis_url, queue=queue) as client:
        assert client.depth().waiting == 0


def test_without_a_broker_it_runs_a_redis_until_the_end(tmp_path):
    with set_stage(tmp_path, "test", None) as stage:
        assert (stage.own_redis, stage.broker) == (True, "a temporary Redis")
        with Client(stage.settings.broker_url, queue=stage.settings.queue) as client:
            client.ping()
    assert "bye bye" in (tmp_path / "redis.log").read_text()
