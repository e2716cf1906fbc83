"""Who installs the wheels, and has no checkout, gets all of it: migrations, policies, the demo's model."""

import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from support.plain_install import build_wheel, plain_environment

ROOT = Path(__file__).parents[2]
#: The folder of each project, by its distribution.
PROJECTS = {"worker": ROOT, "client": ROOT / "client", "demo": ROOT / "demo"}
#: Where a folder of the checkout lies in the server's wheel.
FOLDERS = {
    "worker": "worker",
    "migrations": "worker/_resources/migrations",
    "policies": "worker/_resources/policies",
}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("wheels")
    return {name: build_wheel(project, folder) for name, project in PROJECTS.items()}


@pytest.fixture(scope="module")
def server(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment with the server's wheel and the client's, which it requires."""
    return plain_environment(tmp_path_factory.mktemp("server") / "venv", wheels["worker"], wheels["client"])


def run_elsewhere(python: Path, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python in `folder`, with what is installed and nothing else."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["MODERATION_POLICIES"] = str(ROOT / "policies")
    environment["MODERATION_DATABASE_URL"] = f"sqlite:///{folder}/moderation.db"
    command = [python, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def files_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_every_file_of_the_package_the_migrations_and_the_policies_is_in_it(wheels):
    names = files_in(wheels["worker"])
    for folder, place in FOLDERS.items():
        files = {
            file.relative_to(ROOT / folder)
            for file in (ROOT / folder).rglob("*")
            if file.is_file() and "__pycache__" not in file.parts
        }
        assert len(files) > 5
        assert {str(file) for file in files if f"{place}/{file}" not in names} == set()


@pytest.mark.parametrize(("project", "package"), [("worker", "worker"), ("client", "moderation_client")])
def test_the_licence_and_the_mark_of_types_are_in_it(wheels, project, package):
    names = files_in(wheels[project])
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert f"{package}/py.typed" in names


def test_the_command_is_in_it(wheels):
    with zipfile.ZipFile(wheels["worker"]) as archive:
        (entry,) = [name for name in archive.namelist() if name.endswith("/entry_points.txt")]
        assert "moderate = worker.__main__:main" in archive.read(entry).decode()


def test_the_demo_and_the_training_are_in_no_servers_wheel(wheels):
    assert [name for name in files_in(wheels["worker"]) if "safetensors" in name or "training" in name] == []
    bytes_of = {name: wheel.stat().st_size for name, wheel in wheels.items()}
    assert bytes_of["client"] < 2**17
    assert bytes_of["worker"] < 2 * 2**20 < bytes_of["demo"]


def test_without_a_checkout_the_tables_are_made_and_the_policies_found(server, tmp_path):
    look = "import worker, worker.resources as r; print(worker.__file__, *map(r.folder, ('migrations', 'policies')))"
    package, migrations, policies = run_elsewhere(server, tmp_path, "-c", look).stdout.split()
    home = server.parents[1]
    assert all(Path(place).is_relative_to(home) for place in (package, migrations, policies))
    assert (Path(policies) / "stickers.yaml").is_file()
    run = run_elsewhere(server, tmp_path, "-m", "worker", "db", "upgrade")
    assert (run.returncode, run.stderr) == (0, "")
    assert "tables are up to date" in " ".join(run.stdout.split())
    assert (tmp_path / "moderation.db").stat().st_size > 0


def test_without_a_checkout_and_the_demo_a_deployment_is_begun(server, tmp_path):
    run = run_elsewhere(server, tmp_path, "-m", "worker", "init", "new")
    assert run.returncode == 0, run.stderr
    assert "moderation-demo is not installed" in run.stderr
    assert (tmp_path / "new" / "policies" / "cases" / "kitchen-knife.jpg").is_file()
    unit = (tmp_path / "new" / "systemd" / "moderation-worker.service").read_text()
    assert f'ExecStart="{server.parent}/moderate" worker' in unit


@pytest.mark.exhaustive
def test_the_demo_has_a_wheel_to_itself(wheels, server, tmp_path):
    picture = ROOT / "demo" / "moderation_demo" / "pictures" / "pizza.jpg"
    scan = ("-m", "worker", "scan", picture, "--policy", "stickers", "--json")
    refused = run_elsewhere(server, tmp_path, *scan)
    assert refused.returncode == 2
    assert "the demo's model is not installed" in refused.stderr
    assert "pip install moderation-demo" in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr

    (site,) = server.parents[1].glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheels["demo"]) as archive:
        archive.extractall(site)
    judged = run_elsewhere(server, tmp_path, *scan)
    assert '"allow"' in judged.stdout, judged.stderr
