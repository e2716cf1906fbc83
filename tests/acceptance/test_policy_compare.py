"""An editor asks what a policy would have done, and where a phrase is, before anything is put in force."""

import json
import re
import shutil

import pytest
from moderation_client.submission import InlineBytes, LocalFile, Submission
from moderation_demo import PICTURES
from sqlalchemy import update
from support.tables import make_tables

from worker import resources
from worker.domain.policies.policy import Action
from worker.policy_files.parser import read_policy
from worker.settings import Settings
from worker.store.decisions import decisions
from worker.store.engine.database import Database
from worker.store.engine.tables import DecisionRow
from worker.store.reviews import verdicts
from worker.wiring.components import open_decoder, open_encoder
from worker.wiring.policies import open_policy, scan_folder
from worker.wiring.worker_service import open_service

STICKERS = resources.folder("policies") / "stickers.yaml"
#: Harmless to the shipped policy; the last two are one upload of an animation and one that is no picture.
NAMES = (
    "pizza.jpg",
    "owl.jpg",
    "slot-machine.jpg",
    "joker-and-teapot.jpg",
    "crossed-swords.webp",
    "beer-and-pretzel.jpg",
    "animated-hen-house.gif",
    "not-a-picture.jpg",
)
GAMBLING = """  gambling:
    prompts: [a slot machine, a playing card joker]
    review: 0.5
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Return a folder with pictures, policies, and a database of what was decided about them."""
    folder = tmp_path_factory.mktemp("archive")
    for name in ("media", "policies", "drafts"):
        (folder / name).mkdir()
    shutil.copy(STICKERS, folder / "policies")
    shutil.copytree(STICKERS.parent / "cases", folder / "policies" / "cases")
    settings = Settings.read(**settings_of(folder))
    database = Database.connect(settings.database_url)
    make_tables(database)
    database.dispose()
    with open_service(settings) as service:
        for name in NAMES:
            shutil.copy(PICTURES / name, folder / "media")
            service.moderate_image(Submission(name, LocalFile(name), reference=f"post of {name}"))
        # The same bytes again, inside the message this time.
        again = InlineBytes((PICTURES / "slot-machine.jpg").read_bytes())
        service.moderate_image(Submission("again", again))
    return folder


def with_category(category=GAMBLING):
    text = STICKERS.read_text(encoding="utf-8")
    return text.replace("\nlabels:\n", f"\nlabels:\n{category}", 1)


def settings_of(folder):
    return {
        "database_url": f"sqlite:///{folder / 'moderation.db'}",
        "media_root": folder / "media",
        "policies": folder / "policies",
        "policy": "stickers",
    }


@pytest.fixture
def ask(moderate, archive):
    def run(*arguments, **more):
        return moderate("policy", *arguments, **{**settings_of(archive), **more})

    return run


@pytest.fixture
def draft(archive):
    """Return a draft of the policy with a category more, in three lines."""
    file = archive / "drafts" / "stickers.yaml"
    file.write_text(with_category(), encoding="utf-8")
    return file


def judged_anew(archive, file):
    """Return what the ordinary way makes of every picture under the policy in `file`: action and labels."""
    settings = Settings.read(**settings_of(archive) | {"policies": file.parent})
    with open_decoder(settings) as decoder, open_encoder(settings) as encoder:
        live = open_policy(settings, encoder, "stickers")
        scan = scan_folder(settings, encoder, decoder)
        files = sorted((archive / "media").iterdir())
        return {
            path.name: (judged.decision.action.value, set(judged.decision.flagged))
            for path, judged in scan(live, files)
        }


def test_compare_names_exactly_the_pictures_that_flip(ask, archive, draft):
    result = ask("compare", "live", draft, "--json")
    assert (result.exit_code, result.err) == (0, "")
    found = json.loads(result.out)
    before, after = judged_anew(archive, STICKERS), judged_anew(archive, draft)
    truth = {name for name in before if before[name] != after[name]}
    assert {"slot-machine.jpg", "joker-and-teapot.jpg"} <= truth
    flipped = {flip["submission"]: flip for flip in found["flips"]}
    assert set(flipped) == truth | {"again"}
    assert found["changed"] == len(truth) + 1
    for name in truth:
        old, new = flipped[name]["old"], flipped[name]["new"]
        assert (old["action"], set(old["labels"])) == before[name]
        assert (new["action"], set(new["labels"])) == after[name]
    (change,) = flipped["slot-machine.jpg"]["labels"]
    assert (change["label"], change["old"], change["new"]["prompt"]) == ("gambling", None, "a slot machine")
    assert (found["compared"], found["not_judged"], found["of_other_models"]) == (len(NAMES), 1, 0)


def test_compare_counts_by_label_and_action(ask, archive, draft):
    found = json.loads(ask("compare", "live", draft, "--json").out)
    before = judged_anew(archive, STICKERS)
    labels = {label["label"]: label for label in found["labels"]}
    assert list(labels)[-1] == "gambling"
    assert labels["gambling"]["flagged_before"] == 0
    assert labels["gambling"]["old_scores"] is None
    assert labels["gambling"]["newly_flagged"] == len(found["flips"])
    assert labels["weapons"]["flagged_before"] == sum("weapons" in flagged for _, flagged in before.values())
    assert sum(move["submissions"] for move in found["moves"]) == found["compared"]
    assert sum(day["new"]["review"] for day in found["days"]) == sum(
        move["submissions"] for move in found["moves"] if move["new"] == "review"
    )
    assert found["per_day"]["new"]["reviews"] > found["per_day"]["old"]["reviews"]


def test_compare_prints_what_a_person_wants_to_know(ask, draft):
    result = ask("compare", "live", draft)
    assert result.exit_code == 0
    for words in (
        "from allow to review",
        "1 more had no picture that could be judged",
        "old \\ new",
        "to review",
        "gambling new",
        "post of slot-machine.jpg",
        '"a slot machine" beat',
        "no verdicts yet",
        "Limits per hour are not simulated",
    ):
        assert words in result.out
    limited = ask("compare", "live", draft, "--limit", 1)
    assert "smaller changes: --limit shows more" in limited.out


def test_as_many_flips_as_asked_for_are_told_and_all_are_counted(ask, draft):
    everything = json.loads(ask("compare", "live", draft, "--json").out)
    limited = json.loads(ask("compare", "live", draft, "--json", "--limit", 1).out)
    assert len(everything["flips"]) > 1
    assert limited == {
        **everything,
        "since": limited["since"],
        "until": limited["until"],
        "flips": limited["flips"],
    }
    (largest,) = limited["flips"]
    assert largest["submission"] in {flip["submission"] for flip in everything["flips"]}


def test_a_label_that_goes_is_compared_like_one_that_comes(ask, draft):
    result = ask("compare", draft, "live")
    assert "gambling removed" in result.out
    assert "from review to allow" in result.out
    assert "no longer a label" in result.out


def test_a_policy_beside_itself_changes_nothing(ask):
    result = ask("compare", "live", STICKERS)
    assert result.exit_code == 0
    assert f"None of {len(NAMES)} submissions would change." in result.out


def test_a_stored_version_is_named_by_its_digest(ask, draft):
    digest = read_policy(STICKERS)[0].digest
    by_digest = json.loads(ask("compare", digest[:8], draft, "--json").out)
    by_file = json.loads(ask("compare", STICKERS, draft, "--json").out)
    assert by_digest["old"] == {"name": "stickers", "digest": digest}
    assert by_digest["flips"] == by_file["flips"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare", "live", "live"], "live takes its name from the other policy"),
        (["compare", "live", "nothing"], "'nothing' is no policy"),
        (["compare", "abcdef", STICKERS], "no policy version begins with abcdef"),
        (["compare", STICKERS, STICKERS, "--all", "--policy", "x"], "exclude each other"),
        (["compare", STICKERS, STICKERS, "--since", "yesterday"], "yesterday"),
        (["hunt", "  "], "there is no phrase to hunt for"),
        (["hunt", "an ordinary picture"], "is a background phrase of the policy stickers"),
        (["hunt", "an owl", "--policy", "posts"], 'there is no policy "posts"'),
    ],
)
def test_wrong_usage_is_said_and_exits_with_2(ask, arguments, words):
    result = ask(*arguments)
    assert (result.exit_code, result.out) == (2, "")
    assert words in result.err


def test_a_broken_policy_is_shown_with_its_place(ask, draft):
    draft.write_text(
        draft.read_text(encoding="utf-8").replace("review: 0.5", "treshold: 0.5", 1), encoding="utf-8"
    )
    result = ask("compare", "live", draft)
    assert (result.exit_code, result.out) == (1, "")
    assert re.search(r"stickers\.yaml:\d+:\d+", result.err)


@pytest.mark.usefixtures("sqlite_database")
def test_without_an_archive_there_is_a_line_and_no_report(ask, tmp_path, draft, sqlite_url):
    report = tmp_path / "report.html"
    empty = {"database_url": sqlite_url}
    for command in (("compare", "live", draft), ("hunt", "an owl")):
        result = ask(*command, "--html", report, **empty)
        assert result.exit_code == 0
        assert "Nothing was decided since" in result.out
        assert not report.exists()


def test_submissions_of_other_policies_are_compared_where_they_are_asked_for(ask, archive):
    cats = archive / "drafts" / "cats.yaml"
    cats.write_text(
        STICKERS.read_text(encoding="utf-8").replace("name: stickers", "name: cats"), encoding="utf-8"
    )
    assert "Nothing was decided" in ask("compare", STICKERS, cats).out
    for option in (["--all"], ["--policy", "stickers"]):
        assert json.loads(ask("compare", STICKERS, cats, "--json", *option).out)["compared"] == len(NAMES)


def test_embeddings_of_another_model_alone_are_said_to_be_so(ask, draft):
    # What lies between bytes and vector changes with the number of frames that are looked at.
    for command in (("compare", "live", draft), ("hunt", "an owl")):
        result = ask(*command, max_frames=3)
        assert result.exit_code == 0
        assert "none has an embedding of the model demo" in result.out


def test_verdicts_give_precision_and_recall(ask, archive, draft):
    database = Database.connect(settings_of(archive)["database_url"])
    with database.transaction() as session:
        for name, action, labels in (
            ("slot-machine.jpg", Action.BLOCK, {"gambling"}),
            ("pizza.jpg", Action.ALLOW, set()),
        ):
            (decision,) = decisions.of_submissions(session, [name])
            verdict = verdicts.Verdict(name, action, frozenset(labels))
            verdicts.record(session, verdict, decision_id=decision.id, reviewer="ada")
    try:
        found = json.loads(ask("compare", "live", draft, "--json").out)
        text = ask("compare", "live", draft).out
    finally:
        with database.transaction() as session:
            session.execute(verdicts.VerdictRow.__table__.delete())  # type: ignore[attr-defined]
        database.dispose()
    gambling = found["labels"][-1]
    assert found["verdicts"] == 2
    assert (gambling["old_recall"], gambling["new_recall"], gambling["new_precision"]) == (None, 1.0, 1.0)
    assert (found["agreement"]["old_recall"], found["agreement"]["new_recall"]) == (0.0, 1.0)
    assert "measured against 2 verdicts" in text
    assert "read recall as an upper bound" in text


def test_older_decisions_are_left_out(ask, archive, draft):
    database = Database.connect(settings_of(archive)["database_url"])
    age = update(DecisionRow).where(DecisionRow.submission_id == "pizza.jpg")
    with database.transaction() as session:
        (decision,) = decisions.of_submissions(session, ["pizza.jpg"])
        session.execute(age.values(created_at=decision.created_at.replace(year=2020)))
    try:
        assert json.loads(ask("compare", "live", draft, "--json").out)["compared"] == len(NAMES) - 1
    finally:
        with database.transaction() as session:
            session.execute(age.values(created_at=decision.created_at))
        database.dispose()


def test_the_report_stands_alone_and_shows_what_is_still_there(ask, archive, draft, tmp_path):
    report = tmp_path / "report.html"
    picture = archive / "media" / "slot-machine.jpg"
    kept = picture.read_bytes()
    picture.write_bytes(kept + b"changed since")
    try:
        result = ask("compare", "live", draft, "--html", report)
    finally:
        picture.write_bytes(kept)
    assert result.exit_code == 0
    assert f"report: {report}" in result.err
    page = report.read_text(encoding="utf-8")
    found = json.loads(ask("compare", "live", draft, "--json").out)
    assert f"{found['changed']} of {found['compared']} submissions would change" in page
    # Of the flipped, the one that was replaced and the one that came inside its message are gone.
    assert page.count("picture no longer there") == 2
    assert page.count("data:image/webp;base64,") == found["changed"] - 2
    assert not re.search(r"<script|https?://|url\(", page)
    assert page.count("</svg>") == 1 + len(found["labels"])
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_what_people_wrote_is_text_in_the_report(ask, archive, tmp_path):
    file = archive / "drafts" / "stickers.yaml"
    evil = GAMBLING.replace("a slot machine", "a <b>slot machine</b>")
    file.write_text(with_category(evil), encoding="utf-8")
    report = tmp_path / "report.html"
    assert ask("compare", "live", file, "--html", report).exit_code == 0
    assert ask("hunt", "an <i>owl</i>", "--html", tmp_path / "hunt.html").exit_code == 0
    assert "<b>slot" not in report.read_text(encoding="utf-8")
    assert "<i>owl" not in (tmp_path / "hunt.html").read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_is_said_to_be_so(ask, draft, tmp_path):
    result = ask("compare", "live", draft, "--html", tmp_path / "no" / "report.html")
    assert result.exit_code == 2
    assert "report.html cannot be written: no such file or directory" in result.err


def test_hunt_finds_what_no_policy_asks_about(ask):
    result = ask("hunt", "an owl", "--json")
    assert result.exit_code == 0
    found = json.loads(result.out)["found"]
    assert found[0]["submission"] == "owl.jpg"
    assert found[0]["action"] == "allow"
    scores = [picture["score"] for picture in found]
    assert scores == sorted(scores, reverse=True)
    # Eight pictures, one of them twice, and one that is none.
    assert len(found) == len(NAMES) - 1


def test_hunt_shows_the_same_bytes_once_and_counts_them(ask):
    (found,) = json.loads(ask("hunt", "a slot machine", "--top", 1, "--json").out)["found"]
    assert (found["submission"], found["uploads"]) == ("again", 2)


def test_hunt_scores_as_a_label_of_that_prompt_would(ask, draft):
    hunted = json.loads(ask("hunt", "a slot machine", "--top", 1, "--json").out)["found"][0]
    draft.write_text(with_category(GAMBLING.replace(", a playing card joker", "")), encoding="utf-8")
    flips = json.loads(ask("compare", "live", draft, "--json").out)["flips"]
    scored = next(flip for flip in flips if flip["submission"] == "slot-machine.jpg")["labels"][0]["new"]
    assert hunted["score"] == pytest.approx(scored["score"], abs=1e-6)
    assert (hunted["cosine"], hunted["background"]) == (
        pytest.approx(scored["prompt_cosine"], abs=1e-6),
        scored["background"],
    )


def test_hunt_prints_a_table_and_draws_a_contact_sheet(ask, tmp_path):
    sheet = tmp_path / "owls.html"
    result = ask("hunt", "an owl", "--top", 3, "--html", sheet)
    assert result.exit_code == 0
    assert "nearest background" in result.out
    assert "post of owl.jpg" in result.out
    page = sheet.read_text(encoding="utf-8")
    assert page.count("data:image/webp;base64,") == 3
    assert "an owl" in page
