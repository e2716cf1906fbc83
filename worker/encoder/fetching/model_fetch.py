"""Downloads a model from the hub into a folder, atomically; a second run resumes."""

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

#: Called with the bytes downloaded so far and the total.
Progress = Callable[[int, int], None]
_NEWEST: Final = "main"
#: As in Git, an abbreviated commit has at least 4 digits.
_ABBREVIATED_COMMIT: Final = re.compile("[0-9a-f]{4,40}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model in a folder."""

    folder: Path
    manifest: Manifest
    #: Whether it was fetched before, and no file has changed since.
    was_there: bool = False


def fetch(name: str, out: Path, notify: Progress) -> Fetched:
    """Download a preset, or `org/name[@revision]`, into the new folder `out`.

    If the model was fetched before, its files are checked against the recorded checksums. UsageError if
    `name` or `out` cannot be used, ModelError if the model is unavailable or not supported.
    """
    hub_id, revision = _resolve_name(name)
    if there := Manifest.read(out):
        _check_same(there, out, hub_id, revision)
        there.check(out)
        return Fetched(out, there, was_there=True)
    check_free(out)
    repository = hub.look_up(hub_id, revision)
    target = out.resolve()
    with work_folder(target, repository.commit) as work:
        manifest = _complete_before(work, repository, revision) or _fetch(repository, revision, work, notify)
        for pickle in manifest.converted:
            (work / pickle).unlink(missing_ok=True)
        take_name(work, target)
    remove_abandoned(target)
    return Fetched(out, manifest)


def _fetch(repository: Repository, revision: str, work: Path, notify: Progress) -> Manifest:
    files = _files(repository)
    _check_room(work, files)
    _download(repository, files, work, notify)
    return _finish(repository, revision, work)


def _resolve_name(name: str) -> tuple[str, str]:
    """Return the hub id and the revision of a name."""
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
    """Raise UsageError if a folder holds another model or revision than the requested one."""
    if there.hub_id != hub_id or not _is_at(there, revision):
        raise UsageError(
            f"{out} holds another model: {there.hub_id}@{there.commit}, fetched as {there.revision}",
            hint="name a new folder; nothing is overwritten",
        )


def _is_at(there: Manifest, revision: str) -> bool:
    """Whether a fetched model is at `revision`; asks the hub if the manifest does not show it."""
    if revision == there.revision:
        return True
    if _ABBREVIATED_COMMIT.fullmatch(revision):
        if there.commit.startswith(revision.lower()):
            return True
        if len(revision) == len(there.commit):
            return False
    return hub.look_up(there.hub_id, revision).commit == there.commit


def _files(repository: Repository) -> list[HubFile]:
    """Return the files to download: first the configuration, which shows whether the model is supported."""
    if CONFIG not in repository.needed():
        raise ModelError(f"{repository.name} is not a model: it has no {CONFIG}", hint="check its name")
    files = hub.described(repository)
    return sorted(files, key=lambda file: (file.name != CONFIG, file.size or 0))


def _check_room(work: Path, files: Sequence[HubFile]) -> None:
    there = sum(file.stat().st_size for file in work.iterdir())
    # Pickled weights and their safetensors exist at the same time during conversion.
    needed = sum((file.size or 0) * (2 if is_pickled(file.name) else 1) for file in files) - there
    free = shutil.disk_usage(work).free
    if needed > free:
        raise ModelError(
            f"the model needs {needed / 1e9:.1f} GB, and {work.parent} has room for {free / 1e9:.1f} GB",
            hint="make room, or name a folder on another disk",
        )


def _download(repository: Repository, files: Sequence[HubFile], work: Path, notify: Progress) -> None:
    total, done = sum(file.size or 0 for file in files), 0

    def count(received: int) -> None:
        nonlocal done
        done += received
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
    resumed = part.exists()
    hub.download(repository, file, part, count)
    if resumed and not _is_there(part, file):
        # The part from an earlier run may be damaged.
        count(-part.stat().st_size)
        part.unlink()
        hub.download(repository, file, part, count)
    if not _is_there(part, file):
        part.unlink()
        raise ModelError(
            f"{file.name} of {repository.name} arrived damaged: its checksum differs from the hub's",
            hint="run it again; if it fails again, something between here and the hub changes files",
        )
    part.rename(target)


def _is_there(path: Path, file: HubFile) -> bool:
    """Whether a path has the size and SHA-256 of a file, as far as the hub states them."""
    if not path.is_file() or (file.size is not None and path.stat().st_size != file.size):
        return False
    return file.sha256 is None or sha256(path) == file.sha256


def _complete_before(work: Path, repository: Repository, revision: str) -> Manifest | None:
    """Return the manifest of a run that failed only at the final rename, if its files are unchanged."""
    requested = (repository.hub_id, revision, repository.commit)
    try:
        manifest = Manifest.read(work)
        if manifest is None or (manifest.hub_id, manifest.revision, manifest.commit) != requested:
            return None
        manifest.check(work)
    except ModelError:
        return None
    return manifest


def _finish(repository: Repository, revision: str, work: Path) -> Manifest:
    """Convert pickled weights, check that the model is complete, and write the manifest."""
    pickles = [name for name in repository.needed() if is_pickled(name)]
    converted = {name: sha256(work / name) for name in pickles}
    if pickles:
        unpickling.convert(work, repository.name)
    check_kind(work, repository.name)
    check_whole(work, repository.name)
    for leftover in (*work.glob("*.part"), work / MANIFEST):
        leftover.unlink(missing_ok=True)
    files = {file.name: sha256(file) for file in files_of(work)}
    manifest = Manifest(repository.hub_id, revision, repository.commit, files, converted)
    manifest.write(work)
    return manifest
