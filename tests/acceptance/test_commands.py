"""The command line as people use it: what it prints, how it ends, and what it says when something is wrong."""

import csv
import io
import json
import os
from pathlib import Path

import pytest
import torch
import transformers
from moderation_demo import MODEL, PICTURES
from support.models import make_model
from support.pictures import drawing, encoded

from worker import resources

POLICIES = resources.folder("policies")
COMMANDS = (
    ["classify"],
    ["scan"],
    ["evaluate"],
    ["submit"],
    ["worker"],
    ["decisions"],
    ["explain"],
    ["policy", "check"],
    ["policy", "status"],
    ["policy", "shadow"],
    ["policy", "test"],
    ["policy", "schema"],
    ["policy", "compare"],
    ["policy", "hunt"],
    ["policy", "suggest"],
    ["model", "export"],
    ["db", "upgrade"],
    ["demo"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_says_how_it_is_used_and_how_it_ends(moderate, command):
    result = moderate(*command, "--help")
    assert result.exit_code == 0
    assert f"moderate {' '.join(command)}" in result.out
    assert "Exit codes" in result.out


def test_classify_ranks_labels(moderate):
    result = moderate("classify", PICTURES / "pizza.jpg", "--labels", "pizza,owl,bicycle", "--json")
    assert result.exit_code == 0
    (picture,) = json.loads(result.out)
    assert picture["file"].endswith("pizza.jpg")
    scores = [entry["score"] for entry in picture["scores"]]
    assert picture["scores"][0]["label"] == "pizza"
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-4)


def test_classify_shows_the_figures_of_transformers_pipeline_under_the_defaults_of_a_user(
    moderate, monkeypatch
):
    monkeypatch.delenv("MODERATION_PRECISION", raising=False)
    # Hardware on which workers compute in bfloat16.
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    files, labels = (
        [PICTURES / "pizza.jpg", PICTURES / "kitchen-knife.jpg"],
        ["a spoon", "a plate", "something"],
    )
    result = moderate("classify", *files, "--labels", ",".join(labels), "--json")
    ours = [{one["label"]: one["score"] for one in found["scores"]} for found in json.loads(result.out)]
    model = MODEL
    pipeline = transformers.pipeline("zero-shot-image-classification", str(model), dtype=torch.float32)
    for found, file in zip(ours, files, strict=True):
        theirs = pipeline(str(file), labels, hypothesis_template="This is a photo of {}.")
        assert max(theirs, key=lambda one: one["score"])["score"] < 0.999, "rounding would show"
        assert found == pytest.approx({one["label"]: one["score"] for one in theirs}, abs=1e-5)


def test_classify_prints_a_table_for_people(moderate):
    result = moderate("classify", PICTURES / "pizza.jpg", PICTURES / "owl.jpg", "--labels", "pizza, owl")
    assert result.exit_code == 0
    assert "best label" in result.out
    assert "pizza.jpg" in result.out


def test_classify_goes_on_after_a_broken_picture_and_says_so(moderate):
    broken, good = PICTURES / "broken-upload.jpg", PICTURES / "owl.jpg"
    result = moderate("classify", broken, good, "--labels", "owl,pizza", "--json")
    assert result.exit_code == 1
    assert [bool(entry["scores"]) for entry in json.loads(result.out)] == [False, True]
    assert "broken-upload.jpg: " in result.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such.jpg", "--labels", "a,b"], "no such file or folder: no-such.jpg"),
        ([PICTURES / "owl.jpg", "--labels", " , "], "there are no labels"),
        ([PICTURES / "owl.jpg", "--labels", "a", "--template", "a photo"], "has no {}"),
    ],
)
def test_classify_refuses_wrong_usage(moderate, arguments, words):
    result = moderate("classify", *arguments)
    assert (result.exit_code, result.out) == (2, "")
    assert words in result.err


def test_a_model_that_is_not_zero_shot_is_refused_with_its_name(moderate, tmp_path):
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    result = moderate("classify", PICTURES / "owl.jpg", "--labels", "a", "--model", tmp_path / "bert")
    assert result.exit_code == 3
    assert "bert" in result.err
    assert "hint:" in result.err


def test_another_family_of_models_is_loaded_by_the_same_command(moderate, tmp_path):
    folder = make_model("siglip2", tmp_path / "siglip2")
    result = moderate("classify", PICTURES / "owl.jpg", "--labels", "a,b", "--model", folder, "--json")
    assert result.exit_code == 0
    assert len(json.loads(result.out)[0]["scores"]) == 2


def test_scan_judges_by_the_policy(moderate):
    names = ["crossed-swords.webp", "pizza.jpg", "empty.png", "not-a-picture.jpg", "violin-that-is-a-png.jpg"]
    result = moderate("scan", *(PICTURES / name for name in names), "--json", policies=POLICIES)
    assert result.exit_code == 0
    judged = {Path(entry["file"]).name: entry for entry in json.loads(result.out)}
    assert list(judged) == names
    assert "weapons" in judged["crossed-swords.webp"]["labels"]
    assert judged["pizza.jpg"]["action"] == "allow"
    assert (judged["empty.png"]["action"], judged["empty.png"]["scores"]) == ("review", [])
    assert "not judged" in judged["not-a-picture.jpg"]["reason"]
    assert judged["violin-that-is-a-png.jpg"]["scores"]
    swords = {score["label"]: score for score in judged["crossed-swords.webp"]["scores"]}["weapons"]
    assert f'"{swords["prompt"]}" beat "{swords["background"]}"' in judged["crossed-swords.webp"]["reason"]


def test_scan_prints_a_table_and_a_sum(moderate):
    result = moderate("scan", PICTURES / "pizza.jpg", PICTURES / "empty.png", policies=POLICIES)
    assert result.exit_code == 0
    assert "1 allow, 1 review" in result.out


def test_scan_prints_values_for_spreadsheets(moderate, tmp_path, monkeypatch):
    (tmp_path / "=HYPERLINK(1).png").write_bytes((PICTURES / "pizza.jpg").read_bytes())
    monkeypatch.chdir(tmp_path)
    result = moderate("scan", "=HYPERLINK(1).png", PICTURES / "empty.png", "--csv", policies=POLICIES)
    assert result.exit_code == 0
    pizza, empty = csv.DictReader(io.StringIO(result.out))
    assert (pizza["file"], pizza["action"], empty["action"]) == ("./=HYPERLINK(1).png", "allow", "review")
    assert 0 <= float(pizza["weapons"]) <= 1
    assert (empty["weapons"], empty["labels"]) == ("", "")
    both = moderate("scan", PICTURES / "pizza.jpg", "--csv", "--json")
    assert both.exit_code == 2
    assert "--json and --csv" in both.err


def test_an_unknown_policy_is_named_with_those_there_are(moderate):
    result = moderate("scan", PICTURES / "pizza.jpg", "--policy", "sticker", policies=POLICIES)
    assert result.exit_code == 2
    assert "sticker" in result.err
    assert "stickers" in result.err


def test_policy_check_shows_every_problem_with_its_place(moderate, tmp_path):
    broken = tmp_path / "stickers.yaml"
    text = (POLICIES / "stickers.yaml").read_text(encoding="utf-8")
    broken.write_text(text.replace("review: 0.5", "treshold: 0.5").replace("severity: 5", "severity: 9"))
    result = moderate("policy", "check", broken, POLICIES / "stickers.yaml")
    assert result.exit_code == 1
    assert 'unknown key "treshold"' in result.err
    assert f"{broken}:" in result.err
    assert "severity" in result.err
    assert "stickers.yaml: no problems" in result.out


def test_decisions_without_a_database_says_how_to_make_one(moderate):
    result = moderate("decisions")
    assert result.exit_code == 3
    assert "moderate db upgrade" in result.err


def test_an_unreachable_database_is_named_without_its_password(moderate):
    result = moderate("decisions", database_url="postgresql://moderator:secret@127.0.0.1:1/uploads")
    assert result.exit_code == 3
    assert "127.0.0.1" in result.err
    assert "secret" not in result.err


def test_a_fresh_database_has_no_decisions(moderate):
    assert moderate("db", "upgrade").exit_code == 0
    assert "tables are up to date" in moderate("db", "upgrade").out
    result = moderate("decisions")
    assert result.exit_code == 0
    assert "no decisions yet" in result.out


def test_submit_without_redis_names_it_and_the_way_out(moderate, tmp_path):
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.png").write_bytes(encoded(drawing(), "PNG"))
    result = moderate("submit", tmp_path / "media" / "a.png")
    assert (result.exit_code, result.out) == (3, "")
    assert "redis://127.0.0.1:1/0" in result.err
    assert "MODERATION_BROKER_URL" in result.err


@pytest.mark.parametrize(
    ("policy", "words"),
    [("sticker", 'did you mean "stickers"?'), ("strict", 'the policy "strict" is a shadow')],
)
def test_submit_refuses_an_unknown_policy_and_a_shadow_before_it_sends_anything(
    moderate, tmp_path, policy, words
):
    for name, end in (("stickers", ""), ("strict", "shadow: true\n")):
        text = f"name: {name}\nbackground: [a person]\nlabels: {{weapons: {{prompts: [a gun]}}}}\n{end}"
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    # There is no Redis: trying it would end with 3.
    result = moderate("submit", "--inline", PICTURES / "owl.jpg", "--policy", policy, policies=tmp_path)
    assert (result.exit_code, result.out) == (2, "")
    assert words in result.err
    assert moderate("submit", "--inline", PICTURES / "owl.jpg", "--policy", "stickers").exit_code == 3


def test_submit_leaves_the_policy_to_the_workers_where_their_folder_is_not_here(moderate, tmp_path):
    arguments = ("submit", "--inline", PICTURES / "owl.jpg", "--policy", "uploads")
    assert moderate(*arguments, policies=tmp_path / "elsewhere").exit_code == 3


def test_submit_refuses_a_file_outside_the_media_root(moderate, tmp_path):
    (tmp_path / "media").mkdir()
    result = moderate("submit", PICTURES / "owl.jpg")
    assert result.exit_code == 2
    assert "is not under the media root" in result.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ftp://cdn.example.com/cat.jpg?5ec7e7"], "begins with https:// or http://"),
        (["https://user:5ec7e7@cdn.example.com/"], "cannot carry a user name"),
        (["https://cdn.example.com/", "no-such.jpg"], "no such file or folder: no-such.jpg"),
        (["https://cdn.example.com/", "--context", "[1]"], "--context is not a JSON object"),
        (["https://cdn.example.com/", "--context", "{"], "--context is not a JSON object"),
        (["https://cdn.example.com/", "--context", '{"a": NaN}'], "an object of plain JSON"),
        (["https://cdn.example.com/", "--policy", "No!"], "is not a policy name"),
        (["--store", "s3://bucket", "cat.jpg"], "is not the name of a store"),
        (["--store", "uploads", "../cat.jpg"], "an empty part, . or .."),
        (["https://cdn.example.com/"], "the host cdn.example.com is not allowed here"),
        (["--store", "uploads", "cat.jpg"], "no object store 'uploads' is configured here"),
        (["--store", "uploads", "--inline", "cat.jpg"], "either in a store or sent --inline"),
    ],
)
def test_submit_refuses_what_no_worker_could_take_before_it_asks_for_redis(
    moderate, tmp_path, arguments, words
):
    (tmp_path / "media").mkdir()
    result = moderate("submit", *arguments)
    assert (result.exit_code, result.out) == (2, "")
    assert words in result.err
    assert "5ec7e7" not in result.err


def test_a_setting_that_does_not_fit_is_named(moderate):
    result = moderate("scan", PICTURES, batch_size="lots")
    assert result.exit_code == 2
    assert "MODERATION_BATCH_SIZE" in result.err


@pytest.mark.parametrize("url", ["reids://127.0.0.1/0", "redis://localhost:637x", "localhost:6379", ""])
def test_an_address_that_is_no_brokers_is_refused(moderate, tmp_path, url):
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.png").write_bytes(encoded(drawing(), "PNG"))
    result = moderate("submit", tmp_path / "media", broker_url=url)
    assert result.exit_code == 2
    assert "is not a broker URL" in result.err


def test_an_inline_file_that_is_too_large_is_named(moderate, tmp_path):
    (tmp_path / "large.bmp").write_bytes(bytes(300_000))
    result = moderate("submit", "--inline", tmp_path / "large.bmp")
    assert result.exit_code == 2
    assert "large.bmp: the picture has 300,000 bytes" in result.err


def test_names_that_look_like_markup_or_are_no_unicode_are_shown(moderate, tmp_path):
    for name in (b"[red]a.png", b"caf\xe9.png"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(encoded(drawing(), "PNG"))
    result = moderate("scan", tmp_path, policies=POLICIES)
    assert result.exit_code == 0
    assert "[red]a.png" in result.out
    assert moderate("classify", tmp_path, "--labels", "[/b],b").exit_code in {0, 1}


def test_the_demo_leaves_a_folder_alone_that_is_not_its_own(moderate, tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"precious")
    result = moderate("demo", "--folder", tmp_path)
    assert result.exit_code == 2
    assert "is not empty" in result.err
    assert (tmp_path / "holiday.jpg").read_bytes() == b"precious"


def test_scan_draws_a_contact_sheet(moderate, tmp_path):
    sheet = tmp_path / "scan.html"
    files = [PICTURES / name for name in ("kitchen-knife.jpg", "pizza.jpg", "empty.png")]
    result = moderate("scan", *files, "--html", sheet, policies=POLICIES)
    assert result.exit_code == 0, result.err
    page = sheet.read_text(encoding="utf-8")
    assert page.index("kitchen-knife.jpg") < page.index("pizza.jpg")
    assert (page.count("data:image/webp;base64,"), page.count("not judged</div>")) == (2, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["scan.html"]
