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
from moderation_client import (
    Client, ImageUrl, InlineBytes, LocalFile, Source, StoredObject, Submission, new_submission_id
)
client = Client("redis://127.0.0.1:1/0")
Submission(new_submission_id(), ImageUrl("https://cdn.example.com/cat.jpg"), context={"post": 42})
StoredObject("uploads", "cat.jpg")
print(client.submit_many.__name__, sorted(name for name in sys.modules if name.startswith("worker")))
"""


def test_the_client_imports_celery_and_the_standard_library_only():
    run = subprocess.run([sys.executable, "-c", _WITHOUT], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "submit_many []\n"


def test_a_receiver_of_webhooks_does_without_celery():
    code = "import sys; from moderation_client import verify_webhook; print('celery' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
