"""Finds a model's folder by name, refuses models that must not be loaded, and computes the digest."""

import hashlib
import re
from pathlib import Path
from typing import Final

from worker.encoder.hub import hub_cache, presets
from worker.encoder.hub.model_layout import (
    CONFIG,
    CONFIGURATIONS,
    INT8_TOWER,
    check_whole,
    files_of,
    read_json,
)
from worker.errors import ModelError
from worker.resources import demo_folder

BUNDLED: Final = "demo"
_HUB_ID: Final = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(@(?P<revision>\S+))?", re.ASCII)

#: Families whose score is the cosine of a picture's and a phrase's vector times a scale.
FAMILIES: Final = frozenset({"align", "altclip", "chinese_clip", "clip", "metaclip_2", "siglip", "siglip2"})


def find(name: str) -> Path:
    """Return the folder of the model `name`: `demo`, a folder, a preset, or a hub id `org/name@revision`.

    A hub's files are downloaded once and then found in its cache. ModelError if there is no such model, the
    hub cannot be reached, or the model is not supported: of another family, with custom code, with pickled
    weights, incomplete.
    """
    folder = demo_folder("model") if name == BUNDLED else _local_or_downloaded(name)
    check_kind(folder, name)
    check_whole(folder, name)
    return folder


def split_hub_id(name: str) -> tuple[str, str]:
    """Return the hub id and the revision, "" if not given, of a preset or of `org/name[@revision]`.

    ModelError if `name` is neither.
    """
    match = _HUB_ID.fullmatch(presets.PINNED.get(name, name))
    if not match:
        raise ModelError(
            f"the model {name!r} is neither a folder nor a hub id",
            hint=f"set MODERATION_MODEL to {BUNDLED!r}, a folder, or org/name@revision; "
            "`moderate model list` shows models to start from",
        )
    return match["id"], match["revision"] or ""


def check_kind(folder: Path, name: str) -> None:
    """Raise ModelError if the configuration files in `folder` are not those of a supported model."""
    if not (folder / CONFIG).is_file():
        raise ModelError(
            f"{name!r} is not a model: it has no config.json",
            hint="name a folder in the format of transformers",
        )
    for file in CONFIGURATIONS:
        if (folder / file).is_file() and "auto_map" in read_json(folder / file):
            raise ModelError(
                f"the model {name!r} needs custom code (auto_map in {file}), which is never run",
                hint="use a model of a family that transformers itself knows",
            )
    family = read_json(folder / CONFIG).get("model_type", "not given")
    if family not in FAMILIES:
        raise ModelError(
            f"the model {name!r} is not a zero-shot image model: its type is {family}",
            hint=f"known types: {', '.join(sorted(FAMILIES))}",
        )


def int8_tower(folder: Path) -> Path | None:
    """Return the exported picture tower in a model's folder, if any; ModelError if one file is missing."""
    graph, weights = (folder / name for name in INT8_TOWER)
    if graph.is_file() != weights.is_file():
        there, missing = (graph, weights) if graph.is_file() else (weights, graph)
        raise ModelError(
            f"{folder} has {there.name} without {missing.name}", hint="copy all files of the exported model"
        )
    return graph if graph.is_file() else None


def digest(folder: Path) -> str:
    """Return a SHA-256 over all files that affect vectors."""
    total = hashlib.sha256()
    for file in files_of(folder):
        with file.open("rb") as stream:
            total.update(f"{file.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _local_or_downloaded(name: str) -> Path:
    folder = Path(name).expanduser()
    if _is_folder(folder):
        return folder
    hub_id, revision = split_hub_id(name)
    if not revision:
        raise ModelError(
            f"there is no folder {name!r}, and as a hub id it pins no revision",
            hint=f"pin one, so that scores cannot change overnight: {name}@<commit>",
        )
    return hub_cache.cached_or_downloaded(name, hub_id, revision)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name too long for this file system
        return False
