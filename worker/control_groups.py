"""Finds the folders with the limits of this process's control groups, cgroup v1 or v2."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

#: Lists the control groups of this process, a line for each hierarchy.
MEMBERSHIP: Final = Path("/proc/self/cgroup")
#: The mount point: the single hierarchy of v2, or a folder for each controller of v1.
MOUNT: Final = Path("/sys/fs/cgroup")


def groups(controller: str, membership: Path = MEMBERSHIP, mount: Path = MOUNT) -> Iterator[Path]:
    """Yield the folders of the groups that limit this process, including their parents.

    In a container the root may be the container's group, whatever the membership says; the root is always
    included.
    """
    yield mount
    with suppress(OSError, ValueError):
        for line in membership.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            _, controllers, path = line.split(":", 2)
            for root in _roots(controllers, controller, mount):
                group = PurePosixPath(path.lstrip("/"))
                yield from (root / one for one in (group, *group.parents) if ".." not in one.parts)


def _roots(controllers: str, controller: str, mount: Path) -> list[Path]:
    """Return the possible mount points of a hierarchy; the one of v2 names no controllers."""
    if not controllers:
        return [mount, mount / "unified"]
    named = controller in controllers.split(",")
    return [mount / name for name in dict.fromkeys((controllers, controller))] if named else []
