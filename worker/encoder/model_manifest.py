"""Notes what a fetched folder holds: which model, at which commit, and the SHA-256 of each file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self

from worker.encoder.model_layout import read_json
from worker.errors import ModelError

MANIFEST: Final = "fetched.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `moderate model fetch` brought into a folder."""

    hub_id: str
    commit: str
    #: The SHA-256 of each file.
    files: Mapping[str, str]
    #: The SHA-256 of pickled weights that the folder has as safetensors.
    converted: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the manifest in a folder, if there is one; ModelError if it is broken."""
        file = folder / MANIFEST
        if not file.is_file():
            return None
        known = read_json(file)
        if known.keys() != set(cls.__slots__) or not isinstance(known["files"], dict):
            raise ModelError(
                f"{file} is not what `moderate model fetch` wrote",
                hint="remove the folder and fetch the model again",
            )
        return cls(**known)

    def write(self, folder: Path) -> None:
        """Write the manifest into a folder."""
        (folder / MANIFEST).write_text(json.dumps(asdict(self), indent=2) + "\n")

    def check(self, folder: Path) -> None:
        """Raise ModelError if a file in `folder` is missing, or no longer the one that was fetched."""
        for name, expected in self.files.items():
            file = folder / name
            if not file.is_file() or sha256(file) != expected:
                state = "is not the file that was fetched" if file.exists() else "is missing"
                raise ModelError(
                    f"{file} {state}", hint=f"remove {folder} and run `moderate model fetch` again"
                )


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
