"""A sandboxed process that converts files of pickled weights to safetensors.

`torch.load(weights_only=True)` runs no code of a pickle. In case that fails, this process leaves the network
if the system allows it, refuses to start programs, and limits its memory, time and output.
"""

import ctypes
import re
import resource
import sys
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

#: Linux flags: a new user namespace, in which any user may create an empty network namespace.
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
#: The first line of output if the system does not let this process leave the network.
SHARED_NETWORK: Final = "shares the network\n"
_REFUSED_EVENTS: Final = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork")
#: The weights are mapped, copied, and copied again while they are written.
_COPIES: Final = 4
_SPARE_BYTES: Final = 512 * 2**20
_MAX_FILES: Final = 64


def main() -> None:
    """Convert each file named by the arguments, beside it; exit with 1 and a reason if one is refused."""
    sources = [Path(argument) for argument in sys.argv[1:]]
    if not leave_network():
        sys.stdout.write(SHARED_NETWORK)
    # After `unshare`, which needs a process with a single thread; torch starts more.
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
    """Return the tensors in a file by name; UnpicklingError with a one-line reason if it is refused."""
    import torch  # noqa: PLC0415 - only after leaving the network

    try:
        loaded = torch.load(source, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(source))
    except MemoryError:
        raise UnpicklingError("needs more memory than its size allows") from None
    except Exception as problem:  # noqa: BLE001 - turned into a refusal
        # For a broken file torch raises errors of any kind; for a forbidden name, a long text with advice.
        named = re.search(r"GLOBAL (\S+)", str(problem))
        reason = (
            f"names {named[1]}, but only tensors are allowed"
            if named
            else "is not a pickle of tensors, or is broken"
        )
        raise UnpicklingError(reason) from None
    if not _is_flat(loaded, torch.Tensor):
        raise UnpicklingError("holds something other than named tensors")
    return dict(loaded)


def converted(source: Path) -> Path:
    """Return the path of the converted file."""
    return source.with_name(source.name.replace("pytorch_model", "model").replace(".bin", ".safetensors"))


def leave_network() -> bool:
    """Move into an empty network namespace, and return whether the system allowed it."""
    unshare = getattr(ctypes.CDLL(None), "unshare", None)
    # Root needs no new user namespace, and may be allowed a network even if those are forbidden.
    return unshare is not None and any(
        unshare(flags) == 0 for flags in (_NEW_USER | _NEW_NETWORK, _NEW_NETWORK)
    )


def limit_resources(size: int) -> None:
    """Limit this process to the resources for converting a file of `size` bytes."""
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
    """Refuse sockets and programs, as an audit hook."""
    if event.startswith(_REFUSED_EVENTS):
        raise PermissionError(f"{event} is not allowed in this process")


def _is_flat(loaded: Any, tensor: type) -> bool:
    return (
        isinstance(loaded, dict)
        and bool(loaded)
        and all(isinstance(key, str) and isinstance(value, tensor) for key, value in loaded.items())
    )


def _separate(weights: dict[str, Any]) -> dict[str, Any]:
    """Return tensors that share no memory, as the format requires; shared ones are copied."""
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
