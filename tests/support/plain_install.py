"""A virtual environment with given wheels and only their declared dependencies, as with `pip install`."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def build_wheel(project: Path, folder: Path) -> Path:
    """Build the wheel of `project` into `folder`; return its path."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    before = set(folder.glob("*.whl"))
    run = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    (built,) = set(folder.glob("*.whl")) - before
    return built


def plain_environment(folder: Path, *wheels: Path) -> Path:
    """Make a virtual environment as `pip install WHEELS` would, without an index; return its interpreter.

    Only the required dependencies are linked, from the environment of the tests.
    """
    command = [sys.executable, "-m", "venv", "--without-pip", folder]
    subprocess.run(command, check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    installed = {
        canonicalize_name(one.metadata["Name"]): one for one in map(Distribution.at, site.glob("*.dist-info"))
    }
    needed: dict[str, Distribution] = {}
    for one in installed.values():
        needed |= required(one)
    for name, dependency in needed.items():
        if name not in installed:
            link(dependency, site)
    return folder / "bin" / "python"


def required(root: Distribution) -> dict[str, Distribution]:
    """Return what `root` requires, directly or not, by name; extras only if a requirement asks for them."""
    found: dict[str, Distribution] = {}
    extras: dict[str, set[str]] = {}
    waiting = [*requirements(root, set())]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found and requirement.extras <= extras[name]:
            continue
        found[name] = distribution(requirement.name)
        extras.setdefault(name, set()).update(requirement.extras)
        waiting += requirements(found[name], extras[name])
    return found


def requirements(of: Distribution, extras: set[str]) -> Iterator[Requirement]:
    """Yield the requirements that apply to this machine, with these extras."""
    for text in of.requires or []:
        requirement = Requirement(text)
        wanted = ({"extra": extra} for extra in ("", *extras))
        if requirement.marker is None or any(requirement.marker.evaluate(one) for one in wanted):
            yield requirement


def link(dependency: Distribution, site: Path) -> None:
    """Link the files of an installed distribution into another site-packages."""
    for file in dependency.files or []:
        target = site / file
        if ".." not in file.parts and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(file.locate())
