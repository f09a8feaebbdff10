"""Faults of the service itself: one shape, nothing of the inside, and health that tells only whether."""

from collections.abc import Callable

import pytest
from service_in_process import Client, Service, local_client

from isletnet.errors import NotStoredError, StorageError, StoreFullError, StoreUnavailableError, StoreUnsuitableError
from isletnet.storage.backends.local import LocalStore


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StoreUnavailableError("no answer from 10.0.0.1"), 503, "storage_unavailable"),
        (StoreFullError("no space is left"), 507, "storage_full"),
        (StoreUnsuitableError("/srv/secret is not writable"), 500, "storage_unsuitable"),
        (StorageError("the disk failed in /srv/secret"), 500, "storage_failed"),
        (RuntimeError("/srv/secret"), 500, "unexpected"),
        (NotStoredError("there is nothing"), 404, "not_found"),
    ],
)
def test_faults_have_one_shape_and_tell_nothing_of_the_inside(
    api: Client, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
):
    request_id = api.post("/api/requests", json={}).json()["request_id"]

    def fail(*arguments: object, **named: object) -> bytes:
        raise error

    monkeypatch.setattr(LocalStore, "read", fail)
    answer = api.get(f"/api/requests/{request_id}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert set(answer.json()) == {"error"}
    assert "/srv" not in answer.text
    assert "Traceback" not in answer.text
    assert ("retry-after" in answer.headers) == (status == 503)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_health_tells_only_whether(made: Service, api: Client):
    stranger = Client(made=made, peer="10.0.0.9", base_url="http://clinic")
    assert stranger.get("/api/health/live").json() == {"state": "ok", "reasons": []}
    assert stranger.get("/api/health/ready").status_code == 200
    status = api.get("/api/status")
    assert status.json()["store"]["state"] == "ok"


def test_a_service_whose_store_is_away_is_not_ready(
    make_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
):
    made = make_service()

    def fail(*arguments: object, **named: object) -> None:
        raise StoreUnavailableError("no answer from 10.0.0.1")

    monkeypatch.setattr(LocalStore, "create", fail)
    answer = local_client(made).get("/api/health/ready")
    assert (answer.status_code, answer.json()) == (503, {"state": "not_ready", "reasons": ["storage_unavailable"]})
    assert "retry-after" in answer.headers
