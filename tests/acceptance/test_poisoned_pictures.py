"""Pictures that kill, hang and bloat their decoder, among 200 good ones: all 200 decided, and they are named."""

from pathlib import Path

import pytest
from PIL import Image
from support.decoders import LIMITS, POISONED, open_pool
from support.pictures import drawing, encoded
from support.poisoned_child import poisoned

from worker import resources
from worker.domain.policies.policy import Action
from worker.settings import Settings
from worker.usecases.moderation.judge_picture import JudgePicture
from worker.usecases.moderation.scan_folder import ScanFolder
from worker.wiring.components import open_encoder
from worker.wiring.policies import open_policy

GOOD = 200
SECONDS = 5
KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
POISONS = {
    "segfault": "it crashed the decoder (signal 11)",
    "abort": "it crashed the decoder (signal 6)",
    "kill": "it crashed the decoder (signal 9)",
    "exit": "it ended the decoder (exit 0)",
    "hang": f"decoding it took more than {SECONDS} s",
    "spin": f"decoding it took more than {SECONDS} s",
    "bloat": "decoding it needed more memory than 512 MiB",
    "babble": "its decoder sent an invalid answer",
}


@pytest.fixture(scope="module")
def encoder():
    with open_encoder(Settings.read()) as opened:
        yield opened


@pytest.fixture(scope="module")
def live(encoder):
    settings = Settings.read(policies=resources.folder("policies"))
    return open_policy(settings, encoder, "stickers")


def draw_uploads(folder: Path) -> tuple[list[Path], dict[Path, str]]:
    """Draw the good pictures, and strew a poisoned one among every 25 of them."""
    good, bad, poisons = [], {}, list(POISONS)
    for n in range(GOOD):
        picture = drawing(100 + n, 90).rotate(n)
        good.append(folder / f"{n:03}.{KINDS[n % len(KINDS)].lower()}")
        good[-1].write_bytes(encoded(picture, KINDS[n % len(KINDS)]))
        if n % 25 == 12:
            kind = poisons[len(bad)]
            file = folder / f"{n:03}-{kind}.png"
            file.write_bytes(poisoned(encoded(Image.new("RGB", (30, 30)), "PNG"), kind))
            bad[file] = POISONS[kind]
    return good, bad


@pytest.mark.slow
def test_all_good_pictures_are_decided_as_without_the_poisoned_ones_which_are_named(tmp_path, encoder, live):
    good, bad = draw_uploads(tmp_path)
    assert len(bad) == len(POISONS)
    with open_pool() as decoder:
        judge = JudgePicture(encoder, decoder)
        alone = {file: judge(live, file.read_bytes()) for file in good}

    with open_pool(LIMITS, child_module=POISONED, seconds=SECONDS, memory_bytes=2**29) as decoder:
        scan = ScanFolder(JudgePicture(encoder, decoder), concurrency=16)
        judged = dict(scan(live, sorted([*good, *bad])))

    assert judged.keys() == {*good, *bad}
    for file in good:
        assert judged[file].picture.facts == alone[file].picture.facts
        assert judged[file].decision.action is alone[file].decision.action
        scores = [[s.score for s in by[file].decision.scores] for by in (judged, alone)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-3)
    for file, said in bad.items():
        assert judged[file].decision.action is Action.REVIEW
        assert judged[file].decision.reason == f"not judged, the picture was refused: {said}"
