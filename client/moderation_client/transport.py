"""Connects to a broker; options, TLS and redelivery follow from its URL."""

from typing import Any, Final

import redis
from celery import Celery
from celery.app.amqp import AMQP
from kombu import Connection
from kombu.transport import redis as kombu_redis
from kombu.utils.collections import HashedSeq
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from moderation_client.broker_url import BrokerKind, BrokerUrl
from moderation_client.redis_transport import CarefulSentinelTransport, CarefulTransport

#: On Redis, a message that is unacknowledged for this long is redelivered; the ledger holds its claim.
#: RabbitMQ redelivers as soon as the worker's connection is lost.
VISIBILITY_TIMEOUT_SECONDS: Final = 60
#: Timeout for RabbitMQ's confirmation of a message; it sends none if it is full or overloaded.
CONFIRM_SECONDS: Final = 5

_REDIS: Final = {"socket_timeout": 30, "socket_connect_timeout": 5, "socket_keepalive": True}
_REDELIVERY: Final = {
    "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
    # Without these two, kombu redelivers only every 100 s, whatever the timeout.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "health_check_interval": 10,
}
#: Without it, a message that RabbitMQ rejects is lost silently.
_RABBITMQ: Final = {"confirm_publish": True}
_CAREFUL: Final[dict[type, type]] = {
    kombu_redis.Transport: CarefulTransport,
    kombu_redis.SentinelTransport: CarefulSentinelTransport,
}


class BrokerConnection(Connection):
    """A connection with our Redis transports that keeps the URL's scheme, and so TLS and failover."""

    def get_transport_cls(self) -> type:
        """Return our subclass of a Redis transport; other transports unchanged."""
        found: type = super().get_transport_cls()
        return _CAREFUL.get(found, found)

    def __eqhash__(self) -> Any:
        """Hash failover hosts and TLS options too: kombu uses one pool for equal connections."""
        return HashedSeq(super().__eqhash__(), repr(self.alt), repr(self.ssl))


class _BrokerAMQP(AMQP):
    Connection = BrokerConnection
    BrokerConnection = BrokerConnection


class BrokerCelery(Celery):
    """A Celery application that ignores CELERY_BROKER_URL, which belongs to the platform."""

    amqp_cls = _BrokerAMQP  # type: ignore[assignment]  # Celery accepts a class

    @property
    def broker(self) -> BrokerUrl:
        """The broker of this application."""
        raise NotImplementedError

    def connection_for_read(self, url: str | None = None, *arguments: Any, **options: Any) -> Connection:
        """Connect to this application's broker, whatever CELERY_BROKER_URL says."""
        return super().connection_for_read(url or self.broker.for_kombu, *arguments, **options)

    def connection_for_write(self, url: str | None = None, *arguments: Any, **options: Any) -> Connection:
        """Connect to this application's broker, whatever CELERY_BROKER_URL says."""
        return super().connection_for_write(url or self.broker.for_kombu, *arguments, **options)


def producer_configuration(broker: BrokerUrl) -> dict[str, Any]:
    """Return the Celery settings about the broker for a process that publishes."""
    return {
        "broker_url": broker.for_kombu,
        "broker_use_ssl": _kombu_tls(broker),
        "broker_transport_options": _transport_options(broker),
    }


def worker_configuration(broker: BrokerUrl) -> dict[str, Any]:
    """Return the Celery settings about the broker for a worker."""
    options = _transport_options(broker) | (_REDELIVERY if broker.is_redis else {})
    return producer_configuration(broker) | {
        "broker_transport_options": options,
        # After a lost connection, Celery reduces the prefetch count and restores it while results of the
        # pool arrive; on RabbitMQ the worker then hangs for good.
        "worker_enable_prefetch_count_reduction": not broker.is_rabbitmq,
    }


def connect(broker: BrokerUrl) -> Connection:
    """Return a connection outside any Celery application; it connects on first use."""
    return BrokerConnection(
        broker.for_kombu,
        ssl=_kombu_tls(broker),
        transport_options=_transport_options(broker),
        connect_timeout=5,
    )


def redis_client(broker: BrokerUrl, timeout_seconds: float) -> redis.Redis | None:
    """Return a client of the broker's Redis that never retries; None if the broker is not Redis."""
    if not broker.is_redis:
        return None
    server = broker.servers[0]
    options: dict[str, Any] = {
        "db": broker.database,
        "username": server.username or None,
        "password": server.password or None,
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
    }
    if broker.kind is BrokerKind.REDIS_SOCKET:
        return redis.Redis(unix_socket_path=server.path, **options)
    if broker.uses_tls:
        options |= {"ssl": True, **broker.tls_options}
    if broker.kind is BrokerKind.SENTINEL:
        sentinels = [(one.host.strip("[]"), one.port or 26379) for one in broker.servers]
        sentinel: Any = Sentinel(sentinels, sentinel_kwargs=_sentinel_options(broker, timeout_seconds))  # type: ignore[no-untyped-call]
        primary: redis.Redis = sentinel.master_for(broker.options["master_name"], **options)
        return primary
    return redis.Redis(host=server.host.strip("[]"), port=server.port or 6379, **options)


def _transport_options(broker: BrokerUrl) -> dict[str, Any]:
    """Return kombu's `transport_options` for a process that publishes."""
    match broker.kind:
        case BrokerKind.REDIS | BrokerKind.REDIS_SOCKET:
            return dict(_REDIS)
        case BrokerKind.SENTINEL:
            return _REDIS | {
                "master_name": broker.options["master_name"],
                "sentinel_kwargs": _sentinel_options(broker, _REDIS["socket_connect_timeout"]),
            }
        case BrokerKind.RABBITMQ:
            return dict(_RABBITMQ)
        case _:
            return {}


def _sentinel_options(broker: BrokerUrl, timeout_seconds: float) -> dict[str, Any]:
    """Return the options for connections to the Sentinels themselves."""
    names = {"username": "sentinel_username", "password": "sentinel_password"}
    options: dict[str, Any] = {
        option: broker.options[name] for option, name in names.items() if name in broker.options
    }
    options |= {"socket_timeout": timeout_seconds, "socket_connect_timeout": timeout_seconds}
    return options | ({"ssl": True, **broker.tls_options} if broker.uses_tls else {})


def _kombu_tls(broker: BrokerUrl) -> dict[str, Any] | bool:
    """Return kombu's `ssl`: False, or options that verify certificate and host name unless switched off."""
    options = broker.tls_options
    if not options or broker.is_redis:
        return options or False
    checks = options.pop("ssl_check_hostname")
    named = {name.removeprefix("ssl_"): value for name, value in options.items()}
    # kombu fills in the host; py-amqp verifies it if the key is present.
    return named | ({"server_hostname": None} if checks else {})
