"""Sets the stage of `moderate demo`: a folder with copies of the policies and of the sample pictures."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from PIL import Image

from worker import resources
from worker.errors import UsageError
from worker.stage.stage import Stage, set_stage

POLICY: Final = "stickers"
#: Marks a folder of the demo, whose content may be deleted.
MARKER: Final = ".moderate-demo"
#: As large as the pictures of a telephone; generated, since it is too large for a repository.
LARGE: Final = (4000, 3000)
_ENLARGED: Final = "tractor-and-cow.jpg"


@contextmanager
def demo_stage(folder: Path) -> Iterator[Stage]:
    """Set up `folder` from scratch, and run a Redis unless one is configured."""
    try:
        _clear(folder)
        _fill(folder)
    except OSError as error:
        raise UsageError(f"the demo cannot work in {folder}: {error}", hint="name another --folder") from None
    broker_url = os.environ.get("MODERATION_BROKER_URL")
    policies = folder / "policies"
    with set_stage(folder, "demo", broker_url, policies=policies, policy=POLICY, model="demo") as stage:
        yield stage


def policy_file(stage: Stage) -> Path:
    """Return the demo's copy of the policy, free to be edited."""
    return stage.settings.policies / f"{POLICY}.yaml"


def uploads(stage: Stage) -> list[Path]:
    """Return the files of the sample pictures, sorted by name."""
    return sorted(path for path in stage.media.iterdir() if path.is_file())


def _clear(folder: Path) -> None:
    """Empty `folder`; UsageError if it has files that are not of an earlier demo."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise UsageError(
            f"{folder} is not empty, and not a demo folder",
            hint="name a new --folder, or an empty one",
        )
    if folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()


def _fill(folder: Path) -> None:
    """Copy policies and sample pictures, and add a large picture."""
    media = folder / "media"
    shutil.copytree(resources.demo_folder("pictures"), media, ignore=shutil.ignore_patterns("*.csv", "*.md"))
    shutil.copytree(resources.folder("policies"), folder / "policies")
    enlarge_sample(media)


def enlarge_sample(folder: Path) -> Path:
    """Enlarge one of the sample pictures in `folder` to 12 megapixels; return the new file beside it."""
    file = folder / "twelve-megapixels.jpg"
    with Image.open(folder / _ENLARGED) as picture:
        picture.resize(LARGE, Image.Resampling.BILINEAR).save(file, quality=85)
    return file
