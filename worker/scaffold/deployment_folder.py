"""Writes the folder of a new deployment, completely or not at all."""

import os
import shutil
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from string import Template
from typing import Final

from worker import __version__, resources
from worker.errors import UsageError
from worker.scaffold.env_file import env_file
from worker.settings import BUNDLED_MODEL

POLICY: Final = "uploads"
#: The model of those who did not install the bundled one: a preset that needs no `moderate model fetch`.
MODEL_OF_PHOTOGRAPHS: Final = "clip-l14"
#: The last one is for the category that is commented out.
PICTURES: Final = ("kitchen-knife.jpg", "hammer-and-wrench.jpg", "ice-cream.webp")

#: What to run first; the README of the folder has the same.
NEXT: Final = f"""\
set -a; . ./.env; set +a
moderate policy test policies/{POLICY}.yaml
moderate db upgrade
moderate worker &
moderate submit --inline policies/cases/{PICTURES[0]}
moderate decisions"""

#: What the folder holds, for the README and the terminal.
CONTENTS: Final = {
    f"policies/{POLICY}.yaml": "what is looked for, in words, with tests",
    "policies/cases/": "the pictures of these tests",
    ".env": "every setting with its meaning; those that begin with # have their defaults",
    "docker-compose.yml": "Redis, PostgreSQL, workers and HTTP in containers, from the Dockerfile",
    "systemd/": "a unit for workers and one for HTTP, if you use no containers",
    "README.md": "what to run next",
}

_TEMPLATES: Final = Path(__file__).parent / "templates"
#: The template of each file, by its place in the folder.
_FROM_TEMPLATES: Final = {
    f"policies/{POLICY}.yaml": "policy.yaml",
    "README.md": "README.md",
    "docker-compose.yml": "docker-compose.yml",
    "Dockerfile": "Dockerfile",
    ".dockerignore": "dockerignore",
    ".gitignore": "gitignore",
    "systemd/moderation-worker.service": "moderation-worker.service",
    "systemd/moderation-web.service": "moderation-web.service",
}
#: Compose has its own variables, which look the same.
_VERBATIM: Final = frozenset({"docker-compose.yml"})
#: May come to hold passwords.
_PRIVATE: Final = ".env"


def write_deployment(folder: Path) -> Mapping[str, str]:
    """Write a new deployment into `folder`; return the settings that its `.env` chooses.

    UsageError if `folder` exists and is not an empty folder, or cannot be written; then nothing is written.
    """
    _refuse_existing(folder)
    chosen = {"model": _model(), "policies": "./policies", "policy": POLICY}
    try:
        with _staging(folder) as staging:
            _write_files(staging, folder, chosen)
            _publish(staging, folder)
    except OSError as problem:
        raise UsageError(
            f"{folder} cannot be written: {problem.strerror or problem}",
            hint="name a folder in a place that this user may write to",
        ) from problem
    return chosen


def _refuse_existing(folder: Path) -> None:
    hint = "name a folder that does not exist yet, or an empty one; nothing was written"
    if folder.is_dir():
        if found := min((entry.name for entry in folder.iterdir()), default=""):
            raise UsageError(f"{folder} is not empty: it has {found}", hint=hint)
    elif os.path.lexists(folder):
        raise UsageError(f"{folder} exists and is not a folder", hint=hint)


def _model() -> str:
    return BUNDLED_MODEL if resources.demo_is_installed() else MODEL_OF_PHOTOGRAPHS


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder on the file system of `folder`; what is left in it at the end is removed."""
    home = folder if folder.is_dir() else folder.parent
    home.mkdir(parents=True, exist_ok=True)
    staging = home / f".moderate-init-{os.getpid()}"
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _publish(staging: Path, folder: Path) -> None:
    """Rename the finished folder; into one that exists, which may be a mount, rename its entries."""
    if staging.parent == folder:
        for entry in list(staging.iterdir()):
            entry.rename(folder / entry.name)
    else:
        staging.rename(folder)


def _write_files(staging: Path, folder: Path, chosen: Mapping[str, str]) -> None:
    for place, text in _texts(folder.resolve(), chosen).items():
        file = staging / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (staging / _PRIVATE).chmod(0o600)
    (staging / "policies" / "cases").mkdir()
    shipped = resources.folder("policies")
    for picture in PICTURES:
        shutil.copyfile(shipped / "cases" / picture, staging / "policies" / "cases" / picture)
    shutil.copyfile(shipped / "schema.json", staging / "policies" / "schema.json")


def _texts(folder: Path, chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the text of each file by its place."""
    values = {
        "version": __version__,
        "commands": NEXT,
        "contents": "\n".join(f"| `{place}` | {meaning} |" for place, meaning in CONTENTS.items()),
        "templates": _phrase_templates(chosen["model"]),
        "folder": _in_unit(folder),
        "moderate": _in_unit(Path(sysconfig.get_path("scripts")) / "moderate"),
    }
    texts = {_PRIVATE: env_file(chosen)}
    for place, name in _FROM_TEMPLATES.items():
        text = (_TEMPLATES / name).read_text(encoding="utf-8")
        texts[place] = text if name in _VERBATIM else Template(text).substitute(values)
    return texts


def _phrase_templates(model: str) -> str:
    """Return the sentences that phrases are put into: the bundled model was trained with its own."""
    return '["a sticker of {}", "{}"]' if model == BUNDLED_MODEL else '["a photo of {}", "a picture of {}"]'


def _in_unit(path: Path) -> str:
    """Escape a path for a systemd unit, in which % begins a specifier."""
    return str(path).replace("%", "%%")
