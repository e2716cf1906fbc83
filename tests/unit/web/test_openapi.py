"""What the API says of itself is held by a golden file: UPDATE_GOLDEN=1 writes it anew, and the diff is read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError

from worker.web.api.request_schemas import BATCH, SUBMISSION, UPLOAD
from worker.web.app import create_app

GOLDEN = Path(__file__).parents[2] / "golden" / "openapi.json"


def described() -> dict:
    return create_app(None).openapi()


def test_the_description_is_the_golden_one():
    text = json.dumps(described(), indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_every_example_fits_its_schema():
    components = {"components": {"schemas": described()["components"]["schemas"]}}
    checked = 0
    for name, schema in components["components"]["schemas"].items():
        for example in schema.get("examples", []):
            Draft202012Validator({**components, "$ref": f"#/components/schemas/{name}"}).validate(example)
            checked += 1
    assert checked >= 6


def test_every_answer_that_is_an_error_is_a_problem():
    for path, methods in described()["paths"].items():
        for method, operation in methods.items():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], (path, method, status)


@pytest.mark.parametrize("schema", [SUBMISSION, BATCH, UPLOAD])
def test_the_bodies_schemas_are_schemas(schema):
    Draft202012Validator.check_schema(schema)


def test_a_source_of_two_kinds_is_none():
    with pytest.raises(ValidationError):
        Draft202012Validator(SUBMISSION).validate({"source": {"kind": "file", "url": "https://a.example/"}})


def test_a_web_process_loads_no_model_library():
    program = (
        "import sys, worker.cli.main, worker.cli.operations.web, worker.web.app as app; app.create_app(None).openapi();"
        "assert 'fastapi' in sys.modules; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
