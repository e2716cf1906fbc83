"""Hostile and odd picture files of other projects' test suites, all of them, through the real decoders."""

import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.decoders import MEMORY_BYTES, open_pool, process_ids

from worker.domain.policies.policy import Action
from worker.errors import UndecodablePictureError
from worker.images.preprocessing import Preprocessing

TORTURE = Path(__file__).parents[3] / "shared" / "torture"
SQUARE = Preprocessing(3, width=224, height=224)
#: What a refusal begins with, and what it is counted as.
REFUSALS = {
    "the file is not a picture": "no picture of a kind that is judged",
    "it is a": "no picture of a kind that is judged",
    "HEIC is judged only": "no picture of a kind that is judged",
    "the picture is cut off": "cut off",
    "the picture is broken": "broken",
    "the picture is empty": "empty",
    "the picture is larger": "too large",
    "the animation has": "too large",
    "the picture was refused: it crashed": "crashed its decoder",
    "the picture was refused: it ended": "crashed its decoder",
    "the picture was refused: decoding it took": "took too long",
    "the picture was refused: decoding it needed": "took too much memory",
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TORTURE.is_dir(), reason="../shared/torture is not here"),
]


@pytest.fixture(scope="module")
def files():
    return sorted(file for file in TORTURE.rglob("*") if file.is_file())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.timeout(280)
def test_every_hostile_file_is_decoded_or_refused_and_no_decoder_dies(files, capfd, record_property):
    with open_pool() as pool, ThreadPoolExecutor(4) as threads:
        pool.wait_until_ready()
        before = process_ids(pool)
        outcomes = Counter(threads.map(lambda file: outcome(pool, file), files))
        after = process_ids(pool)
        peaks = [peak_bytes(pid) for pid in after]
    for name, count in outcomes.most_common():
        record_property(name, count)
        print(f"{count:6} {name}")  # noqa: T201
    print(f"{len(files):6} files; a decoder took at most {max(peaks) / 2**20:,.0f} MiB of memory")  # noqa: T201
    printed = capfd.readouterr()
    assert "Traceback" not in printed.out + printed.err
    sys.stdout.write(printed.out)
    assert sum(outcomes.values()) == len(files)
    assert not [name for name in outcomes if "crashed" in name or "unclear" in name]
    assert after == before
    assert max(peaks) < MEMORY_BYTES
    # Neither half may be trivial: these are broken files beside merely odd ones.
    assert outcomes["refused: broken"] + outcomes["refused: cut off"] > 50
    assert outcomes["decoded: PNG"] > 300
    assert min(outcomes[f"decoded: {kind}"] for kind in ("JPEG", "GIF", "WEBP", "BMP", "AVIF")) > 5


def outcome(pool, file):
    try:
        picture = pool.decode(file.read_bytes(), SQUARE)
    except UndecodablePictureError as refused:
        message = refused.message
        known = [name for begin, name in REFUSALS.items() if message.startswith(begin)]
        return f"refused: {known[0] if known else 'too large'}" if "\n" not in message else f"unclear: {file}"
    assert picture.pixels.shape[1:] == (224, 224, 3), file
    return f"decoded: {picture.facts.format}"


def peak_bytes(pid):
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


@pytest.mark.exhaustive
@pytest.mark.timeout(280)
def test_the_command_line_judges_every_hostile_file(files, moderate):
    result = moderate("scan", TORTURE, "--json")

    judged = json.loads(result.out)
    assert result.exit_code == 0
    # Files whose names begin with a dot are left out of a folder.
    assert len(judged) == len([file for file in files if not file.name.startswith(".")])
    assert {entry["action"] for entry in judged} <= set(Action)
    refused = [entry for entry in judged if entry["reason"].startswith("not judged, ")]
    assert all(entry["action"] == Action.REVIEW for entry in refused)
    assert 300 < len(refused) < len(judged) - 300
