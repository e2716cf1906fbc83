"""The guide's commands back up a PostgreSQL database in use and restore it, exactly as they are written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select
from support.store_records import record, submission

from worker.store.engine.database import Database
from worker.store.engine.tables import DecisionRow, SubmissionRow
from worker.store.upgrade import schema

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "guides" / "backup.md").read_text(encoding="utf-8")
MARK = f"tests/integration/store/{Path(__file__).name} runs it"
BLOCKS = re.findall(rf"<!-- not run: [^\n]*{re.escape(MARK)}[^\n]* -->\n```sh\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def postgres(postgres_url):
    schema.upgrade(database := Database.connect(postgres_url))
    yield database
    database.dispose()


def test_what_the_guide_dumps_is_restored_whole(postgres, postgres_url, postgres_server, tmp_path):
    record(postgres, submission("upload-7"))
    dump, restore = BLOCKS
    with postgres_server.fresh_database() as restored_url:
        # A wheel has pg_dump beside the server; `moderate` is beside this Python.
        programs = [postgres_server.programs, Path(sys.executable).parent]
        environment = os.environ | {
            "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
            "MODERATION_DATABASE_URL": postgres_url,
            "RESTORED_DATABASE_URL": restored_url,
        }
        for block in (dump, restore):
            subprocess.run(["bash", "-ec", block], check=True, cwd=tmp_path, env=environment, timeout=120)
        restored = Database.connect(restored_url)
        try:
            with restored.reading() as session:
                assert session.scalars(select(SubmissionRow.id)).all() == ["upload-7"]
                assert session.scalars(select(DecisionRow.submission_id)).all() == ["upload-7"]
        finally:
            restored.dispose()
