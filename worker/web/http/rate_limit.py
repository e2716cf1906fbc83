"""Rate limit per API key: token buckets in Redis, shared by all web processes; local ones without Redis."""

import threading
import time
from typing import Final

import redis
from moderation_client.broker_url import BrokerUrl
from moderation_client.transport import redis_client

#: A request must not wait for an unavailable Redis: after a failure Redis is not asked for some seconds.
_TIMEOUT_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 5.0
#: Takes the tokens and returns 0 if there are enough, else returns the seconds until there are. It uses
#: Redis's clock, which all processes share.
_TAKE: Final = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local capacity, rate, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = (tonumber(bucket[1]) or capacity) + (now - (tonumber(bucket[2]) or now)) * rate
tokens = math.min(capacity, tokens)
local missing = math.max(0, (cost - tokens) / rate)
if missing == 0 then tokens = tokens - cost end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(1000 * capacity / rate))
return string.format('%.3f', missing)
"""


class RateLimit:
    """Token bucket per key: it holds a minute's tokens and refills at a constant rate.

    If Redis is unavailable, or the broker is not Redis, each process counts separately.
    """

    def __init__(self, broker_url: str, prefix: str, per_minute: int) -> None:
        self._capacity, self._rate = per_minute, per_minute / 60
        self._prefix = prefix
        self._local = LocalBuckets(per_minute)
        self._shared_from = 0.0
        self._redis = redis_client(BrokerUrl.parse(broker_url), _TIMEOUT_SECONDS)
        self._script = self._redis.register_script(_TAKE) if self._redis else None

    def take(self, key: str, cost: int = 1) -> float:
        """Take `cost` tokens and return 0, or return the seconds until there are enough."""
        cost = min(cost, self._capacity)
        if self._script is not None and time.monotonic() >= self._shared_from:
            try:
                arguments = [self._capacity, self._rate, cost]
                return float(self._script(keys=[f"{self._prefix}{key}"], args=arguments))
            except redis.RedisError:
                self._shared_from = time.monotonic() + _PAUSE_SECONDS
        return self._local.take(key, cost)

    def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            self._redis.close()


class LocalBuckets:
    """The same token buckets, in this process only."""

    def __init__(self, per_minute: int) -> None:
        self._capacity, self._rate = float(per_minute), per_minute / 60
        self._lock = threading.Lock()
        #: By key: the tokens, and the time at which they were counted.
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: str, cost: int) -> float:
        """Take `cost` tokens and return 0, or return the seconds until there are enough."""
        with self._lock:
            now = time.monotonic()
            tokens, at = self._buckets.get(key, (self._capacity, now))
            tokens = min(self._capacity, tokens + (now - at) * self._rate)
            missing = max(0.0, (cost - tokens) / self._rate)
            self._buckets[key] = (tokens if missing else tokens - cost, now)
            return missing
