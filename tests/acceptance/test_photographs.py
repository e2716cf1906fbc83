"""The same worker, another model: photographs judged by a small policy for photographs."""

import csv
import shutil
from pathlib import Path

import pytest
from moderation_client import LocalFile
from support.deployment import deploy

SHARED = Path(__file__).parents[3] / "shared"
PHOTOS, MODEL = SHARED / "photos", SHARED / "models" / "photo-zero-shot"
#: The categories of labels.csv that a careful person would want each label to find.
CATEGORIES = {
    "firearms": {"weapon_gun"},
    "blades": {"weapon_blade"},
    "alcohol": {"alcohol"},
    "fire": {"fire"},
}
#: Neither firearms nor everyday things: cannons, tanks, uniforms.
LEFT_OUT = "weapon_military"


@pytest.mark.slow
@pytest.mark.skipif(
    not (PHOTOS.is_dir() and MODEL.is_dir()), reason="../shared/photos and its model are not there"
)
def test_firearms_blades_alcohol_and_fire_are_found_among_everyday_things(
    tmp_path, redis_url, record_property
):
    with (PHOTOS / "labels.csv").open(newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["category"] != LEFT_OUT]
    deployment = deploy(tmp_path, redis_url, model=str(MODEL), media_root=PHOTOS, policy="photographs")
    # The stickers' own tests fail under a model that knows no stickers.
    (deployment.settings.policies / "stickers.yaml").unlink()
    shutil.copy(Path(__file__).parent / "photographs.yaml", deployment.settings.policies)
    with deployment.worker(), deployment.client() as client:
        files = {client.submit(LocalFile(row["file"])): row for row in rows}
        flagged = {d.submission_id: set(d.flagged) for d in deployment.decided(list(files))}
    deployment.database.dispose()
    for label, categories in CATEGORIES.items():
        shown = {n for n, row in files.items() if row["category"] in categories}
        found = {n for n, labels in flagged.items() if label in labels}
        recall, precision = len(found & shown) / len(shown), len(found & shown) / max(1, len(found))
        record_property(label, f"recall {recall:.2f}, precision {precision:.2f}, {len(shown)} photographs")
        print(f"{label}: recall {recall:.2f}, precision {precision:.2f}, {len(shown)} photographs")  # noqa: T201
        assert recall >= 0.6, label
        assert precision >= 0.6, label
