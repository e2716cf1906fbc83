"""What a kind of broker needs: only its URL is configured, the rest follows from the scheme."""

from typing import Any, Final
from urllib.parse import urlsplit

#: A job still unacknowledged after this long is delivered again; the ledger tells who has it in hand.
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


def is_redis(broker_url: str) -> bool:
    """Whether the broker is a Redis, which can be asked for more than Celery does."""
    return urlsplit(broker_url).scheme in {"redis", "rediss"}


def is_rabbitmq(broker_url: str) -> bool:
    """Whether the broker speaks AMQP, as RabbitMQ does."""
    return urlsplit(broker_url).scheme in {"amqp", "amqps", "pyamqp"}


def producer_options(broker_url: str) -> dict[str, Any]:
    """Return Celery's `broker_transport_options` for a process that publishes."""
    if is_redis(broker_url):
        return dict(_REDIS)
    return dict(_RABBITMQ) if is_rabbitmq(broker_url) else {}


def worker_configuration(broker_url: str) -> dict[str, Any]:
    """Return what Celery's settings of a worker say about its broker."""
    redelivery = _REDELIVERY if is_redis(broker_url) else {}
    return {
        "broker_transport_options": producer_options(broker_url) | redelivery,
        # What Celery reduces after a broken connection it restores in the midst of the pool's answers; on
        # RabbitMQ the worker then stands still for good.
        "worker_enable_prefetch_count_reduction": not is_rabbitmq(broker_url),
    }
