"""Labelled pictures are read from folders and tables; what is wrong with them is said, with the way out."""

import hashlib
from pathlib import Path

import pytest
from support.labelled import POLICY

from worker.domain.evaluation.labelled.picture import Defect
from worker.errors import UsageError
from worker.usecases.policies.evaluation.labelled_pictures import LabelledPictures, read_labelled


def write(folder: Path, *names: str) -> Path:
    """Write files, each with its own bytes."""
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name, encoding="utf-8")
    return folder


def table(folder: Path, text: str, *, encoding: str = "utf-8") -> Path:
    """Write a table beside the pictures a.jpg, b.jpg and c.jpg."""
    write(folder, "a.jpg", "b.jpg", "c.jpg")
    file = folder / "labels.csv"
    file.write_bytes(text.encode(encoding))
    return file


def labels_of(read: LabelledPictures) -> dict[str, list[str]]:
    return {one.file.name: sorted(one.labels) for one in read.pictures}


def left_out(read: LabelledPictures) -> dict[str, Defect]:
    return {one.file.name: one.defect for one in read.left_out}


def test_a_folder_has_a_subfolder_for_each_label_and_one_for_harmless_pictures(tmp_path: Path) -> None:
    read = read_labelled(
        write(tmp_path, "weapons/a.jpg", "weapons/more/b.jpg", "safe/c.jpg", "drugs/.hidden", ".git/x"),
        POLICY,
    )
    assert labels_of(read) == {"a.jpg": ["weapons"], "b.jpg": ["weapons"], "c.jpg": []}
    assert (read.left_out, read.copies, read.notes) == ((), 0, ())


def test_the_same_bytes_in_several_folders_are_one_picture_with_several_labels(tmp_path: Path) -> None:
    write(tmp_path, "weapons/a.jpg", "weapons/b.jpg")
    for copy in ("drugs/x.jpg", "weapons/again.jpg"):
        (tmp_path / copy).parent.mkdir(exist_ok=True)
        (tmp_path / copy).write_bytes((tmp_path / "weapons/a.jpg").read_bytes())
    read = read_labelled(tmp_path, POLICY)
    assert labels_of(read) == {"x.jpg": ["drugs", "weapons"], "b.jpg": ["weapons"]}
    assert read.copies == 2


def test_files_that_cannot_be_read_are_no_copies_of_each_other(tmp_path: Path, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(hashlib, "file_digest", fail)
    # Of the same size, so that their bytes would be compared.
    read = read_labelled(write(tmp_path, "weapons/a.jpg", "safe/bcde.jpg"), POLICY)
    assert labels_of(read) == {"a.jpg": ["weapons"], "bcde.jpg": []}
    assert read.copies == 0


def test_the_same_bytes_among_the_harmless_ones_contradict_the_label(tmp_path: Path) -> None:
    write(tmp_path, "weapons/a.jpg", "weapons/b.jpg", "safe/c.jpg")
    (tmp_path / "safe/x.jpg").write_bytes((tmp_path / "weapons/a.jpg").read_bytes())
    read = read_labelled(tmp_path, POLICY)
    assert labels_of(read) == {"b.jpg": ["weapons"], "c.jpg": []}
    assert list(left_out(read).values()) == [Defect.CONTRADICTORY]


def test_files_beside_the_folders_and_unknown_folders_are_left_out_and_named(tmp_path: Path) -> None:
    read = read_labelled(write(tmp_path, "weapons/a.jpg", "weapon/b.jpg", "notes.txt"), POLICY)
    assert left_out(read) == {"b.jpg": Defect.UNKNOWN_LABEL, "notes.txt": Defect.UNLABELLED}
    assert "did you mean weapons?" in read.notes[0]


def test_a_renamed_folder_counts_as_its_label(tmp_path: Path) -> None:
    write(tmp_path, "guns/a.jpg", "ok/b.jpg")
    read = read_labelled(tmp_path, POLICY, renamed={"guns": "weapons", "ok": "safe"})
    assert labels_of(read) == {"a.jpg": ["weapons"], "b.jpg": []}


@pytest.mark.parametrize(
    ("names", "complaint", "hint"),
    [
        ((), "has no subfolders", "one for each label, and safe/"),
        (("a.jpg",), "has no subfolders", "or name a CSV file"),
        (("gun/a.jpg",), "has no labelled pictures", '"gun" (1 picture)'),
        (("weapons/.hidden",), "has no labelled pictures", "its folders have no files"),
    ],
)
def test_a_folder_without_labelled_pictures_is_refused(tmp_path: Path, names, complaint, hint) -> None:
    with pytest.raises(UsageError, match=complaint) as refused:
        read_labelled(write(tmp_path, *names), POLICY)
    assert hint in refused.value.hint


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder or file"):
        read_labelled(tmp_path / "pictures", POLICY)


@pytest.mark.parametrize(
    "text",
    [
        "file,labels,artist\na.jpg,weapons;drugs,ann\nb.jpg,safe,bob\nc.jpg,,\n",
        "file;labels;artist\r\na.jpg;weapons|drugs;ann\r\n\r\nb.jpg;safe;bob\r\nc.jpg;;\r\n",
        "\ufefffile\tartist\tlabels\na.jpg\tann\tWeapons | drugs\nb.jpg\tbob\tSafe\nc.jpg\t\t\n",
    ],
)
def test_a_table_has_files_labels_and_slices(tmp_path: Path, text: str) -> None:
    read = read_labelled(table(tmp_path, text), POLICY)
    assert labels_of(read) == {"a.jpg": ["drugs", "weapons"], "b.jpg": [], "c.jpg": []}
    assert [one.slices for one in read.pictures] == [
        {"artist": "ann"}, {"artist": "bob"}, {"artist": "not given"},
    ]  # fmt: skip


def test_the_column_of_labels_can_have_another_name(tmp_path: Path) -> None:
    file = table(tmp_path, "file,category\na.jpg,weapons\nb.jpg,\n")
    assert labels_of(read_labelled(file, POLICY, "category")) == {"a.jpg": ["weapons"], "b.jpg": []}


def test_missing_files_are_left_out_and_named_with_their_line(tmp_path: Path) -> None:
    read = read_labelled(table(tmp_path, "file,labels\na.jpg,weapons\ngone.jpg,weapons\n"), POLICY)
    assert left_out(read) == {"gone.jpg": Defect.MISSING}
    assert read.left_out[0].reason == "line 3 names it; there is no such file"


def test_a_column_of_titles_is_no_slice(tmp_path: Path) -> None:
    names = [f"{n}.jpg" for n in range(25)]
    write(tmp_path, *names)
    rows = "".join(f"{name},weapons,title {name},{number % 2}\n" for number, name in enumerate(names))
    read = read_labelled(table(tmp_path, f"file,labels,title,device\n{rows}"), POLICY)
    assert read.notes == ('The column "title" has more than 20 values, so it is no slice.',)
    assert read.pictures[0].slices == {"device": "0"}


@pytest.mark.parametrize(
    ("text", "complaint", "hint"),
    [
        ("", 'has no column "file"', "its columns are missing"),
        ("files,labels\na.jpg,\n", 'has no column "file"', 'did you mean "files"?'),
        ("file,label\na.jpg,\n", 'has no column "labels"', "--labels-column names another"),
        ("file,labels\n", "has no rows", "a line for each picture"),
        ("file,labels\na.jpg\n", "line 2: 1 values, but 2 columns", "quotes"),
        ("file,labels\na.jpg,weapons,drugs\n", "line 2: 3 values, but 2 columns", "quotes"),
        ("file,labels\n\n,weapons\n", "line 3: the column file is empty", ""),
        ("file,labels,labels\na.jpg,,\n", 'two columns "labels"', "rename one"),
        ('file,labels\n"a.jpg,weapons\n', "line 2: unexpected end of data", ""),
        ("file,labels\nx.jpg,\ny.jpg,\n", "none of its 2 files exists", "relative to the table's folder"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path, text, complaint, hint) -> None:
    with pytest.raises(UsageError) as refused:
        read_labelled(table(tmp_path, text), POLICY)
    assert complaint in refused.value.message
    assert hint in refused.value.hint


def test_a_table_of_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not UTF-8 text: byte 13") as refused:
        read_labelled(table(tmp_path, "file,labels\n\xe4.jpg,\n", encoding="latin-1"), POLICY)
    assert "CSV UTF-8" in refused.value.hint
