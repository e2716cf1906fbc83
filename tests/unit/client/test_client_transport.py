"""What a connection to a broker needs follows from its URL alone."""

import ssl

import pytest
from moderation_client.broker_url import BrokerUrl
from moderation_client.transport import producer_configuration, redis_client, worker_configuration


def options(configuration):
    return configuration["broker_transport_options"]


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "rediss://:secret@redis.internal/1",
        "valkey://127.0.0.1",
        "unix:///run/redis.sock",
        "sentinel://127.0.0.1/0?master_name=jobs",
    ],
)
def test_a_redis_redelivers_within_a_minute(url):
    broker = BrokerUrl.parse(url)
    assert (broker.is_redis, broker.is_rabbitmq) == (True, False)
    assert options(worker_configuration(broker))["visibility_timeout"] == 60
    assert "visibility_timeout" not in options(producer_configuration(broker))


@pytest.mark.parametrize("url", ["amqp://127.0.0.1//", "amqps://u:p@mq.internal/uploads", "pyamqp://h//"])
def test_rabbitmq_confirms_what_it_takes_and_its_worker_keeps_its_prefetch(url):
    broker = BrokerUrl.parse(url)
    configuration = worker_configuration(broker)
    assert (broker.is_redis, broker.is_rabbitmq) == (False, True)
    assert options(configuration) == options(producer_configuration(broker)) == {"confirm_publish": True}
    assert configuration["worker_enable_prefetch_count_reduction"] is False


def test_any_other_broker_gets_no_options_that_it_may_not_know():
    assert options(worker_configuration(BrokerUrl.parse("memory://"))) == {}


@pytest.mark.parametrize("url", ["rediss://h/0", "valkeys://h/0", "sentinel://h?ssl=true&master_name=m"])
def test_tls_verifies_by_default(url):
    tls = producer_configuration(BrokerUrl.parse(url))["broker_use_ssl"]
    assert tls == {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    client = redis_client(BrokerUrl.parse("rediss://h/0"), 0.5)
    assert client.connection_pool.connection_kwargs["ssl_cert_reqs"] == ssl.CERT_REQUIRED


def test_tls_to_rabbitmq_verifies_by_default_in_py_amqps_words():
    tls = producer_configuration(BrokerUrl.parse("amqps://h//"))["broker_use_ssl"]
    assert tls == {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}
    off = producer_configuration(BrokerUrl.parse("amqps://h//?ssl_cert_reqs=none"))["broker_use_ssl"]
    assert off == {"cert_reqs": ssl.CERT_NONE}


@pytest.mark.parametrize("word", ["none", "NONE", "CERT_NONE"])
def test_verification_can_be_switched_off(word):
    tls = producer_configuration(BrokerUrl.parse(f"rediss://h/0?ssl_cert_reqs={word}"))["broker_use_ssl"]
    assert tls == {"ssl_cert_reqs": ssl.CERT_NONE, "ssl_check_hostname": False}


@pytest.mark.parametrize(
    "url",
    ["redis://h/0", "sentinel://h?master_name=m&ssl=False", "amqp://h//", "memory://", "redis+socket:///x"],
)
def test_no_tls_without_its_scheme(url):
    assert producer_configuration(BrokerUrl.parse(url))["broker_use_ssl"] is False
