"""Folders stay small, faces open no transactions, and CONTRIBUTING.md names files that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_MODULES = 13
#: What shows people and programs what use cases do.
FACES = ("bench", "cli", "demo.py", "stage", "web")
#: The methods of `Database` that open a transaction.
TRANSACTIONS = {"reading", "transaction"}
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FOLDERS = [ROOT / "worker", *(path for path in (ROOT / "worker").rglob("*") if path.is_dir())]
#: Folders that a path in the table may be relative to, beside the folder of the path before it.
BASES = (ROOT, ROOT / "worker")


def test_a_folder_holds_few_modules():
    counts = {
        str(folder.relative_to(ROOT)): sum(file.name != "__init__.py" for file in folder.glob("*.py"))
        for folder in FOLDERS
    }
    assert {name: count for name, count in counts.items() if count > MOST_MODULES} == {}


def transactions(text: str) -> list[int]:
    """Return the lines that open a transaction."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in TRANSACTIONS
    ]


def test_a_transaction_is_found_wherever_it_is_opened():
    text = "with at.database.reading() as session:\n    pass\nstack.enter_context(database.transaction())\n"
    assert transactions(text) == [1, 3]
    assert transactions("# database.reading()\nreading = 'database.transaction()'\n") == []


@pytest.mark.parametrize("face", FACES)
def test_a_face_opens_no_transaction(face):
    place = ROOT / "worker" / face
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    assert files
    opened = {str(file.relative_to(ROOT)): transactions(file.read_text(encoding="utf-8")) for file in files}
    assert {name: lines for name, lines in opened.items() if lines} == {}


def rows() -> list[str]:
    table = GUIDE.partition("## To change ... edit ...")[2].partition("\n## ")[0]
    return [line for line in table.splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize("row", rows())
def test_the_table_of_changes_names_files_that_exist(row):
    bases = list(BASES)
    for name in re.findall(r"`([\w/.-]+(?:\.py|\.md|/))`", row):
        found = [base / name for base in bases if (base / name).exists()]
        assert found, f"there is no {name}"
        bases.append(found[0].parent)
        bases.append(found[0].parent.parent)


def test_the_main_way_is_followed_through_files_that_exist():
    way = GUIDE.partition("## How a picture is judged")[2].partition("\n## ")[0]
    files = re.findall(r"`([\w/]+\.py)`", way)
    assert len(files) == 4
    assert [file for file in files if not (ROOT / "worker" / file).is_file()] == []
