"""Makes a real Redis answer with errors: one context manager for each kind of refusal."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import redis
from support.deployment import wait_for

#: While it loads, Redis answers other clients after every two megabytes.
_LARGE_KEYS = 20
_MICROSECONDS_A_KEY = 250_000

Refusal = Callable[[redis.Redis], AbstractContextManager[None]]


@contextmanager
def out_of_memory(connection: redis.Redis) -> Iterator[None]:
    connection.config_set("maxmemory", 1)
    try:
        yield
    finally:
        connection.config_set("maxmemory", 0)


@contextmanager
def read_only(connection: redis.Redis) -> Iterator[None]:
    """Answer like an old primary after a failover."""
    connection.replicaof("127.0.0.1", 1)
    try:
        yield
    finally:
        connection.replicaof("NO", "ONE")


@contextmanager
def cannot_save(connection: redis.Redis) -> Iterator[None]:
    """Answer MISCONF: a snapshot failed, so Redis refuses writes."""
    folder = connection.config_get("dir")["dir"]
    with tempfile.TemporaryDirectory(prefix="gone-") as name:
        connection.config_set("dir", name)
    connection.config_set("save", "3600 1")
    connection.bgsave()
    wait_for(lambda: connection.info("persistence")["rdb_last_bgsave_status"] == "err", what="a failed save")
    try:
        yield
    finally:
        connection.config_set("save", "")
        connection.config_set("dir", str(Path(folder)))


@contextmanager
def no_permission(connection: redis.Redis) -> Iterator[None]:
    connection.execute_command("ACL", "SETUSER", "default", "-@write")
    try:
        yield
    finally:
        connection.execute_command("ACL", "SETUSER", "default", "+@all")


@contextmanager
def no_records(connection: redis.Redis) -> Iterator[None]:
    """Allow to pop messages, but not to record them as unacknowledged: the worst case."""
    connection.execute_command("ACL", "SETUSER", "default", "-zadd", "-hset")
    try:
        yield
    finally:
        connection.execute_command("ACL", "SETUSER", "default", "+@all")


@contextmanager
def too_many_clients(connection: redis.Redis) -> Iterator[None]:
    connection.config_set("maxclients", 1)
    connection.client_kill_filter(_type="normal", skipme=True)
    try:
        yield
    finally:
        connection.config_set("maxclients", 10_000)


@contextmanager
def busy_script(connection: redis.Redis) -> Iterator[None]:
    connection.config_set("lua-time-limit", 100)
    with redis.Redis(**_place(connection)) as another:
        thread = threading.Thread(target=_run_for_ever, args=(another,), daemon=True)
        thread.start()
        wait_for(lambda: "BUSY" in _problem(connection), what="the script to run")
        try:
            yield
        finally:
            connection.script_kill()
            thread.join(10)


@contextmanager
def loading(connection: redis.Redis) -> Iterator[None]:
    """Load a snapshot so slowly that clients get the error of a starting server."""
    for number in range(_LARGE_KEYS):
        connection.set(f"large-{number}", os.urandom(2**21))
    connection.config_set("key-load-delay", _MICROSECONDS_A_KEY)
    with redis.Redis(**_place(connection)) as another:
        thread = threading.Thread(target=another.execute_command, args=("DEBUG", "RELOAD"), daemon=True)
        thread.start()
        wait_for(lambda: "Loading" in _problem(connection), what="the snapshot to be loading")
        try:
            yield
        finally:
            thread.join(60)
            connection.config_set("key-load-delay", 0)
            connection.delete(*(f"large-{number}" for number in range(_LARGE_KEYS)))


def _problem(connection: redis.Redis) -> str:
    """Return the error with which Redis refuses a command; empty if it answers."""
    try:
        connection.ping()
    except redis.RedisError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _run_for_ever(connection: redis.Redis) -> None:
    with suppress(redis.RedisError):
        connection.eval("while true do end", 0)


def _place(connection: redis.Redis) -> dict[str, object]:
    known = connection.connection_pool.connection_kwargs
    return {"host": known["host"], "port": known["port"], "socket_timeout": 120}


#: What any Redis can be made to answer.
ERROR_REPLIES: dict[str, Refusal] = {
    "OOM": out_of_memory,
    "READONLY": read_only,
    "MISCONF": cannot_save,
    "NOPERM": no_permission,
    "NOPERM for records": no_records,
    "max number of clients": too_many_clients,
    "BUSY script": busy_script,
}
#: With an append-only file, a provoked reload answers nothing at all, as a frozen Redis does.
REFUSALS = ERROR_REPLIES | {"LOADING": loading}
