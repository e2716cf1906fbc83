"""The documentation is true: its snippets work as they stand, and its site builds without a broken link."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import redis
from support.forked_commands import forked_commands
from support.page_run import page_run
from support.snippets import PageError, parse, render, snippets

from docgen.markdown import anchor
from docgen.pages import PAGES, write_pages

ROOT = Path(__file__).parents[2]
GENERATED = {f"docs/reference/{name}" for name in PAGES}
DOCS = sorted({str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")} - GENERATED)
WITH_SNIPPETS = ("README.md", *DOCS, "policies/README.md", "client/README.md")
#: Programs beside ours that pages use; a page is skipped if one of them is not installed here.
PROGRAMS = ("curl", "jq", "node", "redis-cli")
#: Pages whose snippets every run tries; those of the others are tried by `make test-all`.
IN_EVERY_RUN = {
    "README.md",
    "docs/tutorial.md",
    "policies/README.md",
    "client/README.md",
}
MOST_WORDS = 60
#: A database of Redis that no other test uses.
REDIS_DATABASE = 9


@pytest.fixture(scope="session")
def commands(tmp_path_factory):
    with forked_commands(tmp_path_factory.mktemp("commands")) as folder:
        yield folder


@pytest.fixture
def environment(redis_url, commands):
    """Return a reader's environment: the command, a Redis, and defaults for all else."""
    broker_url = redis_url.removesuffix("/0") + f"/{REDIS_DATABASE}"
    yield {
        **{name: value for name, value in os.environ.items() if not name.startswith("MODERATION_")},
        "PATH": f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MODERATION_BROKER_URL": broker_url,
    }
    with redis.Redis.from_url(broker_url) as connection:
        connection.flushdb()


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=() if page in IN_EVERY_RUN else pytest.mark.exhaustive)
        for page in WITH_SNIPPETS
    ],
)
def test_every_snippet_works_as_it_stands(page, tmp_path, environment):
    found = snippets(ROOT / page)
    commands = " ".join(one.text for one in found if one.language == "sh" and not one.not_run)
    used = [name for name in PROGRAMS if re.search(rf"\b{name}\b", commands)]
    missing = [name for name in used if not shutil.which(name, path=environment["PATH"])]
    if missing:
        pytest.skip(f"{page} needs {', '.join(missing)}")
    with page_run(tmp_path, environment) as run:
        for snippet in found:
            run(snippet)


@pytest.fixture
def page(tmp_path):
    """Return what makes a page of a text."""

    def write(text):
        (tmp_path / "page.md").write_text(text, encoding="utf-8")
        return tmp_path / "page.md"

    return write


@pytest.fixture
def follow(page, tmp_path):
    """Return what runs the snippets of a text."""

    def run_all(text):
        with page_run(tmp_path, os.environ) as run:
            for snippet in snippets(page(text)):
                run(snippet)
        return run.folder

    return run_all


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("# A\n\n```sh\ntrue\nfalse\ntrue\n```\n", 3, "exit code 1"),
        ("```python\nprint(undefined)\n```\n", 1, "NameError"),
        ("1. One\n\n   ```json\n   {'a': 1}\n   ```\n", 3, "this is not json"),
        ("```yaml\na: b: c\n```\n", 1, "this is not yaml"),
        ("<!-- file: a.py -->\n```python\ndef\n```\n", 2, "a.py is not Python"),
        (
            "<!-- in background, wait for: ready -->\n```sh\necho starting\n```\n",
            2,
            "it ended with exit code 0",
        ),
        ("```\nls\n```\n", 1, "has no language"),
        ("Text\n\n    ls\n", 3, "has no language"),
        ("```cobol\nSTOP RUN.\n```\n", 1, "nothing here can run cobol"),
        ("<!-- skip -->\n```sh\ntrue\n```\n", 1, "unknown directive: skip"),
        ("<!-- not run: -->\n```sh\ntrue\n```\n", 1, "unknown directive"),
        ("<!-- not run: needs root -->\n\n```sh\ntrue\n```\n", 1, "no block of code is directly below"),
    ],
)
def test_a_snippet_that_fails_is_named_with_its_page_and_line(follow, text, line, problem):
    with pytest.raises(PageError) as error:
        follow(text)
    assert re.match(rf"\S+/page\.md:{line}: ", str(error.value))
    assert problem in str(error.value)


def test_a_policy_with_a_mistake_is_named(page, tmp_path, environment):
    text = "```yaml\nlabels:\n  weapons: {prompts: [a gun], reviews: 0.5}\n```\n"
    with page_run(tmp_path, environment) as run, pytest.raises(PageError, match=r"page\.md:1: exit code 1"):
        run(*snippets(page(text)))


def test_files_are_written_and_what_is_in_the_background_runs_until_the_page_ends(follow):
    folder = follow(
        "<!-- file: deep/a.py -->\n```python\nprint('a')\n```\n\n"
        "<!-- in background, wait for: ready, set -->\n"
        "```sh\ntrap 'touch stopped; exit' TERM\necho ready, set\nwhile true; do sleep 0.1; done\n```\n\n"
        "<!-- not run: needs a cluster -->\n```sh\ntouch run\n```\n\n"
        "```sh\npython deep/a.py | grep a\ntest ! -e stopped\n```\n"
    )
    assert sorted(file.name for file in folder.iterdir()) == ["deep", "stopped"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the folder in which the site is built from a copy of the pages, and what the build said."""
    folder = tmp_path_factory.mktemp("documentation")
    shutil.copy(ROOT / "zensical.toml", folder)
    shutil.copytree(ROOT / "docs", folder / "docs")
    write_pages(folder / "docs" / "reference")
    command = [Path(sys.executable).with_name("zensical"), "build", "--strict"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    return folder, run


def test_the_site_is_built_without_a_broken_link(site):
    folder, run = site
    assert run.returncode == 0, run.stdout + run.stderr
    assert (folder / "site" / "index.html").is_file()


def test_every_page_is_in_the_navigation_once(site):
    folder, _ = site
    navigation = tomllib.loads((folder / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    pages = [str(page.relative_to(folder / "docs")) for page in (folder / "docs").rglob("*.md")]
    assert sorted(targets(navigation)) == sorted(pages)


def targets(navigation):
    for entry in navigation:
        for target in entry.values():
            yield from [target] if isinstance(target, str) else targets(target)


def test_the_site_shows_the_blocks_that_other_viewers_of_markdown_show(site):
    """Lists without an empty line above, or code in a list, look different to Python-Markdown if indented less."""
    folder, _ = site
    for page in (folder / "docs").rglob("*.md"):
        built = (folder / "site" / page.relative_to(folder / "docs")).with_suffix(".html")
        article = built.read_text(encoding="utf-8").partition("<article")[2].partition("</article>")[0]
        assert blocks(article) == blocks(render(page.read_text(encoding="utf-8"))), page


def blocks(html):
    return {
        tag: len(re.findall(rf"<{tag}\b", html)) for tag in ("h2", "h3", "li", "p", "pre", "table", "img")
    }


def test_a_built_page_loads_nothing_from_the_network(site):
    folder, _ = site
    pages = list((folder / "site").rglob("*.html"))
    assert len(pages) > len(GENERATED)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"""\bsrc=["']?(?:https?:)?//[^"'\s>]*""", text) == [], page
        assert re.findall(r"""<link\b[^>]*\bhref=["']?(?:https?:)?//[^>]*""", text) == [], page
    for sheet in (folder / "site").rglob("*.css"):
        assert re.findall(r"url\(['\"]?https?:|@import", sheet.read_text(encoding="utf-8")) == [], sheet


@pytest.mark.parametrize("page", sorted({"README.md", *DOCS, "policies/README.md", "client/README.md"}))
def test_every_relative_link_of_a_page_leads_somewhere(page):
    for line, target in links(ROOT / page):
        path, _, fragment = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        if str(Path(os.path.normpath(file)).relative_to(ROOT)) in GENERATED:
            continue
        assert file.exists(), f"{page}:{line}: there is no {target}"
        if fragment and file.suffix == ".md":
            assert fragment in anchors(file), f"{page}:{line}: {path} has no heading for #{fragment}"


def links(page):
    """Yield the line and the target of each link and picture that is not a URL."""
    for token in parse(page.read_text(encoding="utf-8")):
        for child in token.children or []:
            target = str(child.attrs.get("href") or child.attrs.get("src") or "")
            if target and "://" not in target:
                yield token.map[0] + 1, target


def anchors(page):
    tokens = parse(page.read_text(encoding="utf-8"))
    return {anchor(shown(tokens[n + 1])) for n, one in enumerate(tokens) if one.type == "heading_open"}


def shown(inline):
    return "".join(child.content for child in inline.children or [])


@pytest.mark.parametrize("page", sorted({"README.md", *DOCS}))
def test_no_paragraph_has_more_than_sixty_words(page):
    tokens = parse((ROOT / page).read_text(encoding="utf-8"))
    for number, token in enumerate(tokens):
        if token.type == "paragraph_open":
            text = " ".join(child.content or " " for child in tokens[number + 1].children or [])
            assert len(text.split()) <= MOST_WORDS, f"{page}:{token.map[0] + 1}: {text}"
