"""The bundled model on the sample uploads that the repository carries, whose contents a person wrote down."""

import csv
import json

import pytest
from moderation_demo import PICTURES

from worker import resources
from worker.demo import LARGE, enlarge_sample

POLICIES = resources.folder("policies")
MODEL = PICTURES.parent / "model"


@pytest.fixture
def contents() -> dict[str, set[str]]:
    with (PICTURES / "contents.csv").open(newline="", encoding="utf-8") as table:
        return {row["file"]: set(row["labels"].split()) for row in csv.DictReader(table)}


def test_the_bundled_model_fits_a_repository_and_is_readable_by_everyone():
    files = list(MODEL.iterdir())
    assert sum(file.stat().st_size for file in files) <= 12_000_000
    assert {file.suffix for file in files} <= {".safetensors", ".json", ".md"}
    assert all(file.stat().st_mode & 0o444 == 0o444 for file in files)


def test_every_sample_is_described(contents):
    assert set(contents) == {file.name for file in PICTURES.iterdir() if file.name != "contents.csv"}
    assert 55 <= len(contents) <= 75
    assert sum(file.stat().st_size for file in PICTURES.iterdir()) <= 1_500_000


def test_what_a_person_would_flag_is_flagged_and_little_else(moderate, contents):
    result = moderate("scan", PICTURES, "--json", policies=POLICIES)
    known = {entry["label"] for row in json.loads(result.out) for entry in row["scores"]}
    right, missed, invented = 0, [], []
    for row in json.loads(result.out):
        name, found = row["file"].rpartition("/")[2], set(row["labels"])
        if name == "contents.csv" or "undecodable" in contents[name]:
            assert row["scores"] == []
            continue
        expected = contents[name] & known
        right += len(found & expected)
        missed += [(name, label) for label in expected - found]
        invented += [(name, label) for label in found - expected]
    assert right >= 0.85 * (right + len(missed)), missed
    assert len(invented) <= 3, invented


def test_a_telephones_picture_is_judged_whole(moderate, tmp_path):
    (tmp_path / "uploads").mkdir()
    original = "tractor-and-cow.jpg"
    (tmp_path / "uploads" / original).write_bytes((PICTURES / original).read_bytes())
    large = enlarge_sample(tmp_path / "uploads")
    assert LARGE[0] * LARGE[1] == 12_000_000
    result = moderate("scan", large, "--json", policies=POLICIES)
    assert json.loads(result.out)[0]["scores"]
