"""The generated references leave nothing out, and each says what the thing means."""

import re
from functools import cache

import pytest
import yaml
from markdown_it import MarkdownIt

from docgen import cli, events, metrics, policy
from docgen.pages import PAGES, write_pages
from worker.domain.operations.event_type import EventType
from worker.policy_files.parser import parse_policy
from worker.policy_files.rules.json_schema import json_schema
from worker.settings import Settings
from worker.store.engine.tables import Row
from worker.web.app import create_app

EXAMPLE = "\n".join(part.example for part in policy.PARTS.values())


@cache
def made(name: str) -> str:
    """Return a page, made once: to import every command takes seconds."""
    return PAGES[name]()


def headings(page: str, level: int = 3) -> list[str]:
    tokens = MarkdownIt("commonmark").parse(page)
    return [
        "".join(child.content for child in tokens[number + 1].children or [])
        for number, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag == f"h{level}"
    ]


def rows(page: str) -> list[list[str]]:
    """Return the cells of all tables, without their headers."""
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    found: list[list[str]] = []
    for number, token in enumerate(tokens):
        if token.type == "tr_open":
            found.append([])
        elif token.type in {"td_open", "th_open"}:
            found[-1].append(tokens[number + 1].content)
    return found


def test_every_page_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("docgen.pages.PAGES", {"events.md": events.page})
    write_pages(tmp_path)
    assert (tmp_path / "events.md").read_text(encoding="utf-8") == made("events.md")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_with_a_sentence_and_lists_its_sections(name):
    tokens = MarkdownIt("commonmark").parse(made(name))
    kinds = [token.type for token in tokens if token.level == 0 and token.nesting >= 0]
    assert kinds[:2] == ["heading_open", "inline"] or kinds[0] == "heading_open"
    assert "paragraph_open" in kinds
    assert kinds.index("paragraph_open") < kinds.index("bullet_list_open")
    sections = headings(made(name), level=2)
    listed = re.findall(r"^- \[(.+?)\]\(#", made(name), re.MULTILINE)
    assert listed == sections


@pytest.mark.parametrize("name", PAGES)
def test_every_row_of_a_table_has_its_cells(name):
    for row in rows(made(name)):
        assert all(row), row


def test_every_setting_is_in_one_group():
    names = headings(made("settings.md"))
    assert sorted(names) == sorted(f"MODERATION_{name.upper()}" for name in Settings.model_fields)


def test_a_setting_says_its_default_and_its_limits():
    section = made("settings.md").partition("### MODERATION_BATCH_SIZE\n")[2].partition("\n###")[0]
    assert "Pictures in one pass" in section
    assert "Default: `16`. More than 0 and at most 1,024." in section


def test_every_command_has_a_section_with_its_usage():
    page = made("cli.md")
    leaves = [leaf.path for leaf in cli.moderate().leaves()]
    assert len(leaves) > 40
    assert {leaf for leaf in leaves if leaf.count(" ") == 1} <= set(headings(page, level=2))
    assert {leaf for leaf in leaves if leaf.count(" ") > 1} == set(headings(page))
    assert [leaf for leaf in leaves if f"```text\n{leaf}" not in page] == []


def test_a_command_shows_its_options_examples_and_exit_codes():
    section = made("cli.md").partition("\n## moderate scan\n")[2].partition("\n## ")[0]
    assert ["`--csv`", "Print comma-separated values, a column for each label's score."] in rows(section)
    assert "```sh\nmoderate scan uploads/\n" in section
    assert ["0", "done, whatever was flagged"] in rows(section)


def test_every_route_and_every_object_of_the_api_has_a_section():
    document = create_app(None).openapi()
    routes = [f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods]
    found = headings(made("http-api.md"))
    assert set(routes) <= set(found)
    assert set(document["components"]["schemas"]) <= {*found, *headings(made("webhooks.md"))}


def test_all_events_are_received_alike():
    hooks = create_app(None).openapi()["webhooks"].values()
    alike = [(methods["post"]["parameters"], methods["post"]["responses"]) for methods in hooks]
    assert all(one == alike[0] for one in alike)


def test_every_type_of_event_has_an_example():
    page = made("events.md")
    assert headings(page, level=2) == [kind.value for kind in EventType]
    assert [kind for kind in EventType if f'"type": "{kind.value}"' not in page] == []


def test_every_metric_is_listed_with_its_labels():
    worker, web = metrics.after_everything()
    names = {family.name for process in (worker, web) for family in process.registry.collect()}
    found = {name.removesuffix("_total") for name in headings(made("metrics.md"))}
    assert names <= found
    section = made("metrics.md").partition("### moderation_flagged_total\n")[2].partition("\n###")[0]
    assert "Counter. Labels: `policy`, `label`, `action`." in section


def test_every_alert_says_what_to_do():
    page = made("metrics.md")
    for rule in metrics.alerts():
        assert f"### {rule['alert']}\n" in page
    assert "{{" not in page.replace("```", "")


def test_every_table_and_column_is_listed_with_a_meaning():
    page = made("database.md")
    assert set(Row.metadata.tables) <= set(headings(page, level=2))
    for table in Row.metadata.tables.values():
        section = page.partition(f"\n## {table.name}\n")[2].partition("\n## ")[0]
        meanings = {row[0].strip("`"): row[-1] for row in rows(section)}
        assert [column.name for column in table.columns if not meanings.get(column.name)] == []


def test_every_key_of_a_policy_is_listed():
    schema = json_schema()
    keys = {row[0].strip("`") for row in rows(made("policy.md"))}
    for model in (schema, *schema["$defs"].values()):
        assert set(model.get("properties", {})) <= keys


def test_the_examples_of_keys_are_one_policy_that_uses_each_key_of_a_mapping():
    parsed = parse_policy(EXAMPLE, "policies/avatars.yaml")
    assert parsed.label("weapons").block == 0.95
    written, schema = yaml.safe_load(EXAMPLE), json_schema()
    assert set(written) == set(schema["properties"])
    labels = set().union(*written["labels"].values())
    assert labels == set(schema["$defs"]["LabelEntry"]["properties"])
