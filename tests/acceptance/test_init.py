"""`moderate init` as someone runs it who has the package and no checkout."""

import os
import re
import shutil
import subprocess
import sysconfig

import pytest


@pytest.fixture
def started(moderate, tmp_path, monkeypatch):
    """Return the new folder, which is the current one, with what the command said."""
    said = moderate("init", str(tmp_path / "new"))
    assert (said.exit_code, said.err) == (0, "")
    monkeypatch.chdir(tmp_path / "new")
    return tmp_path / "new", said.out


def test_it_says_what_it_wrote_and_what_to_run_next(started):
    folder, said = started
    for line in said.split("\n\n")[0].splitlines():
        assert line.startswith(f"{folder}/")
    assert f"cd {folder}\nset -a; . ./.env; set +a\n" in said


def test_its_policy_is_without_a_warning_and_passes_its_tests(started, moderate):
    checked = moderate("policy", "check", "policies")
    assert (checked.exit_code, checked.err) == (0, "")
    assert "no problems" in checked.out
    tested = moderate("policy", "test", "policies/uploads.yaml")
    assert (tested.exit_code, tested.out.splitlines()[-1]) == (0, "2 of 2 tests passed")


def test_the_category_that_is_commented_out_works(started, moderate):
    file = started[0] / "policies" / "uploads.yaml"
    text = file.read_text(encoding="utf-8")
    example = re.compile(r"^  # (?=  |sweets:|- picture)", re.MULTILINE)
    assert len(example.findall(text)) == 5
    file.write_text(example.sub("  ", text), encoding="utf-8")
    tested = moderate("policy", "test", str(file))
    assert (tested.exit_code, tested.out.splitlines()[-1]) == (0, "3 of 3 tests passed")


@pytest.mark.exhaustive
def test_its_settings_choose_its_policy(started, monkeypatch):
    monkeypatch.setenv("PATH", sysconfig.get_path("scripts"), prepend=os.pathsep)
    script = "set -a; . ./.env; moderate scan policies/cases --json"
    ran = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert '"weapons"' in ran.stdout


def test_a_folder_with_something_in_it_is_refused(started, moderate):
    folder, _ = started
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    again = moderate("init", str(folder))
    assert (again.exit_code, again.out) == (2, "")
    assert f"{folder} is not empty" in again.err
    assert before == {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong_with_its_units(started):
    folder, _ = started
    ran = subprocess.run(
        ["systemd-analyze", "verify", *(folder / "systemd").iterdir()],
        capture_output=True,
        text=True,
        check=False,
    )
    # It also reports units of the machine's own.
    assert ran.returncode == 0, ran.stderr
    assert [line for line in ran.stderr.splitlines() if str(folder) in line] == []
