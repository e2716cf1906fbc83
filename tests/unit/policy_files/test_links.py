"""A policy file that is a link is read within its folder, and never printed from elsewhere."""

import pytest

from worker.errors import InvalidPolicyError
from worker.policy_files.parser import read_policy

TEXT = "name: default\nbackground: [a person]\nlabels:\n  weapons:\n    prompts: [a handgun]\n"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "policies"
    made.mkdir()
    return made


@pytest.mark.parametrize("target", ["../secrets", "/etc/passwd", "../others/default.yaml", "default.yaml"])
def test_a_link_out_of_the_folder_is_refused_by_its_name_alone(folder, tmp_path, target):
    (tmp_path / "secrets").write_text("root:x:0:0: {")
    (folder / "default.yaml").symlink_to(target)
    with pytest.raises(InvalidPolicyError) as error:
        read_policy(folder / "default.yaml")
    assert "default.yaml: the file is a link that leads out of its folder" in error.value.message
    assert "root:" not in error.value.message
    assert "put the file itself in its place" in error.value.message


def test_a_mounted_config_map_is_read(folder):
    """Kubernetes mounts `default.yaml -> ..data/default.yaml`, and `..data` is a link too."""
    version = folder / "..2026_07_01"
    version.mkdir()
    (version / "default.yaml").write_text(TEXT)
    (folder / "..data").symlink_to("..2026_07_01")
    (folder / "default.yaml").symlink_to("..data/default.yaml")
    policy, text = read_policy(folder / "default.yaml")
    assert (policy.name, text) == ("default", TEXT)


def test_a_folder_that_is_a_link_itself_is_a_folder(folder, tmp_path):
    (folder / "default.yaml").write_text(TEXT)
    (tmp_path / "current").symlink_to(folder)
    assert read_policy(tmp_path / "current" / "default.yaml")[0].name == "default"
