"""Broker URLs as people write them: what is meant, and what is refused without repeating a password."""

import pytest
from kombu.utils.url import url_to_parts
from moderation_client.broker_url import BrokerUrl

from worker.errors import SettingsError


@pytest.mark.parametrize(
    "password", ["#", "/", "@", ":", "%", "?", "p#a/b@c:d%e?f", "50%", ";redis", "a b", "ü"]
)
@pytest.mark.parametrize("url", ["redis://:{}@h:6380/1", "amqp://:{}@h:6380/1"])
def test_a_password_may_hold_raw_special_characters(password, url):
    broker = BrokerUrl.parse(url.format(password))
    parts = url_to_parts(broker.for_kombu)
    assert (parts.password, parts.hostname, parts.port, parts.path) == (password, "h", 6380, "1")
    assert str(broker) == f"{broker.scheme}://:**@h:6380/1"
    assert str(broker) in repr(broker)


def test_a_percent_encoded_password_means_what_it_always_meant():
    broker = BrokerUrl.parse("redis://moderator:p%40%23@h/0")
    assert (broker.servers[0].username, broker.servers[0].password) == ("moderator", "p@#")


@pytest.mark.parametrize(
    ("url", "for_kombu", "shown"),
    [
        (" redis://127.0.0.1:6379/0\n", "redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://", "redis://127.0.0.1/", "redis://127.0.0.1/"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("valkeys://:pw@h/0", "rediss://:pw@h/0", "rediss://:**@h/0"),
        ("redis://a:1/0;redis://b:2/0", "redis://a:1/0;redis://b:2/0", "redis://a:1/0;redis://b:2/0"),
        (
            "unix://:pw@/run/r.sock?db=3",
            "redis+socket://:pw@/run/r.sock?virtual_host=3",
            "redis+socket://:**@/run/r.sock",
        ),
        (
            "sentinel://a;sentinel://:pw@b:2/4?master_name=m",
            "sentinel://:pw@a/4;sentinel://:pw@b:2/4",
            "sentinel://:**@a/4;sentinel://:**@b:2/4",
        ),
        ("amqp://u:pw@h:5672//", "amqp://u:pw@h:5672//", "amqp://u:**@h:5672//"),
        ("amqps://u:pw@h/v?heartbeat=9", "amqps://u:pw@h/v?heartbeat=9", "amqps://u:**@h/v"),
        ("memory://", "memory://", "memory://"),
        # A password that was written as a user's name.
        ("redis://hunter2@h/0", "redis://hunter2:@h/0", "redis://**@h/0"),
    ],
)
def test_what_kombu_knows_is_understood(url, for_kombu, shown):
    broker = BrokerUrl.parse(url)
    assert (broker.for_kombu, str(broker)) == (for_kombu, shown)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "does not begin with a scheme"),
        ("localhost:6379", "does not begin with a scheme"),
        ("reids://:hunter2@h", "'reids' is not a supported scheme; supported are redis, rediss"),
        # Celery knows these; their delivery is not what is promised here.
        ("sqs://key:hunter2@", "'sqs' is not a supported scheme"),
        ("sqla+sqlite:///x.db", "'sqla+sqlite' is not a supported scheme"),
        ("hunter2 ://h", "'its beginning' is not"),
        ("redis://:hunter2", "host or port cannot be read"),
        ("redis://h:hunter2/0", "host or port cannot be read"),
        ("redis://u:hunter?2=x", "host or port cannot be read"),
        ("redis://h:65536/0", "host or port cannot be read"),
        ("redis://h:0/0", "host or port cannot be read"),
        ("redis://h/hunter2", "the number of a database"),
        ("redis://:hunter2@h/0?timeout=3", "'timeout' is not an option; known are ssl_ca_certs"),
        ("redis://:hunter2@h/0?ssl_cert_reqs=none", "the option ssl_cert_reqs needs TLS: write rediss://"),
        ("rediss://:hunter2@h/0?ssl_cert_reqs=no", "ssl_cert_reqs is one of required, optional, none"),
        ("rediss://h?ssl_check_hostname=0", "ssl_check_hostname is true or false"),
        ("rediss://h?ssl_ca_certs=/nowhere.pem", "there is no file /nowhere.pem"),
        ("sentinel://:hunter2@h/0", "the name of the primary, ?master_name=NAME"),
        ("sentinel://h?master_name=m&ssl=maybe", "ssl is true or false"),
        ("amqp://h//?heartbeat=often", "heartbeat is a number"),
        ("unix://run/redis.sock", "begins with a slash"),
        ("unix:///run/redis.sock?db=x", "db is a number"),
    ],
)
def test_anything_else_is_refused_in_one_line_without_the_password(url, words):
    with pytest.raises(SettingsError) as refused:
        BrokerUrl.parse(url, "MODERATION_CALLBACK_BROKER_URL")
    message = refused.value.message
    assert words in message
    assert message.startswith("MODERATION_CALLBACK_BROKER_URL is not a broker URL: ")
    assert "\n" not in message
    assert "hunter2" not in message.removeprefix("MODERATION_CALLBACK_BROKER_URL") + refused.value.hint
    assert refused.value.__cause__ is None
