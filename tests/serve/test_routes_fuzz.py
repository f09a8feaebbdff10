"""Whatever is sent, the service has no fault, and its refusals have one shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from requests_at_work import picture
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import response_schema_conformance
from service_in_process import Client, Service, submitted

from serve.access.keys import add_key

MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
SHORT_N, LONG_N = 4, 50


@pytest.mark.parametrize("cases_n", [SHORT_N, pytest.param(LONG_N, marks=pytest.mark.slow)])
def test_no_call_meets_a_fault(make_service: Callable[..., Service], cases_n: int):
    made = make_service(max_calls_per_minute=10_000_000)
    key, _ = add_key(made.store, "ada", ["admin"], actor="test", now=made.now())
    client = Client(made=made, headers={"X-API-Key": key})
    known = submitted(client, picture())
    assert made.work() == 1
    schema = schemathesis.openapi.from_asgi("/api/spec.json", made.app)
    statuses: Counter[int] = Counter()
    operations = [found.ok() for found in schema.get_all_operations()]
    # What is deleted could not be asked for any more.
    for operation in sorted(operations, key=lambda one: one.method.lower() == "delete"):
        _fuzz(operation, key, known, cases_n, statuses)
    assert sum(statuses.values()) >= 40 * cases_n
    # It got past the door, to what is there and to what is not.
    assert {200, 404, 422} <= set(statuses)
    assert statuses[401] == statuses[429] == 0


def _fuzz(operation: Any, key: str, known: str, cases_n: int, statuses: Counter[int]) -> None:
    for mode in MODES:
        strategy = operation.as_strategy(generation_mode=mode)

        @given(case=strategy)
        @settings(max_examples=cases_n, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
        def call(case: Any) -> None:
            if "request_id" in (case.path_parameters or {}) and sum(statuses.values()) % 2:
                case.path_parameters["request_id"] = known
            answer = case.call(headers={"X-API-Key": key})
            statuses[answer.status_code] += 1
            assert answer.status_code < 500, (case.as_curl_command(), answer.text)
            if answer.status_code >= 400:
                assert set(answer.json()) == {"error"}, case.as_curl_command()
                assert {"code", "message", "request_id"} <= set(answer.json()["error"])
            else:
                case.validate_response(answer, checks=[response_schema_conformance])

        # Where nothing can be given, nothing can be wrong.
        with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
            call()
