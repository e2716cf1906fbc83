"""The manifest of a fetched model: its hub id, its commit, and the SHA-256 of each file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Final, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from worker.encoder.hub.model_layout import files_of, read_json
from worker.errors import ModelError, UsageError

MANIFEST: Final = "fetched.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `moderate model fetch` downloaded into a folder."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    hub_id: str
    #: As requested: a commit, an abbreviated commit, a branch or a tag.
    revision: str
    commit: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
    #: The SHA-256 of each file.
    files: Annotated[Mapping[str, str], Field(min_length=1)]
    #: The SHA-256 of each file of pickled weights that was converted to safetensors.
    converted: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the manifest in a folder, None if there is no manifest.

        ModelError if it is broken, UsageError if the path cannot be read.
        """
        file = folder / MANIFEST
        try:
            if not file.is_file():
                return None
        except OSError as problem:
            raise UsageError(
                f"{folder} cannot be read: {problem.strerror}", hint="name another folder"
            ) from problem
        known = read_json(file)
        try:
            return TypeAdapter(cls).validate_python(known)
        except ValidationError as problem:
            raise ModelError(
                f"{file} is not what `moderate model fetch` wrote",
                hint="remove the folder and fetch the model again",
            ) from problem

    def write(self, folder: Path) -> None:
        """Write the manifest into a folder."""
        (folder / MANIFEST).write_text(json.dumps(asdict(self), indent=2) + "\n")

    def check(self, folder: Path) -> None:
        """Raise ModelError if a file in `folder` is missing or changed, or was added and would be loaded."""
        for name, expected in self.files.items():
            if state := _difference(folder / name, expected):
                raise ModelError(
                    f"{folder / name} {state}", hint=f"remove {folder} and run `moderate model fetch` again"
                )
        added = [file for file in files_of(folder) if file.name not in self.files]
        if added:
            raise ModelError(
                f"{added[0]} was not fetched, and changes what the model computes", hint="remove the file"
            )


def _difference(file: Path, expected: str) -> str:
    """Return how a file differs from the fetched one with this SHA-256, "" if it does not."""
    try:
        if not file.is_file():
            return "is missing"
        return "" if sha256(file) == expected else "is not the file that was fetched"
    except OSError as problem:
        return f"cannot be read: {problem.strerror}"


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
