"""Finds a model's files by its name, refuses those that must not be loaded, and takes their fingerprint."""

import hashlib
import json
import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

import worker
from worker.errors import ModelError

BUNDLED: Final = "demo"
_BUNDLED_FOLDER: Final = Path(worker.__file__).parent / "demo" / "model"
_HUB_ID: Final = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(@(?P<revision>\S+))?", re.ASCII)

_WEIGHTS: Final = ("model.safetensors", "model.safetensors.index.json")
#: Formats whose loading can run code that the file brings along.
_PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
#: Without one of these transformers makes up an empty tokenizer, and every phrase is the same.
_VOCABULARIES: Final = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model")
_PREPROCESSING: Final = ("preprocessor_config.json", "processor_config.json")
_CONFIGURATIONS: Final = ("config.json", "tokenizer_config.json", *_PREPROCESSING)
#: The picture tower that `moderate model export` adds; OpenVINO keeps its graph and its weights apart.
INT8_TOWER: Final = ("picture_tower_int8.xml", "picture_tower_int8.bin")
#: Whatever changes a vector.
_FINGERPRINTED: Final = (
    *_WEIGHTS,
    "model-*-of-*.safetensors",
    *_CONFIGURATIONS,
    *_VOCABULARIES,
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    *INT8_TOWER,
)

_OFFLINE: Final = (
    "without a hub: download it elsewhere and set MODERATION_MODEL to the folder, "
    f"or use the bundled model, MODERATION_MODEL={BUNDLED}"
)


def find(name: str, families: Collection[str]) -> Path:
    """Return the folder of the model `name`: `demo`, a folder, or a hub id `org/name@revision`.

    A hub's files are downloaded once and then found in its cache. ModelError where there is no such
    model, the hub cannot be reached, or the model is none that is loaded here: of another family, with
    code of its own, with pickled weights, incomplete.
    """
    folder = _BUNDLED_FOLDER if name == BUNDLED else _local_or_downloaded(name)
    _check_kind(folder, name, families)
    _check_files(folder, name)
    return folder


def int8_tower(folder: Path) -> Path | None:
    """Return the exported picture tower in a model's folder, if there is one; ModelError if half of one."""
    graph, weights = (folder / name for name in INT8_TOWER)
    if graph.is_file() != weights.is_file():
        there, missing = (graph, weights) if graph.is_file() else (weights, graph)
        raise ModelError(
            f"{folder} has {there.name} without {missing.name}", hint="copy all files of the exported model"
        )
    return graph if graph.is_file() else None


def files_of(folder: Path) -> list[Path]:
    """Return all files of a model that shape a vector: weights, vocabulary, preprocessing; sorted."""
    return sorted({file for pattern in _FINGERPRINTED for file in folder.glob(pattern)})


def digest(folder: Path) -> str:
    """Return a SHA-256 over all files that shape a vector."""
    total = hashlib.sha256()
    for file in files_of(folder):
        with file.open("rb") as stream:
            total.update(f"{file.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def first_line(problem: Exception) -> str:
    """Return what an exception says, as far as it fits into a sentence."""
    return next((line.strip() for line in str(problem).splitlines() if line.strip()), type(problem).__name__)


def _local_or_downloaded(name: str) -> Path:
    folder = Path(name).expanduser()
    if _is_folder(folder):
        return folder
    match = _HUB_ID.fullmatch(name)
    if not match:
        raise ModelError(
            f"the model {name!r} is neither a folder nor a hub id",
            hint=f"set MODERATION_MODEL to {BUNDLED!r}, a folder, or org/name@revision",
        )
    if not match["revision"]:
        raise ModelError(
            f"there is no folder {name!r}, and as a hub id it pins no revision",
            hint=f"pin one, so that scores cannot change overnight: {name}@<commit>",
        )
    return _cached_or_downloaded(match["id"], match["revision"])


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name too long for this file system
        return False


def _cached_or_downloaded(hub_id: str, revision: str) -> Path:
    files: dict[str, Any] = {"allow_patterns": list(_FINGERPRINTED), "ignore_patterns": ["*/*"]}
    name = f"{hub_id}@{revision}"
    try:
        with suppress(LocalEntryNotFoundError):
            return Path(snapshot_download(hub_id, revision=revision, local_files_only=True, **files))
        # Asked first: it fails at once where the download would try again for half a minute.
        commit = HfApi().model_info(hub_id, revision=revision, timeout=10).sha
        return Path(snapshot_download(hub_id, revision=commit, **files))
    except GatedRepoError as problem:
        raise ModelError(f"the hub gives {name} to registered users only", hint="set HF_TOKEN") from problem
    except (RepositoryNotFoundError, RevisionNotFoundError) as problem:
        raise ModelError(f"the hub has no model {name}", hint="check its name and its revision") from problem
    except Exception as problem:
        # The hub's client lets through the errors of every library below it.
        raise ModelError(
            f"the model {name} cannot be downloaded: {first_line(problem)}", hint=_OFFLINE
        ) from problem


def _check_kind(folder: Path, name: str, families: Collection[str]) -> None:
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{name!r} is not a model: it has no config.json",
            hint="name a folder in the format of transformers",
        )
    for file in _CONFIGURATIONS:
        if (folder / file).is_file() and "auto_map" in _read_json(folder / file):
            raise ModelError(
                f"the model {name!r} needs code of its own to run (auto_map in {file}), and that is refused",
                hint="use a model of a family that transformers itself knows",
            )
    family = _read_json(folder / "config.json").get("model_type", "not given")
    if family not in families:
        raise ModelError(
            f"the model {name!r} is no zero-shot image model: its type is {family}",
            hint=f"known types: {', '.join(sorted(families))}",
        )


def _check_files(folder: Path, name: str) -> None:
    if not any((folder / weights).is_file() for weights in _WEIGHTS):
        raise _no_weights(folder, name)
    for what, files in (("image processor", _PREPROCESSING), ("vocabulary", _VOCABULARIES)):
        if not any(any(folder.glob(pattern)) for pattern in files):
            raise ModelError(
                f"the model {name!r} has no {what}: none of {', '.join(files)}",
                hint="copy all its files; a model of pictures alone, or of text alone, does not do",
            )


def _no_weights(folder: Path, name: str) -> ModelError:
    pickles = sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))
    if pickles:
        return ModelError(
            f"the model {name!r} has pickled weights ({', '.join(pickles)}), and loading those can run code",
            hint="convert them to safetensors: https://huggingface.co/spaces/safetensors/convert",
        )
    return ModelError(
        f"the model {name!r} has no weights: neither {' nor '.join(_WEIGHTS)}",
        hint="copy all its files; weights of other formats are not loaded, since they can run code",
    )


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as problem:
        raise ModelError(
            f"{file} is not JSON: {first_line(problem)}", hint="copy the model's files again"
        ) from problem
    except OSError as problem:
        raise ModelError(f"{file} cannot be read: {problem.strerror}") from problem
    if not isinstance(content, dict):
        raise ModelError(f"{file} is no JSON object", hint="copy the model's files again")
    return content
