"""What a child process does to itself: it limits its resources, and exits with its parent."""

import os
import resource
import select
import socket
import threading


def exit_with_parent(connection: socket.socket) -> None:
    """Exit as soon as the parent closes its end or dies, even during a computation."""
    poll = select.poll()
    poll.register(connection, getattr(select, "POLLRDHUP", select.POLLHUP))

    def exit_on_hangup() -> None:
        poll.poll()
        os._exit(0)

    threading.Thread(target=exit_on_hangup, daemon=True).start()


def limit(kind: int, most: int) -> None:
    """Limit a resource (`resource.RLIMIT_...`), as far as this process may."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (at_most(most, hard), at_most(most, hard)))


def at_most(wanted: int, hard: int) -> int:
    """Return the lower of a wanted limit and the hard one."""
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
