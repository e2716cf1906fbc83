"""Converts pickled weights to safetensors, once, in a sandboxed child process."""

import json
import logging
import signal
import subprocess
from pathlib import Path
from typing import Final

from safetensors import safe_open

from worker import child_python
from worker.encoder.fetching.unpickling_child import SHARED_NETWORK, converted
from worker.encoder.hub.model_layout import PICKLE, PICKLED_SHARDS, WEIGHTS_INDEX
from worker.errors import ModelError

log = logging.getLogger(__name__)

_CHILD_MODULE: Final = "worker.encoder.fetching.unpickling_child"
#: Time limits: importing torch on a busy machine, reading and writing on a slow disk.
_START_SECONDS: Final = 120.0
_BYTES_A_SECOND: Final = 10e6


def convert(folder: Path, name: str) -> None:
    """Write safetensors beside a model's pickled weights.

    ModelError if they hold anything but tensors, or cannot be read.
    """
    single = folder / PICKLE
    pickles = [single] if single.is_file() else sorted(folder.glob(PICKLED_SHARDS))
    written = [converted(pickle) for pickle in pickles]
    _run_child(pickles, name)
    for pickle, safe in zip(pickles, written, strict=True):
        # Created readable only by this user; workers may run as another user.
        safe.chmod(pickle.stat().st_mode)
    if single not in pickles:
        _write_index(folder, written)


def _run_child(pickles: list[Path], name: str) -> None:
    size = sum(pickle.stat().st_size for pickle in pickles)
    try:
        ended = subprocess.run(  # noqa: S603 - our own module, by the path of this interpreter
            child_python.command(_CHILD_MODULE, *map(str, pickles)),
            env=child_python.bare_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_START_SECONDS + size / _BYTES_A_SECOND,
            check=False,
        )
    except subprocess.TimeoutExpired as problem:
        raise _refused(name, "reading them took too long") from problem
    if ended.returncode:
        raise _refused(name, _why(ended))
    if ended.stdout.decode(errors="replace").startswith(SHARED_NETWORK):
        log.warning(
            "the pickled weights of %s were converted without one protection: this system lets no process "
            "leave its network, so only `torch.load(weights_only=True)` and an audit hook kept code in them "
            "from using it",
            name,
        )


def _write_index(folder: Path, shards: list[Path]) -> None:
    """Write the index of which shard holds which tensor."""
    places: dict[str, str] = {}
    size = 0
    for shard in shards:
        size += shard.stat().st_size
        with safe_open(shard, "pt") as weights:
            places |= dict.fromkeys(weights.keys(), shard.name)
    index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(places.items()))}
    (folder / WEIGHTS_INDEX).write_text(json.dumps(index, indent=2))


def _refused(name: str, why: str) -> ModelError:
    return ModelError(
        f"the pickled weights of {name} are not converted: {why}",
        hint="choose a model, or a revision of it, with safetensors: `moderate model list` shows some",
    )


def _why(ended: "subprocess.CompletedProcess[bytes]") -> str:
    if ended.returncode < 0:
        return f"the process that read it was killed by {signal.Signals(-ended.returncode).name}"
    refusal = ended.stdout.decode(errors="replace").removeprefix(SHARED_NETWORK).strip()
    lines = ended.stderr.decode(errors="replace").strip().splitlines()
    return refusal or (lines[-1] if lines else f"the process that read it exited with {ended.returncode}")
