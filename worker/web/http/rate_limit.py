"""How much one API key may ask: buckets of tokens in Redis that all web processes share, or each its own."""

import threading
import time
from typing import Final

import redis
from moderation_client.broker_url import BrokerUrl
from moderation_client.transport import redis_client

#: A request must not wait for a Redis that is away; after a failure it is left alone for a while.
_TIMEOUT_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 5.0
#: Takes tokens if there are enough; returns how many seconds are missing else. Redis's clock is the one
#: that all processes share.
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
    """Gives each key a minute's tokens at once, and new ones at an even pace.

    While Redis is unavailable, and if the broker is no Redis, each process counts for itself.
    """

    def __init__(self, broker_url: str, prefix: str, per_minute: int) -> None:
        self._capacity, self._rate = per_minute, per_minute / 60
        self._prefix = prefix
        self._local = LocalBuckets(per_minute)
        self._shared_from = 0.0
        self._redis = redis_client(BrokerUrl.parse(broker_url), _TIMEOUT_SECONDS)
        self._script = self._redis.register_script(_TAKE) if self._redis else None

    def take(self, key: str, cost: int = 1) -> float:
        """Take `cost` tokens and return 0, or return in how many seconds there will be enough."""
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
    """The same buckets, of this process alone."""

    def __init__(self, per_minute: int) -> None:
        self._capacity, self._rate = float(per_minute), per_minute / 60
        self._lock = threading.Lock()
        #: How many tokens there were, and when.
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: str, cost: int) -> float:
        """Take `cost` tokens and return 0, or return in how many seconds there will be enough."""
        with self._lock:
            now = time.monotonic()
            tokens, at = self._buckets.get(key, (self._capacity, now))
            tokens = min(self._capacity, tokens + (now - at) * self._rate)
            missing = max(0.0, (cost - tokens) / self._rate)
            self._buckets[key] = (tokens if missing else tokens - cost, now)
            return missing
