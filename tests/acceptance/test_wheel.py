"""Someone who installs the wheel, and has no checkout, gets all of it: migrations, policies, the demo's model."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.plain_install import build_wheel

ROOT = Path(__file__).parents[2]
#: Where a folder of the checkout lies in the wheel.
FOLDERS = {
    "worker": "worker",
    "migrations": "worker/_resources/migrations",
    "policies": "worker/_resources/policies",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """Return a folder with what the wheel installs."""
    folder = wheel.parent / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run_elsewhere(installed: Path, folder: Path, *command: str) -> str:
    """Run Python in `folder`, with the installed package before whatever else is there."""
    environment = os.environ | {
        "PYTHONPATH": str(installed),
        "MODERATION_DATABASE_URL": f"sqlite:///{folder}/moderation.db",
    }
    run = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


def test_every_file_of_the_package_the_migrations_and_the_policies_is_in_it(installed):
    for folder, place in FOLDERS.items():
        files = {
            file.relative_to(ROOT / folder)
            for file in (ROOT / folder).rglob("*")
            if file.is_file() and "__pycache__" not in file.parts
        }
        assert len(files) > 5
        assert {file for file in files if not (installed / place / file).is_file()} == set()


def test_the_command_the_licence_and_the_mark_of_types_are_in_it(installed):
    (information,) = installed.glob("*.dist-info")
    assert "moderate = worker.__main__:main" in (information / "entry_points.txt").read_text()
    assert (information / "licenses" / "LICENSE").is_file()
    assert (installed / "worker" / "py.typed").is_file()


def test_without_a_checkout_the_tables_are_made_and_the_policies_found(installed, tmp_path):
    look = "import worker, worker.resources as r; print(worker.__file__, *map(r.folder, ('migrations', 'policies')))"
    package, migrations, policies = run_elsewhere(installed, tmp_path, "-c", look).split()
    assert all(Path(place).is_relative_to(installed) for place in (package, migrations, policies))
    assert (Path(policies) / "stickers.yaml").is_file()
    said = run_elsewhere(installed, tmp_path, "-m", "worker", "db", "upgrade")
    assert "tables are up to date" in " ".join(said.split())
    assert (tmp_path / "moderation.db").stat().st_size > 0
