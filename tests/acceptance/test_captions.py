"""A platform sends captions with its pictures: by command, as a form and as JSON, and reviewers find out why."""

import json

import pytest
from moderation_demo import PICTURES
from support.deployment import deploy
from support.web_api import Api, make_key, serving_api

SKULL = PICTURES / "skull-and-candle.jpg"
#: The picture alone scores 0.13 for weapons.
POLICY = """
name: captioned
templates: ["a sticker of {}", "a picture of {}"]
background: [a pizza, an owl, a bicycle, a house, a person]
labels:
  weapons:
    prompts: [a rifle, a sword]
    words: [ak-47]
    review: 0.3
    block: 0.9
text: true
"""
CAPTION = "Cheap AK_47 for sale"
WHY = '; its text adds 2.0 (the word "ak-47")'


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.exhaustive)])
def deployment(request, tmp_path, redis_url):
    database_url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    made = deploy(tmp_path, redis_url, database_url, policy="captioned")
    made.policy_file.write_text(POLICY, encoding="utf-8")
    yield made
    made.database.dispose()


@pytest.mark.slow
def test_a_caption_raises_a_score_whichever_way_it_comes(deployment, moderate):
    settings = deployment.settings
    shared = {name: getattr(settings, name) for name in ("database_url", "broker_url", "queue", "policies")}
    deployment.save_picture("skull.jpg", SKULL.read_bytes())

    def command(*arguments):
        result = moderate(*arguments, **shared, policy="captioned", media_root=settings.media_root)
        assert result.exit_code == 0, result.err
        return result.out

    command("policy", "check", deployment.policy_file, "--no-model")
    skull = settings.media_root / "skull.jpg"
    command("submit", skull, "--id", "by-command", "--text", CAPTION)
    command("submit", skull, "--id", "alone")
    with serving_api(settings) as (url, _):
        api = Api(url, make_key(deployment.database))
        form = {"id": "as-form", "text": CAPTION}
        assert (
            api.post(
                "/v1/submissions", files={"picture": ("a.jpg", SKULL.read_bytes())}, data=form
            ).status_code
            == 202
        )
        as_json = {"id": "as-json", "text": CAPTION, "source": {"kind": "file", "path": "skull.jpg"}}
        assert api.post("/v1/submissions", json=as_json).status_code == 202
        assert api.post("/v1/submissions", json=as_json | {"text": "another"}).status_code == 409
        too_long = api.post("/v1/submissions", json=as_json | {"id": "long", "text": "x" * 2001})
        assert (too_long.status_code, too_long.json()["detail"]) == (
            422,
            "a text has at most 2,000 characters, not 2,001",
        )
        with deployment.worker():
            decided = deployment.decided(["by-command", "alone", "as-form", "as-json"])
        by_id = {one.submission_id: one for one in decided}
        assert by_id.pop("alone").action == "allow"
        assert all((one.action, one.text) == ("review", CAPTION) for one in by_id.values())
        assert all(one.reason.endswith(WHY) for one in by_id.values())
        seen = api.get("/v1/submissions/as-json").json()
        assert (seen["text"], seen["decision"]["text"], seen["decision"]["scores"][0]["text_added"]) == (
            CAPTION,
            CAPTION,
            2.0,
        )
    (explained,) = json.loads(command("explain", "as-form", "--json"))
    assert explained["identical"], explained
    assert (explained["text"], explained["scores"][0]["text_word"]) == (CAPTION, "ak-47")
    (listed,) = [one for one in json.loads(command("decisions", "--json")) if one["submission"] == "as-json"]
    assert (listed["text"], listed["reason"].endswith(WHY)) == (CAPTION, True)
