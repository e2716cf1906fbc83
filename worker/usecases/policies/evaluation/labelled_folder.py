"""Reads pictures from a folder with one subfolder for each label, and `safe/` for harmless ones."""

from pathlib import Path

from worker.domain.evaluation.labelled.names import NamedPicture
from worker.domain.evaluation.labelled.picture import SAFE, Defect, LeftOut
from worker.errors import UsageError
from worker.images.sources.folder import files_below


def read_folder(folder: Path) -> tuple[list[NamedPicture], list[LeftOut]]:
    """Return the pictures of the subfolders, and the files beside them; hidden ones are skipped.

    UsageError if there are no subfolders, or if a folder cannot be read.
    """
    try:
        entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
        subfolders = [path for path in entries if path.is_dir()]
        named = [
            NamedPicture(file, frozenset({subfolder.name}), {})
            for subfolder in subfolders
            for file in files_below(subfolder)
        ]
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from None
    if not subfolders:
        raise UsageError(
            f"{folder} has no subfolders",
            hint=f"make one for each label, and {SAFE}/ for harmless pictures; or name a CSV file",
        )
    stray = [path for path in entries if path.is_file()]
    reason = "it lies beside the label folders"
    return named, [LeftOut(file, Defect.UNLABELLED, reason) for file in stray]
