"""Finds a model in the hub's cache, which other tools share, and downloads the files that are missing."""

import logging
from pathlib import Path
from typing import Final

from huggingface_hub import constants, get_cached_repo_tree, snapshot_download
from huggingface_hub.errors import CachedRepoTreeNotFoundError
from huggingface_hub.file_download import repo_folder_name

from worker.encoder.hub import hub, model_layout
from worker.encoder.hub.hub_failures import explaining_failures
from worker.errors import ModelError

log = logging.getLogger(__name__)

#: The shortest abbreviated commit, as in Git.
_SHORTEST_COMMIT: Final = 4
#: Families published with a vocabulary but no tokenizer configuration. In other families, without one,
#: phrases would silently be tokenised in another way.
_WITHOUT_TOKENIZER_CONFIG: Final = frozenset({"chinese_clip"})


def cached_or_downloaded(name: str, hub_id: str, revision: str) -> Path:
    """Return the cache folder of the model `name` at a commit (in full or abbreviated), a branch or a tag.

    The hub must be reachable only if something is missing. A branch is resolved once and then stays at that
    commit, so that no vector changes overnight. ModelError if the model is unavailable.
    """
    with explaining_failures(f"{hub_id}@{revision}"):
        cached = _find(hub_id, revision)
        if cached and _is_complete(hub_id, cached):
            return cached
        try:
            return _download(hub_id, cached.name if cached else revision, name)
        except ModelError as problem:
            if not cached or not _may_be_complete(cached, name):
                raise
            log.warning("%s; the model is loaded from the cache without this check", problem.message)
            return cached


def _download(hub_id: str, revision: str, name: str) -> Path:
    files = hub.look_up(hub_id, revision).needed()
    if pickles := [file for file in files if model_layout.is_pickled(file)]:
        raise model_layout.pickled_weights(name, pickles)
    # By the revision's name, so that the cache records its commit for when the hub is down.
    return Path(snapshot_download(hub_id, revision=revision, allow_patterns=files))


def _find(hub_id: str, revision: str) -> Path | None:
    storage = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=hub_id, repo_type="model")
    commit = _commit(storage, revision)
    folder = storage / "snapshots" / commit
    return folder if commit and folder.is_dir() else None


def _commit(storage: Path, revision: str) -> str:
    """Return the commit of a revision at the time it was cached, "" if it is not in the cache."""
    reference = storage / "refs" / revision
    if ".." not in revision and reference.is_file():
        return reference.read_text().strip()
    if len(revision) < _SHORTEST_COMMIT:
        return ""
    cached = [folder.name for folder in storage.glob("snapshots/*")]
    matching = [commit for commit in cached if commit.startswith(revision.lower())]
    return matching[0] if len(matching) == 1 else ""


def _is_complete(hub_id: str, folder: Path) -> bool:
    """Whether the cache lists the repository at this commit and has every file that the model needs."""
    try:
        tree = get_cached_repo_tree(hub_id, revision=folder.name)
    except CachedRepoTreeNotFoundError:
        return False
    return all((folder / name).is_file() for name in model_layout.needed([file.path for file in tree]))


def _may_be_complete(folder: Path, name: str) -> bool:
    """Whether a folder without such a list, cached by another tool, seems to hold a whole model."""
    try:
        model_layout.check_whole(folder, name)
        family = model_layout.read_json(folder / model_layout.CONFIG).get("model_type")
    except ModelError:
        return False
    return family in _WITHOUT_TOKENIZER_CONFIG or (folder / model_layout.TOKENIZER_CONFIG).is_file()
