"""Which files of a folder are policies."""

from pathlib import Path
from typing import Final

SUFFIXES: Final = (".yaml", ".yml")


def policy_files(folder: Path) -> list[Path]:
    """Return the policy files directly in `folder`, without the hidden ones that editors leave."""
    found = (path for path in folder.glob("*") if path.suffix in SUFFIXES and not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def twin_of(file: Path) -> Path | None:
    """Return x.yaml for x.yml where there are both: one name, one policy."""
    twin = file.with_suffix(SUFFIXES[0])
    return twin if file != twin and twin.is_file() else None
