"""A child process imports what its parent imports, and nothing from the current folder."""

import subprocess
import sys

from worker import child_python


def run(module):
    return subprocess.run(
        child_python.command(module),
        env=child_python.bare_environment(),
        check=False,
        capture_output=True,
        text=True,
    )


def test_a_module_of_the_current_folder_does_not_run(monkeypatch, tmp_path):
    (tmp_path / "nearby.py").write_text("print('ran')")
    monkeypatch.chdir(tmp_path)

    assert "No module named nearby" in run("nearby").stderr


def test_a_module_in_a_place_of_this_process_runs(monkeypatch, tmp_path):
    (tmp_path / "installed.py").write_text("import worker.errors; print('ran')")
    monkeypatch.syspath_prepend(tmp_path)

    assert run("installed").stdout == "ran\n"


def test_the_current_folder_is_imported_from_if_this_process_does_so(monkeypatch, tmp_path):
    (tmp_path / "nearby.py").write_text("print('ran')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])

    assert run("nearby").stdout == "ran\n"


def test_secrets_stay_here(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "s3cret")

    assert "HF_TOKEN" not in child_python.bare_environment()
