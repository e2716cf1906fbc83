"""A fake model hub on loopback, as far as the hub's client needs it; tests choose what goes wrong."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import pytest

HUB_ID: Final = "org/name"
COMMIT: Final = "c0ffee" + 34 * "1"
#: Files of at least this size are served by another host, and identified by their SHA-256.
_LARGE: Final = 10_000


@dataclass
class HubServer:
    """Content and faults of the hub."""

    url: str
    #: URL of the large files: another host name, to which no token may be sent.
    elsewhere: str
    #: The folder with the only commit of each repository.
    repositories: dict[str, Path] = field(default_factory=dict)
    #: Branches, tags and short commits.
    references: dict[str, str] = field(default_factory=lambda: {"main": COMMIT, "v1": COMMIT})
    commit: str = COMMIT
    #: If set, only clients with this token are served; a gated repository lists its files to everyone.
    token: str = ""
    is_gated: bool = False
    #: Whether listings have only the names of files.
    is_brief: bool = False
    #: If set, the status of every response.
    status: int = 0
    #: For each file, how often its connection breaks halfway.
    breaks: dict[str, int] = field(default_factory=dict)
    #: For each file, damaged content that is served instead.
    damages: dict[str, bytes] = field(default_factory=dict)
    #: Files whose download stalls halfway until `go_on` is set.
    stalls: set[str] = field(default_factory=set)
    go_on: Event = field(default_factory=Event)
    asked: list[str] = field(default_factory=list)
    #: Hosts that received the token.
    token_hosts: set[str] = field(default_factory=set)

    def hold(self, folder: Path, hub_id: str = HUB_ID) -> None:
        """Add a repository with the files of a folder."""
        self.repositories[hub_id] = folder

    def downloads(self) -> list[str]:
        """Return the files that were sent, with the requested range."""
        return [one.removeprefix("GET file ") for one in self.asked if one.startswith("GET file ")]


@contextmanager
def running_hub() -> Iterator[HubServer]:
    """Run the hub; yield its content and faults, which tests may change."""
    server = _Server(("127.0.0.1", 0), _Handler)
    port = server.server_port
    server.hub = hub = HubServer(f"http://127.0.0.1:{port}", f"http://localhost:{port}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


def use_hub(patch: pytest.MonkeyPatch, url: str, cache: Path) -> None:
    """Make this process use the hub at `url`, with its cache in `cache`."""
    for name, value in {
        "ENDPOINT": url,
        # The client reads both from the environment at import.
        "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_OFFLINE": False,
    }.items():
        patch.setattr(f"huggingface_hub.constants.{name}", value)
    patch.delenv("HF_TOKEN", raising=False)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.server.hub, unquote(urlsplit(self.path).path)
        if self.headers.get("Authorization"):
            hub.token_hosts.add(self.headers["Host"].partition(":")[0])
        if hub.status:
            self._answer(hub.status)
        elif path.startswith("/large/"):
            self._send(*path.removeprefix("/large/").rsplit("/", 1))
        elif self._may_enter(path):
            self._serve(path)

    def _may_enter(self, path: str) -> bool:
        hub = self.server.hub
        is_open = not hub.token or (hub.is_gated and path.startswith("/api/"))
        if is_open or self.headers.get("Authorization") == f"Bearer {hub.token}":
            return True
        code = "GatedRepo" if hub.is_gated else "RepoNotFound"
        self._answer(403 if hub.is_gated else 401, headers={"X-Error-Code": code})
        return False

    def _serve(self, path: str) -> None:
        hub_id, action, revision, file = _parts(path)
        hub = self.server.hub
        if hub_id not in hub.repositories:
            self._answer(404, headers={"X-Error-Code": "RepoNotFound"})
        elif hub.references.get(revision, revision) != hub.commit:
            self._answer(404, headers={"X-Error-Code": "RevisionNotFound"})
        elif action == "resolve":
            self._resolve(hub_id, file)
        else:
            hub.asked.append(f"{self.command} {action} {revision}")
            entries = [_entry(one) for one in sorted(hub.repositories[hub_id].rglob("*")) if one.is_file()]
            self._answer(200, _listing(hub_id, hub, entries) if action == "revision" else entries)

    def _resolve(self, hub_id: str, name: str) -> None:
        hub = self.server.hub
        file = hub.repositories[hub_id] / name
        if not file.is_file():
            self._answer(404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": hub.commit})
        elif file.stat().st_size >= _LARGE:
            facts = {
                "Location": f"{hub.elsewhere}/large/{hub_id}/{name}",
                "X-Repo-Commit": hub.commit,
                "X-Linked-Etag": f'"{_entry(file)["lfs"]["sha256"]}"',
                "X-Linked-Size": str(file.stat().st_size),
            }
            self._answer(302, headers=facts)
        else:
            self._send(hub_id, name)

    def _send(self, hub_id: str, name: str) -> None:
        hub = self.server.hub
        file = hub.repositories[hub_id] / name
        data = hub.damages.get(name, file.read_bytes())
        wanted = self.headers.get("Range", "")
        first = int(wanted.removeprefix("bytes=").partition("-")[0] or 0) if wanted else 0
        if self.command == "GET":
            hub.asked.append(f"GET file {name} from {first}")
        facts = {"ETag": f'"{_git_id(file)}"', "X-Repo-Commit": hub.commit}
        if wanted:
            facts["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        self._begin(206 if wanted else 200, len(data) - first, facts)
        if self.command == "HEAD":
            return
        rest = data[first:]
        if hub.breaks.get(name):
            hub.breaks[name] -= 1
            self.wfile.write(rest[: len(rest) // 2])
            self.close_connection = True
        elif name in hub.stalls:
            self.wfile.write(rest[: len(rest) // 2])
            self.wfile.flush()
            hub.go_on.wait(60)
            self.close_connection = True
        else:
            self.wfile.write(rest)

    def _answer(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body if body is not None else {"error": f"made up: {status}"}).encode()
        self._begin(status, len(data), {"Content-Type": "application/json", **(headers or {})})
        if self.command == "GET":
            self.wfile.write(data)

    def _begin(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


class _Server(ThreadingHTTPServer):
    hub: HubServer

    def handle_error(self, *_: object) -> None:
        """Ignore clients that disconnect."""


def _parts(path: str) -> tuple[str, str, str, str]:
    """Return repository, action, revision and file of a request path."""
    parts = path.removeprefix("/api/models").strip("/").split("/")
    hub_id, rest = "/".join(parts[:2]), parts[2:]
    action, revision, *file = rest or ["revision", "main"]
    return hub_id, action, revision, "/".join(file)


def _listing(hub_id: str, hub: HubServer, entries: list[dict[str, Any]]) -> dict[str, Any]:
    siblings = [
        {"rfilename": one["path"], "size": one["size"], "blobId": one["oid"]}
        | ({"lfs": one["lfs"]} if "lfs" in one else {})
        for one in entries
    ]
    if hub.is_brief:
        siblings = [{"rfilename": one["path"]} for one in entries]
    return {
        "_id": "1",
        "id": hub_id,
        "modelId": hub_id,
        "sha": hub.commit,
        "private": False,
        "siblings": siblings,
    }


def _entry(file: Path) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": "file",
        "oid": _git_id(file),
        "size": file.stat().st_size,
        "path": file.name,
    }
    if entry["size"] >= _LARGE:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        entry["lfs"] = {"oid": digest, "sha256": digest, "size": entry["size"], "pointerSize": 134}
    return entry


def _git_id(file: Path) -> str:
    data = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
