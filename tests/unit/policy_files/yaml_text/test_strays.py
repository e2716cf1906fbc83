"""What looks like a policy and is not read is pointed out; what else lies in the folder is not."""

import os

import pytest

from worker.policy_files.yaml_text.folder import policy_files, strays


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "stickers.yaml").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "rename_to"),
    [
        ("avatars.YAML", "avatars.yaml"),
        ("avatars.Yml", "avatars.yaml"),
        ("avatars.yaml.txt", "avatars.yaml"),
        ("avatars.yml.TXT", "avatars.yaml"),
        ("avatars.yaml~", "avatars.yaml"),
        ("avatars.yaml.bak", "avatars.yaml"),
        ("avatars.yaml.disabled", "avatars.yaml"),
        ("avatars.yaml (1)", "avatars.yaml"),
        ("avatars.yaml_old", "avatars.yaml"),
        ("avatars.ymal", "avatars.yaml"),
        ("avatars.yam", "avatars.yaml"),
        ("avatars.yaml ", "avatars.yaml"),
    ],
)
def test_a_name_that_nearly_fits_is_pointed_out(folder, name, rename_to):
    (folder / name).touch()
    assert strays(folder) == {
        folder / name: f"its name does not end in .yaml: rename it to {rename_to} if it is a policy"
    }


def test_a_copy_beside_its_original_is_called_one(folder):
    (folder / "stickers.yaml.bak").touch()
    assert strays(folder) == {
        folder
        / "stickers.yaml.bak": "its name does not end in .yaml: stickers.yaml is read, and this is not; "
        "remove it if it is a copy"
    }


def test_folders_and_dead_links_of_the_right_name_are_pointed_out(folder):
    (folder / "avatars.yaml").mkdir()
    (folder / "posts.yml").symlink_to(folder / "nowhere.yaml")
    assert {path.name: why.partition(":")[0] for path, why in strays(folder).items()} == {
        "avatars.yaml": "it is a folder",
        "posts.yml": "it is a link that leads nowhere",
    }
    assert [file.name for file in policy_files(folder)] == ["stickers.yaml"]


def test_a_pipe_is_no_dead_link_and_a_name_stays_on_one_line(folder):
    os.mkfifo(folder / "pipe.yaml")
    (folder / "two\nlines.YAML").touch()
    assert {path.name: why for path, why in strays(folder).items()} == {
        "pipe.yaml": "it is neither a file nor a folder: put the file itself in its place",
        "two\nlines.YAML": r"its name does not end in .yaml: rename it to two\nlines.yaml if it is a policy",
    }


def test_all_else_is_left_alone(folder):
    for name in (
        "README.md",
        "schema.json",
        "a.png",
        "notes.txt",
        ".avatars.yaml.swp",
        "yaml",
        "a.html",
        "a.xml",
    ):
        (folder / name).touch()
    (folder / "cases").mkdir()
    assert strays(folder) == {}
