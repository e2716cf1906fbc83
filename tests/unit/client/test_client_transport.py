"""What a broker needs follows from its URL's scheme."""

import pytest

from worker.client.transport import is_rabbitmq, is_redis, producer_options, worker_configuration


@pytest.mark.parametrize("url", ["redis://127.0.0.1:6379/0", "rediss://:secret@redis.internal/1"])
def test_a_redis_redelivers_within_a_minute(url):
    configuration = worker_configuration(url)
    assert (is_redis(url), is_rabbitmq(url)) == (True, False)
    assert configuration["broker_transport_options"]["visibility_timeout"] == 60
    assert "visibility_timeout" not in producer_options(url)


@pytest.mark.parametrize("url", ["amqp://127.0.0.1//", "amqps://u:p@mq.internal/uploads", "pyamqp://h//"])
def test_rabbitmq_confirms_what_it_takes_and_its_worker_keeps_its_prefetch(url):
    configuration = worker_configuration(url)
    assert (is_redis(url), is_rabbitmq(url)) == (False, True)
    assert configuration["broker_transport_options"] == producer_options(url) == {"confirm_publish": True}
    assert configuration["worker_enable_prefetch_count_reduction"] is False


def test_any_other_broker_gets_no_options_that_it_may_not_know():
    assert worker_configuration("memory://")["broker_transport_options"] == {}
