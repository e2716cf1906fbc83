"""`moderate explain --heatmap`: the bundled model's own reasons, and clear words if there is no map."""

import shutil

import numpy as np
import pytest
from moderation_client.submission import InlineBytes, LocalFile, Submission
from moderation_demo import PICTURES
from PIL import Image
from support.tables import make_tables

from worker import resources
from worker.settings import Settings
from worker.store.engine.database import Database
from worker.wiring.worker_service import open_service


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    """Return the settings of a deployment with decisions: a dagger at the left, one in a wide picture, others."""
    media = tmp_path_factory.mktemp("media")
    for name in ("dagger-and-rose.jpg", "castle.jpg", "cat.jpg"):
        shutil.copy(PICTURES / name, media)
    (media / "letter.txt").write_text("a letter")
    with Image.open(PICTURES / "kitchen-knife.jpg") as knife:
        wide = Image.new("RGB", (4 * knife.width, knife.height), "teal")
        wide.paste(knife, (3 * knife.width, 0))
    wide.save(media / "wide.png")
    settings = {
        "database_url": f"sqlite:///{media / 'moderation.db'}",
        "media_root": media,
        "policies": resources.folder("policies"),
    }
    database = Database.connect(settings["database_url"])
    make_tables(database)
    database.dispose()
    with open_service(Settings.read(**settings, decoder_processes=1)) as service:
        for submission_id, source in (
            ("dagger", LocalFile("dagger-and-rose.jpg")),
            ("wide", LocalFile("wide.png")),
            ("changed", LocalFile("castle.jpg")),
            ("gone", LocalFile("cat.jpg")),
            ("letter", LocalFile("letter.txt")),
            ("inline", InlineBytes((PICTURES / "skull-and-candle.jpg").read_bytes())),
        ):
            service.moderate_image(Submission(submission_id, source))
    shutil.copy(PICTURES / "cat.jpg", media / "castle.jpg")
    (media / "cat.jpg").unlink()
    return settings


@pytest.fixture
def explain(moderate, decided, tmp_path):
    """Return what runs `moderate explain` with a heat map, and its file."""

    def run(name, *options, file="why.png", **settings):
        result = moderate("explain", name, "--heatmap", tmp_path / file, *options, **decided | settings)
        return result, tmp_path / file

    return run


def hottest(file):
    """Return where a picture with a heat map is most yellow, as shares of its width and height."""
    with Image.open(file) as drawn:
        pixels = np.asarray(drawn.convert("RGB"), float)[:-70]
    yellow = pixels[:, :, :2].min(axis=2) - pixels[:, :, 2]
    y, x = np.unravel_index(yellow.argmax(), yellow.shape)
    return x / pixels.shape[1], y / pixels.shape[0]


def test_a_square_of_a_wide_picture_lies_at_its_place(explain):
    result, file = explain("wide", "--label", "weapons", "--veiled")
    assert result.exit_code == 0, result.err
    x, _ = hottest(file)
    assert x > 0.75


def test_it_shows_the_dagger_says_why_and_draws_over_the_veil_if_asked(explain):
    veiled, file = explain("dagger", "--veiled", file="veiled.png")
    assert veiled.exit_code == 0, veiled.err
    assert "“a dagger” beat “a hammer” for weapons, by Grad-ECLIP" in " ".join(veiled.err.split())
    x, y = hottest(file)
    assert 0.1 < x < 0.4
    assert 0.3 < y < 0.8
    _, clear = explain("dagger", file="clear.png")
    blurred, sharp = (_rose(file) for file in (file, clear))
    assert sharp[:, :, 0].mean() > sharp[:, :, 1].mean() + 40
    assert blurred.std(axis=(0, 1)).max() < 8 < sharp.std(axis=(0, 1)).max()


def _rose(file):
    """Return the pixels of the rose, where nothing speaks for a weapon."""
    with Image.open(file) as drawn:
        return np.asarray(drawn.convert("RGB"), float)[330:430, 650:780]


@pytest.mark.parametrize(
    ("name", "options", "code", "words"),
    [
        ("dagger", ["--label", "cats"], 2, "the decision has no score of a label 'cats'"),
        ("changed", [], 1, "the picture changed after it was judged"),
        ("gone", [], 1, "cat.jpg"),
        ("letter", [], 1, "the picture was not judged, so there is nothing to explain"),
        ("inline", [], 1, "the picture came inside its message, and is not kept any more"),
        ("nothing", [], 2, "no decision on a submission 'nothing'"),
    ],
)
def test_why_there_is_no_map(explain, name, options, code, words):
    result, file = explain(name, *options)
    assert (result.exit_code, words in " ".join(result.err.split())) == (code, True), result.err
    assert not file.exists()


def test_another_model_cannot_explain_the_decision(explain, tmp_path):
    other = shutil.copytree(resources.demo_folder("model"), tmp_path / "other")
    (other / "tokenizer_config.json").write_text((other / "tokenizer_config.json").read_text() + "\n")
    result, _ = explain("dagger", model=str(other), policy="stickers")
    assert result.exit_code == 1
    assert "another model, or another version of this service, decided" in " ".join(result.err.split())


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("there.png", "exists, and is not overwritten"),
        ("why.jpg", "is not a PNG by its name"),
        ("missing/why.png", "there is no folder"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_else(explain, tmp_path, file, words):
    (tmp_path / "there.png").write_bytes(b"mine")
    result, _ = explain("dagger", file=file, database_url="sqlite:////nonexistent/x.db")
    assert (result.exit_code, words in " ".join(result.err.split())) == (2, True), result.err
    assert (tmp_path / "there.png").read_bytes() == b"mine"


@pytest.mark.parametrize("options", [["--label", "weapons"], ["--veiled"]])
def test_options_of_a_heat_map_need_one(moderate, options):
    result = moderate("explain", "dagger", *options)
    assert result.exit_code == 2
    assert f"{options[0]} is about a heat map, and none is asked for" in " ".join(result.err.split())
