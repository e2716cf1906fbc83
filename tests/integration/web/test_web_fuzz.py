"""Requests that nobody would think of, made from the API's own description: every answer is one it foresees."""

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, checks
from support.deployment import deploy
from support.review_desk import Desk
from support.web_api import make_key, serving_api

#: Requests to each operation, with bodies and parameters that fit and with ones that do not.
EXAMPLES = 60
#: To those that share how their bodies are read.
ALIKE_EXAMPLES = 20
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
OPERATIONS = [
    ("/v1/submissions", "POST"),
    ("/v1/submissions/batch", "POST"),
    ("/v1/submissions/{submission_id}", "GET"),
    ("/v1/decisions", "GET"),
    ("/v1/reviews", "GET"),
    ("/v1/reviews/statistics", "GET"),
    *(
        (f"/v1/reviews/{what}", "POST")
        for what in "claim renew release skip escalate verdict reverse".split()
    ),
    ("/v1/appeals", "POST"),
    ("/v1/appeals/{appeal_id}", "GET"),
    ("/healthz", "GET"),
    ("/readyz", "GET"),
    ("/metrics", "GET"),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory, redis_url):
    """Yield the API as it describes itself, and a key to it."""
    made = deploy(
        tmp_path_factory.mktemp("fuzz"), redis_url, web_requests_per_minute=10**6, web_wait_seconds=0
    )
    desk = Desk(made.database)
    for _ in range(20):
        desk.decide(weapons=0.8)
    desk.decide(weapons=0.995)
    with serving_api(made.settings) as (url, _):
        yield schemathesis.openapi.from_url(f"{url}/openapi.json"), make_key(made.database)
        # It was no mere knocking at the door.
        told = requests.get(f"{url}/metrics", timeout=30).text
        for status in (202, 422):
            assert f'method="POST",route="/v1/submissions",status="{status}"' in told
    made.database.dispose()


@pytest.mark.exhaustive
def test_every_operation_is_fuzzed(served):
    schema, _ = served
    assert {(one.ok().path, one.ok().method.upper()) for one in schema.get_all_operations()} == set(
        OPERATIONS
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_no_request_fails_us(served, path, method, mode):
    schema, token = served
    operation = schema[path][method]
    if mode is GenerationMode.NEGATIVE and path in {"/healthz", "/readyz", "/metrics"}:
        pytest.skip("takes nothing that could be wrong")

    @settings(
        max_examples=ALIKE_EXAMPLES if path.startswith("/v1/reviews/") else EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=CHECKS)

    ask()
