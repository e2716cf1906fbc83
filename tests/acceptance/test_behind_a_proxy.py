"""The desk and the API behind a proxy: under a path, over kept connections, for probes and both families."""

import http.client
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from support.browser import running_chromium
from support.desk import PASSWORD, desk_rows, scores
from support.web_api import make_key, serving_api

from worker.cli.operations.web import _listening, _serve
from worker.domain.accounts.reviewer import Role
from worker.web.api.service import open_web_service

PATH = "/moderation"


@contextmanager
def proxying(port: int, *, cuts: bool) -> Iterator[str]:
    """Serve another server under a path, as nginx does with and without a slash behind `proxy_pass`."""

    class Proxy(BaseHTTPRequestHandler):
        def _forward(self) -> None:
            if not self.path.startswith(f"{PATH}/"):
                self.send_error(404, "nothing of ours")
                return
            path = self.path.removeprefix(PATH) if cuts else self.path
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name: value for name, value in self.headers.items() if name != "Connection"}
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as upstream:
                upstream.request(self.command, path, body, headers)
                answer = upstream.getresponse()
                data = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"connection", "transfer-encoding", "date"}:
                    self.send_header(name, value)
            self.end_headers()
            # The browser may have gone on to another page.
            with suppress(OSError):
                self.wfile.write(data)

        do_GET = do_POST = do_HEAD = _forward  # noqa: N815 - the names that the library calls

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture
def rows(tmp_path):
    with desk_rows(tmp_path, web_root_path=PATH) as made:
        made.person("lea", Role.LEAD)
        yield made


@pytest.mark.parametrize("cuts", [True, pytest.param(False, marks=pytest.mark.exhaustive)])
def test_the_whole_desk_works_under_a_path(rows, cuts):
    for name in ("one", "two", "three"):
        rows.item(name, scores(weapons=0.8))
    strayed = []
    with (
        serving_api(rows.settings) as (url, _),
        proxying(int(url.rpartition(":")[2]), cuts=cuts) as outside,
        running_chromium() as browser,
    ):
        page = browser.new_context(base_url=outside).new_page()
        page.set_default_timeout(30_000)
        page.on(
            "response",
            lambda answer: strayed.append((answer.status, answer.url)) if answer.status >= 400 else None,
        )
        page.goto(f"{PATH}/review")
        page.get_by_label("Name").fill("lea")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Queue").wait_for()
        cookies = {one["name"]: one["path"] for one in page.context.cookies()}
        assert set(cookies.values()) == {f"{PATH}/review"}
        page.keyboard.press("n")
        page.locator("#verdict-form[data-ahead]").wait_for()
        width = "async (picture) => { await picture.decode(); return picture.naturalWidth }"
        assert page.locator("#picture").evaluate(width) > 0
        with page.expect_response("**/renew") as renewed:
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        assert renewed.value.ok
        page.keyboard.press("a")
        page.get_by_label("Your last verdict").get_by_text("You allowed").wait_for()
        page.keyboard.press("u")
        page.locator("#verdict-form[data-ahead]").wait_for()
        page.get_by_role("link", name=re.compile("one|two|three")).first.click()
        page.locator(".timeline").wait_for()
        page.get_by_role("link", name="Overview").click()
        page.get_by_role("heading", name="Overview").wait_for()
        for address in page.locator("[href], [src], [action]").evaluate_all(
            "all => all.map(one => one.getAttribute('href') || one.getAttribute('src') || one.getAttribute('action'))"
        ):
            assert address.startswith((f"{PATH}/review", "#", "?")), address
        page.locator(".me summary").click()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Password").wait_for()
    assert strayed == []


@pytest.mark.parametrize("cuts", [True, False])
def test_the_api_says_where_it_is_and_probes_come_without_the_path(rows, cuts):
    headers = {"Authorization": f"Bearer {make_key(rows.database)}"}
    with (
        serving_api(rows.settings) as (inside, _),
        proxying(int(inside.rpartition(":")[2]), cuts=cuts) as outside,
    ):
        accepted = requests.post(
            f"{outside}{PATH}/v1/submissions",
            json={"source": {"kind": "file", "path": "a.png"}},
            headers=headers,
            timeout=60,
        )
        assert accepted.status_code == 202
        location = accepted.headers["Location"]
        assert location.startswith(f"{PATH}/v1/submissions/")
        assert requests.get(outside + location, headers=headers, timeout=60).status_code == 200
        described = requests.get(f"{outside}{PATH}/openapi.json", timeout=60).json()
        assert described["servers"] == [{"url": PATH}]
        assert requests.get(f"{inside}/healthz", timeout=60).json() == {"status": "alive"}
        metrics = requests.get(f"{inside}/metrics", timeout=60).text
        assert 'route="/v1/submissions",status="202"' in metrics
        assert 'route="/healthz",status="200"' in metrics
        assert requests.get(f"{outside}{PATH}/nothing", timeout=60).status_code == 404


def test_head_is_get_without_a_body(rows):
    with serving_api(rows.settings) as (url, _):
        for path in ("/healthz", "/metrics", "/review/login", "/openapi.json"):
            get, head = requests.get(url + path, timeout=60), requests.head(url + path, timeout=60)
            assert (head.status_code, head.content) == (get.status_code, b""), path
            assert head.headers["Content-Type"] == get.headers["Content-Type"]
        assert requests.head(f"{url}/readyz", timeout=60).status_code in {200, 503}
        assert requests.head(f"{url}/v1/decisions", timeout=60).status_code == 401
        # One connection answers on after a HEAD.
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        for method in ("HEAD", "GET", "HEAD", "GET"):
            connection.request(method, "/healthz")
            answer = connection.getresponse()
            assert (answer.status, bool(answer.read())) == (200, method == "GET")
        connection.close()


def test_the_any_address_of_ipv6_takes_both_families():
    with _listening("::", 0) as listener:
        port = listener.getsockname()[1]
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, port), timeout=10).close()
    with _listening("::1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), timeout=10)


def test_an_idle_connection_is_kept_longer_than_the_usual_proxies_keep_theirs(rows, monkeypatch):
    kept = []
    monkeypatch.setattr(
        "uvicorn.Server.run", lambda server, **_: kept.append(server.config.timeout_keep_alive)
    )
    for seconds in (75, 4):
        settings = rows.settings.model_copy(update={"web_keepalive_seconds": seconds})
        with open_web_service(settings) as service, _listening("127.0.0.1", 0) as listener:
            _serve(service, listener)
    assert kept == [75, 4]
    assert rows.settings.web_keepalive_seconds > 60
