from collections import Counter
from pathlib import Path

import pytest

from worker.errors import UndecodablePictureError
from worker.images.decoder import decode
from worker.images.limits import Limits

TORTURE = Path(__file__).parents[4] / "shared" / "torture"
LIMITS = Limits(max_bytes=20 * 2**20, max_pixels=50_000_000, max_side=16_384, max_frames=8)


def outcome(file):
    try:
        picture = decode(file.read_bytes(), LIMITS)
    except UndecodablePictureError as refused:
        return "refused" if "\n" not in refused.message else f"refused in several lines: {file}"
    assert all(frame.mode == "RGB" for frame in picture.frames), file
    return picture.format


# As in a worker, where Pillow's warnings are ignored.
@pytest.mark.filterwarnings(r"ignore:::PIL\.")
@pytest.mark.timeout(120)
@pytest.mark.skipif(not TORTURE.is_dir(), reason="../shared/torture is not here")
def test_every_hostile_file_decodes_or_is_refused_and_does_nothing_else():
    outcomes = Counter(outcome(file) for file in sorted(TORTURE.rglob("*")) if file.is_file())

    assert not [kind for kind in outcomes if "several" in kind]
    # Neither half may be trivial: these are broken files beside merely odd ones.
    assert outcomes["refused"] > 400
    assert outcomes["PNG"] > 300
    assert min(outcomes[kind] for kind in ("JPEG", "GIF", "WEBP", "BMP", "AVIF")) > 5
