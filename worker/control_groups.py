"""Where the limits of this process's control groups are written, in either version of them."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

#: Which control groups this process is in, a line for each hierarchy.
MEMBERSHIP: Final = Path("/proc/self/cgroup")
#: Where they are mounted: the one hierarchy of version 2, or a folder for each controller of version 1.
MOUNT: Final = Path("/sys/fs/cgroup")


def groups(controller: str, membership: Path = MEMBERSHIP, mount: Path = MOUNT) -> Iterator[Path]:
    """Yield the folders of the groups that limit this process, the groups around them included.

    A container may see its own group as the root, whatever its membership says; the root is always looked at.
    """
    yield mount
    with suppress(OSError, ValueError):
        for line in membership.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            _, controllers, path = line.split(":", 2)
            for root in _roots(controllers, controller, mount):
                group = PurePosixPath(path.lstrip("/"))
                yield from (root / one for one in (group, *group.parents) if ".." not in one.parts)


def _roots(controllers: str, controller: str, mount: Path) -> list[Path]:
    """Return where a hierarchy may be mounted; that of version 2 names no controllers."""
    if not controllers:
        return [mount, mount / "unified"]
    named = controller in controllers.split(",")
    return [mount / name for name in dict.fromkeys((controllers, controller))] if named else []
