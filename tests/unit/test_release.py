"""What a release consists of agrees: versions, change log, locked dependencies, workflows."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from worker import __version__

ROOT = Path(__file__).parents[2]
PROJECTS = {
    folder: tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for folder in (".", "client", "demo")
}
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LOCKS = ("development", "server")


def pinned(path: str) -> dict[str, str]:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    return dict(re.match(r"([\w.-]+)==([^ ;]+)", line).groups() for line in lines if "==" in line)


def requirements() -> list[Requirement]:
    extras = PROJECTS["."]["optional-dependencies"].values()
    listed = [PROJECTS[folder].get("dependencies", []) for folder in PROJECTS] + list(extras)
    return [Requirement(line) for group in listed for line in group]


@pytest.mark.parametrize("folder", PROJECTS)
def test_the_three_distributions_have_one_version(folder):
    assert PROJECTS[folder]["version"] == __version__


def test_the_server_pins_its_own_distributions():
    ours = [one for one in requirements() if one.name.startswith("moderation-")]
    assert {f"{one.name}{one.specifier}" for one in ours} == {
        f"moderation-client=={__version__}",
        f"moderation-demo=={__version__}",
    }


def test_the_change_log_has_a_dated_section_for_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(__version__)} - \d{{4}}-\d{{2}}-\d{{2}}$", text, re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_the_pinned_versions_with_hashes(lock):
    pins, constraints = pinned(f"locks/{lock}.txt"), pinned("constraints.txt")
    assert pins.items() <= constraints.items()
    # torch comes from an index of one's choice: each has its own builds.
    assert "torch" not in pins
    entries = (ROOT / f"locks/{lock}.txt").read_text(encoding="utf-8").split("\n")
    unhashed = [line for line in entries if "==" in line and not line.endswith("\\")]
    assert unhashed == []


def test_every_direct_dependency_is_pinned_within_its_range():
    constraints = pinned("constraints.txt")
    for one in requirements():
        if not one.name.startswith("moderation-"):
            name = re.sub(r"[-_.]+", "-", one.name).lower()
            assert one.specifier.contains(constraints[name]), f"{one}: {constraints[name]}; run `make locks`"


def test_workflows_keep_to_the_schema_of_github():
    # actionlint knows more, but its wheel downloads a program when it is installed.
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert (len(WORKFLOWS), done.returncode) == (2, 0), done.stdout + done.stderr


def test_workflows_call_targets_that_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    jobs = [job for path in WORKFLOWS for job in yaml.safe_load(path.read_text())["jobs"].values()]
    runs = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    called = {target for run in runs for target in re.findall(r"\bmake ([a-z-]+)", run)}
    assert called <= targets
    assert {"test-all", "docs", "coverage", "dist"} <= called
