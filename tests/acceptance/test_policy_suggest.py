"""An editor with verdicts asks which words to change, accepts one, and sees that it helps."""

import json

import pytest
from support.tables import make_tables
from support.uploads_of_knives import TEXT, fill

from worker.settings import Settings
from worker.store.engine.database import Database
from worker.usecases.moderation.judge_picture import vector_digest
from worker.wiring.components import limits_of, open_encoder


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Return settings with which there is an archive with verdicts; and without them, under `unjudged`."""
    folder = tmp_path_factory.mktemp("knives")
    (folder / "policies").mkdir()
    (folder / "policies" / "knives.yaml").write_text(TEXT, encoding="utf-8")
    urls = {name: f"sqlite:///{folder / name}.db" for name in ("database", "unjudged", "few", "empty")}
    settings = Settings.read()
    with open_encoder(settings) as encoder:
        for name, url in urls.items():
            database = Database.connect(url)
            make_tables(database)
            if name != "empty":
                digest = vector_digest(encoder, limits_of(settings))
                fill(database, encoder, digest, judged=name != "unjudged", most=5 if name == "few" else None)
            database.dispose()
    return {"policies": folder / "policies", "policy": "knives"}, urls


@pytest.fixture
def ask(moderate, filled):
    settings, urls = filled

    def run(*arguments, archive="database", **more):
        return moderate("policy", *arguments, **{**settings, "database_url": urls[archive], **more})

    return run


def test_it_prints_the_line_its_place_and_its_effect(ask):
    result = ask("suggest", "knives")
    assert (result.exit_code, result.err) == (0, "")
    # What the label looks for is no harmless thing that the policy lacks.
    assert "a kitchen (" not in result.out.partition("Uploaded, and")[2]
    lines = "\n".join(line.strip() for line in result.out.splitlines())
    assert "labels:\nweapons:\nlookalikes:\n- scissors\n" in lines
    assert "110 different pictures" in result.out
    assert "40 false flags, 40 right" in result.out
    assert "loses 0 of" in result.out
    assert (
        'weapons: "a kitchen knife" is nearest in 40 of 40 false flags, 0 after the changes above'
        in result.out
    )


def test_an_accepted_line_does_in_a_comparison_what_was_promised(ask, filled, tmp_path):
    found = json.loads(ask("suggest", "knives", "--json").out)
    (change,) = found["changes"]
    assert (change["change"], change["at"], change["phrase"]) == (
        "add",
        ["labels", "weapons", "lookalikes"],
        "scissors",
    )
    draft = tmp_path / "knives.yaml"
    draft.write_text(TEXT + "    lookalikes: [scissors]\n", encoding="utf-8")
    compared = json.loads(ask("compare", "live", draft, "--json").out)
    (label,) = compared["labels"]
    assert label["no_longer_flagged"] == 40
    assert (label["new_precision"], label["new_recall"]) == (1.0, 1.0)
    # Nothing is left to suggest for the draft, which it takes as a file.
    again = json.loads(ask("suggest", draft, "--json").out)
    assert (again["changes"], again["false_flags"], again["right_flags"]) == ([], 0, 40)
    assert "scissors" not in (filled[0]["policies"] / "knives.yaml").read_text(encoding="utf-8")


def test_without_verdicts_it_says_that_nothing_tells_right_from_wrong(ask):
    result = ask("suggest", "knives", archive="unjudged")
    assert result.exit_code == 0
    assert "Nothing tells right from wrong here" in result.out
    assert "weapons flags 80 of 110 uploads (73%); they look like" in result.out


@pytest.mark.parametrize(
    ("archive", "more", "words"),
    [
        ("empty", {}, "No picture was judged since"),
        ("few", {}, "15 different pictures. At least 50 are needed"),
        # What lies between bytes and vector changes with the number of frames that are looked at.
        ("database", {"max_frames": 3}, "none has an embedding of the model demo"),
    ],
)
def test_an_archive_that_says_too_little_is_said_to_be_so(ask, archive, more, words):
    result = ask("suggest", "knives", archive=archive, **more)
    assert result.exit_code == 0
    assert words in result.out
    found = json.loads(ask("suggest", "knives", "--json", archive=archive, **more).out)
    assert (found["changes"], found["idle"]) == ([], None)


@pytest.mark.parametrize(
    ("arguments", "more", "code", "words"),
    [
        (["knifes"], {}, 2, 'there is no policy "knifes"'),
        (["nowhere.yaml"], {}, 1, "nowhere.yaml"),
        (["knives", "--since", "yesterday"], {}, 2, "yesterday"),
        (["knives"], {"database_url": "postgresql://nobody@127.0.0.1:1/x"}, 3, "127.0.0.1"),
    ],
)
def test_what_cannot_be_done_is_one_line(ask, arguments, more, code, words):
    result = ask("suggest", *arguments, **more)
    assert (result.exit_code, result.out) == (code, "")
    assert words in result.err
    assert "Traceback" not in result.err
