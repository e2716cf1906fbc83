"""The bundled model on an archive of sample pictures: random letters are noise to it, what it knows is not."""

import numpy as np
import pytest
from moderation_demo import PICTURES
from PIL import Image

from worker import resources
from worker.domain.evaluation.policy_lint import MIN_PICTURES
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.images.preprocessing import prepare
from worker.policy_files.parser import parse_policy
from worker.usecases.policies.lint_policy import LintPolicy

STICKERS = resources.folder("policies") / "stickers.yaml"
#: None of them is among the strings that the linter compares with.
RANDOM = ("gkvbtx", "tqxxgwbf", "nzzxd", "wkpqz", "mrtxqk", "zzqpht", "bvxnrk", "hgfdsk")


@pytest.fixture(scope="module")
def lint():
    encoder = TransformersEncoder.load("demo")
    pictures = []
    for file in sorted(PICTURES.glob("*.jpg")):
        try:
            with Image.open(file) as picture:
                pictures.append(prepare(picture.convert("RGB"), encoder.preprocessing))
        except OSError:
            # One of the samples is broken, as an upload may be.
            continue
    archive = np.concatenate([encoder.encode_images(pictures)] * (MIN_PICTURES // len(pictures) + 1))
    return LintPolicy(encoder, archive)


def noise(lint, text):
    policy = parse_policy(text, STICKERS)
    return [one.message for one in lint(policy, STICKERS, text).problems() if "random letters" in one.message]


def test_no_phrase_of_the_shipped_policy_is_noise(lint):
    assert noise(lint, STICKERS.read_text(encoding="utf-8")) == []


def test_random_letters_are_noise_on_the_archive(lint):
    text = STICKERS.read_text(encoding="utf-8")
    found = noise(lint, text.replace("      - a pistol\n", "".join(f"      - {word}\n" for word in RANDOM)))
    # A third of such strings, and none of the policy's seventy phrases.
    assert len(found) >= len(RANDOM) // 4
    assert all(any(f'"{word}"' in message for word in RANDOM) for message in found)
