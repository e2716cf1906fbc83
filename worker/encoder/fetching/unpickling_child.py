"""A process that turns files of pickled weights into safetensors, within limits that it sets itself.

`torch.load(weights_only=True)` runs nothing that a pickle names. In case that fails, this process leaves the
network if the system lets it, starts no program, and is bounded in memory, time and in what it writes.
"""

import ctypes
import re
import resource
import sys
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

#: Of Linux: a user's own namespace, in which anybody may have a network of their own, which leads nowhere.
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
#: The first line of what this process says if the system keeps it in the machine's network.
SHARED_NETWORK: Final = "shares the network\n"
_REFUSED_EVENTS: Final = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork")
#: Mapped, copied, and copied again while it is written.
_COPIES: Final = 4
_SPARE_BYTES: Final = 512 * 2**20
_MAX_FILES: Final = 64


def main() -> None:
    """Convert each file that is named, beside it; exit with 1 and a reason if one is refused."""
    sources = [Path(argument) for argument in sys.argv[1:]]
    if not leave_network():
        sys.stdout.write(SHARED_NETWORK)
    # While there is one thread alone, as a namespace wants it; torch starts more.
    import torch  # noqa: F401, PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    limit_resources(max(source.stat().st_size for source in sources))
    sys.addaudithook(refuse)
    for source in sources:
        try:
            save_file(_separate(read(source)), converted(source), metadata={"format": "pt"})
        except UnpicklingError as problem:
            sys.stdout.write(f"{source.name} {problem}")
            sys.exit(1)


def read(source: Path) -> dict[str, Any]:
    """Return the tensors in a file by their names; UnpicklingError says in one line why it is refused."""
    import torch  # noqa: PLC0415 - only once there is no network

    try:
        loaded = torch.load(source, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(source))
    except MemoryError:
        raise UnpicklingError("needs more memory than its size allows") from None
    except Exception as problem:  # noqa: BLE001 - turned into a refusal
        # Of a broken file torch raises whatever its reader stumbled over; of names it gives advice at length.
        named = re.search(r"GLOBAL (\S+)", str(problem))
        reason = (
            f"names {named[1]}, and may name tensors alone" if named else "is no pickle of tensors, or broken"
        )
        raise UnpicklingError(reason) from None
    if not _is_flat(loaded, torch.Tensor):
        raise UnpicklingError("holds something else than tensors by name")
    return dict(loaded)


def converted(source: Path) -> Path:
    """Return the path that the tensors of a file are written to."""
    return source.with_name(source.name.replace("pytorch_model", "model").replace(".bin", ".safetensors"))


def leave_network() -> bool:
    """Move into a network that leads nowhere, and return whether the system let us."""
    unshare = getattr(ctypes.CDLL(None), "unshare", None)
    # The administrator needs no new user, and may be allowed where new users are forbidden.
    return unshare is not None and any(
        unshare(flags) == 0 for flags in (_NEW_USER | _NEW_NETWORK, _NEW_NETWORK)
    )


def limit_resources(size: int) -> None:
    """Bound this process by what converting a file of `size` bytes needs."""
    mapped = Path("/proc/self/statm")
    if mapped.exists():
        now = int(mapped.read_text().split()[0]) * resource.getpagesize()
        _limit(resource.RLIMIT_AS, now + _COPIES * size + _SPARE_BYTES)
    _limit(resource.RLIMIT_FSIZE, 2 * size + 2**20)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, _MAX_FILES)


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def refuse(event: str, _arguments: tuple[Any, ...]) -> None:
    """Refuse sockets and programs: an audit hook."""
    if event.startswith(_REFUSED_EVENTS):
        raise PermissionError(f"{event} is not allowed in this process")


def _is_flat(loaded: Any, tensor: type) -> bool:
    return (
        isinstance(loaded, dict)
        and bool(loaded)
        and all(isinstance(key, str) and isinstance(value, tensor) for key, value in loaded.items())
    )


def _separate(weights: dict[str, Any]) -> dict[str, Any]:
    """Return tensors that share no memory, as the format wants them; those that are shared are copied."""
    seen: set[int] = set()
    separate = {}
    for key, weight in weights.items():
        memory = weight.untyped_storage()
        is_whole = memory.nbytes() == weight.numel() * weight.element_size() and weight.is_contiguous()
        separate[key] = weight if is_whole and memory.data_ptr() not in seen else weight.contiguous().clone()
        seen.add(memory.data_ptr())
    return separate


if __name__ == "__main__":
    main()
