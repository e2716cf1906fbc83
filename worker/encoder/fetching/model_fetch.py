"""Downloads a model from the hub into a folder, completely or not at all; a second run resumes."""

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from worker.encoder.fetching import unpickling
from worker.encoder.fetching.fresh_folder import check_free, take_name
from worker.encoder.fetching.model_manifest import MANIFEST, Manifest, sha256
from worker.encoder.fetching.work_folder import remove_abandoned, work_folder
from worker.encoder.hub import hub
from worker.encoder.hub.hub import HubFile, Repository
from worker.encoder.hub.model_files import check_kind, split_hub_id
from worker.encoder.hub.model_layout import CONFIG, check_whole, files_of, is_pickled
from worker.encoder.hub.presets import PINNED
from worker.errors import ModelError, UsageError

#: Given how many bytes are there, and of how many.
Progress = Callable[[int, int], None]
_NEWEST: Final = "main"
#: As in Git, fewer digits are the beginning of no commit.
_BEGUN_COMMIT: Final = re.compile("[0-9a-f]{4,40}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model in a folder."""

    folder: Path
    manifest: Manifest
    #: Whether it was there already, and every file still is what was fetched.
    was_there: bool = False


def fetch(name: str, out: Path, notify: Progress) -> Fetched:
    """Bring a preset, or `org/name[@revision]`, into the new folder `out`.

    A folder that is complete already is checked against its recorded checksums. UsageError if `name` or `out`
    cannot be used, ModelError if the model is unavailable or is not one that is loaded here.
    """
    hub_id, revision = _meant(name)
    if there := Manifest.read(out):
        _check_same(there, out, hub_id, revision)
        there.check(out)
        return Fetched(out, there, was_there=True)
    check_free(out)
    repository = hub.look_up(hub_id, revision)
    target = out.resolve()
    with work_folder(target, repository.commit) as work:
        manifest = _finished_before(work, repository, revision) or _fetch(repository, revision, work, notify)
        for pickle in manifest.converted:
            (work / pickle).unlink(missing_ok=True)
        take_name(work, target)
    remove_abandoned(target)
    return Fetched(out, manifest)


def _fetch(repository: Repository, revision: str, work: Path, notify: Progress) -> Manifest:
    files = _files(repository)
    _check_room(work, files)
    _download(repository, files, work, notify)
    return _finished(repository, revision, work)


def _meant(name: str) -> tuple[str, str]:
    """Return the hub id and the revision that a name stands for."""
    try:
        hub_id, revision = split_hub_id(name)
    except ModelError as problem:
        near = get_close_matches(name, PINNED, 1)
        raise UsageError(
            f"{name!r} is neither a preset nor a hub id",
            hint=f"did you mean {near[0]}?"
            if near
            else "name one of `moderate model list`, or org/name@revision",
        ) from problem
    return hub_id, revision or _NEWEST


def _check_same(there: Manifest, out: Path, hub_id: str, revision: str) -> None:
    """Raise UsageError if a folder holds another model, or another revision of it, than is asked for."""
    if there.hub_id != hub_id or not _is_at(there, revision):
        raise UsageError(
            f"{out} holds another model: {there.hub_id}@{there.commit}, fetched as {there.revision}",
            hint="name a new folder; nothing is overwritten",
        )


def _is_at(there: Manifest, revision: str) -> bool:
    """Whether a fetched model is at a revision; only the hub knows other names than it was fetched by."""
    if revision == there.revision:
        return True
    if _BEGUN_COMMIT.fullmatch(revision):
        if there.commit.startswith(revision.lower()):
            return True
        if len(revision) == len(there.commit):
            return False
    return hub.look_up(there.hub_id, revision).commit == there.commit


def _files(repository: Repository) -> list[HubFile]:
    """Return what is downloaded: first the configuration, which says whether the rest is of use."""
    if CONFIG not in repository.needed():
        raise ModelError(f"{repository.name} is not a model: it has no {CONFIG}", hint="check its name")
    files = hub.described(repository)
    return sorted(files, key=lambda file: (file.name != CONFIG, file.size or 0))


def _check_room(work: Path, files: Sequence[HubFile]) -> None:
    there = sum(file.stat().st_size for file in work.iterdir())
    # Pickled weights and their safetensors are there together for a while.
    needed = sum((file.size or 0) * (2 if is_pickled(file.name) else 1) for file in files) - there
    free = shutil.disk_usage(work).free
    if needed > free:
        raise ModelError(
            f"the model needs {needed / 1e9:.1f} GB, and {work.parent} has room for {free / 1e9:.1f} GB",
            hint="make room, or name a folder on another disk",
        )


def _download(repository: Repository, files: Sequence[HubFile], work: Path, notify: Progress) -> None:
    total, done = sum(file.size or 0 for file in files), 0

    def count(came: int) -> None:
        nonlocal done
        done += came
        notify(done, total)

    for file in files:
        if _is_there(work / file.name, file):
            count(file.size or 0)
        else:
            _download_file(repository, file, work / file.name, count)
        if file.name == CONFIG:
            check_kind(work, repository.name)


def _download_file(repository: Repository, file: HubFile, target: Path, count: Callable[[int], None]) -> None:
    part = target.with_name(f"{target.name}.part")
    was_begun = part.exists()
    hub.download(repository, file, part, count)
    if was_begun and not _is_there(part, file):
        # What an earlier run left may be at fault.
        count(-part.stat().st_size)
        part.unlink()
        hub.download(repository, file, part, count)
    if not _is_there(part, file):
        part.unlink()
        raise ModelError(
            f"{file.name} of {repository.name} came damaged: its checksum is not the hub's",
            hint="run it again; if it fails again, something between you and the hub changes files",
        )
    part.rename(target)


def _is_there(path: Path, file: HubFile) -> bool:
    """Whether a path has the content of a file, as far as the hub describes it."""
    if not path.is_file() or (file.size is not None and path.stat().st_size != file.size):
        return False
    return file.sha256 is None or sha256(path) == file.sha256


def _finished_before(work: Path, repository: Repository, revision: str) -> Manifest | None:
    """Return the manifest of a run that failed only at the folder's name, if its files are unchanged."""
    asked = (repository.hub_id, revision, repository.commit)
    try:
        manifest = Manifest.read(work)
        if manifest is None or (manifest.hub_id, manifest.revision, manifest.commit) != asked:
            return None
        manifest.check(work)
    except ModelError:
        return None
    return manifest


def _finished(repository: Repository, revision: str, work: Path) -> Manifest:
    """Convert what is pickled, check that the model is complete, and write the manifest."""
    pickles = [name for name in repository.needed() if is_pickled(name)]
    converted = {name: sha256(work / name) for name in pickles}
    if pickles:
        unpickling.convert(work, repository.name)
    check_kind(work, repository.name)
    check_whole(work, repository.name)
    for left in (*work.glob("*.part"), work / MANIFEST):
        left.unlink(missing_ok=True)
    files = {file.name: sha256(file) for file in files_of(work)}
    manifest = Manifest(repository.hub_id, revision, repository.commit, files, converted)
    manifest.write(work)
    return manifest
