"""Connections to a broker: only its URL is configured, options, TLS and redelivery follow from it."""

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

#: A job still unacknowledged after this long is delivered again; the ledger knows who claimed it.
#: Redis alone waits: RabbitMQ delivers again as soon as the worker's connection is gone.
VISIBILITY_TIMEOUT_SECONDS: Final = 60
#: RabbitMQ says that it has a message; one that is full or overwhelmed says nothing.
CONFIRM_SECONDS: Final = 5

_REDIS: Final = {"socket_timeout": 30, "socket_connect_timeout": 5, "socket_keepalive": True}
_REDELIVERY: Final = {
    "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
    # Without these two, redelivery waits for a sweep every 100 s, whatever the timeout says.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "health_check_interval": 10,
}
#: Without it, a message that RabbitMQ did not take is lost in silence.
_RABBITMQ: Final = {"confirm_publish": True}
_CAREFUL: Final[dict[type, type]] = {
    kombu_redis.Transport: CarefulTransport,
    kombu_redis.SentinelTransport: CarefulSentinelTransport,
}


class BrokerConnection(Connection):
    """A connection that keeps the URL's scheme, and with it TLS and failover, under our own transport."""

    def get_transport_cls(self) -> type:
        """Return the careful kind of Redis's transports; any other as it is."""
        found: type = super().get_transport_cls()
        return _CAREFUL.get(found, found)

    def __eqhash__(self) -> Any:
        """Tell connections apart by their other hosts and TLS too: kombu pools what it holds for equal."""
        return HashedSeq(super().__eqhash__(), repr(self.alt), repr(self.ssl))


class _BrokerAMQP(AMQP):
    Connection = BrokerConnection
    BrokerConnection = BrokerConnection


class BrokerCelery(Celery):
    """A Celery application that keeps to its broker: CELERY_BROKER_URL is the platform's."""

    amqp_cls = _BrokerAMQP  # type: ignore[assignment]  # a class is as good as its name

    @property
    def broker(self) -> BrokerUrl:
        """The broker that this application talks to."""
        raise NotImplementedError

    def connection_for_read(self, url: str | None = None, *arguments: Any, **options: Any) -> Connection:
        """Connect to this application's broker, whatever CELERY_BROKER_URL says."""
        return super().connection_for_read(url or self.broker.for_kombu, *arguments, **options)

    def connection_for_write(self, url: str | None = None, *arguments: Any, **options: Any) -> Connection:
        """Connect to this application's broker, whatever CELERY_BROKER_URL says."""
        return super().connection_for_write(url or self.broker.for_kombu, *arguments, **options)


def producer_configuration(broker: BrokerUrl) -> dict[str, Any]:
    """Return what Celery's settings say about the broker of a process that publishes."""
    return {
        "broker_url": broker.for_kombu,
        "broker_use_ssl": _kombu_tls(broker),
        "broker_transport_options": _transport_options(broker),
    }


def worker_configuration(broker: BrokerUrl) -> dict[str, Any]:
    """Return what Celery's settings say about the broker of a worker."""
    options = _transport_options(broker) | (_REDELIVERY if broker.is_redis else {})
    return producer_configuration(broker) | {
        "broker_transport_options": options,
        # What Celery reduces after a broken connection it restores in the midst of the pool's answers; on
        # RabbitMQ the worker then stands still for good.
        "worker_enable_prefetch_count_reduction": not broker.is_rabbitmq,
    }


def connect(broker: BrokerUrl) -> Connection:
    """Return a connection outside any Celery application; it connects when first used."""
    return BrokerConnection(
        broker.for_kombu,
        ssl=_kombu_tls(broker),
        transport_options=_transport_options(broker),
        connect_timeout=5,
    )


def redis_client(broker: BrokerUrl, timeout_seconds: float) -> redis.Redis | None:
    """Return a client of the broker's Redis that never retries; None if the broker is no Redis."""
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
    """Return kombu's `transport_options` of a process that publishes."""
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
    """Return how the Sentinels themselves are reached."""
    names = {"username": "sentinel_username", "password": "sentinel_password"}
    options: dict[str, Any] = {
        ours: broker.options[name] for ours, name in names.items() if name in broker.options
    }
    options |= {"socket_timeout": timeout_seconds, "socket_connect_timeout": timeout_seconds}
    return options | ({"ssl": True, **broker.tls_options} if broker.uses_tls else {})


def _kombu_tls(broker: BrokerUrl) -> dict[str, Any] | bool:
    """Return kombu's `ssl`: False, or options that verify certificate and host name unless told otherwise."""
    options = broker.tls_options
    if not options or broker.is_redis:
        return options or False
    checks = options.pop("ssl_check_hostname")
    named = {name.removeprefix("ssl_"): value for name, value in options.items()}
    # kombu fills in the host; py-amqp checks it if it is there.
    return named | ({"server_hostname": None} if checks else {})
