"""Lists the files of a repository on the model hub and downloads them, resuming partial files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.file_download import REGEX_SHA256, http_get
from huggingface_hub.utils import logging
from huggingface_hub.utils._headers import build_hf_headers
from tqdm import tqdm

from worker.encoder.hub import model_layout
from worker.encoder.hub.hub_failures import endpoint, explaining_failures
from worker.errors import ModelError

#: Timeout for the hub to begin its response.
_SECONDS: Final = 10.0
#: If the connection breaks, the current chunk is lost: with the client's default of 10 MB, a slow and
#: unreliable connection would make no progress.
_CHUNK_BYTES: Final = 64 * 2**10
#: Above every log level of the hub's client.
_SILENCE: Final = 100


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository, as the hub describes it."""

    name: str
    #: In bytes; None if the hub does not state it.
    size: int | None = None
    #: Only of large files; small ones are stored in Git, which identifies them otherwise.
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Repository:
    """The content of a repository at one commit."""

    hub_id: str
    commit: str
    files: tuple[HubFile, ...]

    @property
    def name(self) -> str:
        """The repository and commit, in the form of MODERATION_MODEL."""
        return f"{self.hub_id}@{self.commit}"

    def needed(self) -> list[str]:
        """Return the names of the files that the model needs."""
        return model_layout.needed([file.name for file in self.files])


def look_up(hub_id: str, revision: str) -> Repository:
    """Return the content of a repository at a commit, branch or tag; ModelError if it is unavailable."""
    with explaining_failures(f"{hub_id}@{revision}"):
        # This fails at once; a download would retry for half a minute.
        info = HfApi().model_info(hub_id, revision=revision, timeout=_SECONDS, files_metadata=True)
    commit = info.sha or ""
    if not _is_commit(commit):
        raise ModelError(
            f"the hub names no commit of {hub_id}@{revision}", hint=f"is {endpoint()} a model hub?"
        )
    if _is_commit(revision) and revision.lower() != commit:
        raise ModelError(
            f"the hub has {commit} in place of the commit that {hub_id}@{revision} pins",
            hint=f"is {endpoint()} the hub that you mean?",
        )
    return Repository(hub_id, commit, tuple(_file(sibling) for sibling in info.siblings or []))


def described(repository: Repository) -> list[HubFile]:
    """Return the files that the model needs; metadata missing in the list is requested for each file."""
    needed = repository.needed()
    with explaining_failures(repository.name):
        return [
            file if file.size is not None else _with_metadata(repository, file)
            for file in repository.files
            if file.name in needed
        ]


def download(repository: Repository, file: HubFile, to: Path, notify: Callable[[int], None]) -> None:
    """Download a file of a repository to `to`, resuming a partial one; `notify` gets the bytes received.

    ModelError if it is not received completely.
    """
    url = hf_hub_url(repository.hub_id, file.name, revision=repository.commit)
    # A compressed file could not be resumed.
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    with explaining_failures(repository.name), _quiet(), _small_chunks(), to.open("ab") as stream:
        if file.size is not None and stream.tell() > file.size:
            stream.seek(0)
            stream.truncate()
        notify(stream.tell())
        http_get(
            url,
            stream,
            resume_size=stream.tell(),
            headers=headers,
            expected_size=file.size,
            displayed_filename=file.name,
            tqdm_class=_bar(notify),
        )


def _file(sibling: Any) -> HubFile:
    return HubFile(sibling.rfilename, sibling.size, sibling.lfs.sha256 if sibling.lfs else None)


def _with_metadata(repository: Repository, file: HubFile) -> HubFile:
    url = hf_hub_url(repository.hub_id, file.name, revision=repository.commit)
    known = get_hf_file_metadata(url, timeout=_SECONDS)
    sha256 = known.etag if known.etag and REGEX_SHA256.fullmatch(known.etag) else None
    return HubFile(file.name, known.size, sha256)


def _is_commit(revision: str) -> bool:
    return len(revision) == 40 and all(digit in "0123456789abcdefABCDEF" for digit in revision)


def _bar(notify: Callable[[int], None]) -> type[Any]:
    """Return a progress bar class for the hub's client that shows nothing and calls `notify`."""

    class Notifying(tqdm):  # type: ignore[misc]  # no type information is published
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **(options | {"disable": True}))

        def update(self, n: float | None = 1) -> None:
            notify(int(n or 0))

    return Notifying


@contextmanager
def _small_chunks() -> Iterator[None]:
    """Set a smaller chunk size; the client takes it only from a constant."""
    default, constants.DOWNLOAD_CHUNK_SIZE = constants.DOWNLOAD_CHUNK_SIZE, _CHUNK_BYTES
    try:
        yield
    finally:
        constants.DOWNLOAD_CHUNK_SIZE = default


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the client's messages about each attempt; the final failure is raised as our error."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(_SILENCE)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
