"""A producer installs neither torch nor numpy nor SQLAlchemy: the client must not miss them."""

import subprocess
import sys

_WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {
            "torch", "numpy", "sqlalchemy", "transformers", "PIL", "pydantic", "yaml", "rich", "typer",
            "httpcore2", "fsspec",
        }:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
from worker.client import (
    Client, ImageUrl, InlineBytes, LocalFile, Source, StoredObject, Submission, new_submission_id
)
client = Client("redis://127.0.0.1:1/0")
Submission(new_submission_id(), ImageUrl("https://cdn.example.com/cat.jpg"), context={"post": 42})
StoredObject("uploads", "cat.jpg")
print(client.submit_many.__name__, sorted(name for name in sys.modules if name.startswith("worker.")))
"""


def test_the_client_imports_celery_and_the_standard_library_only():
    run = subprocess.run([sys.executable, "-c", _WITHOUT], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    for other in ("store", "network", "images", "settings"):
        assert f"worker.{other}" not in run.stdout
