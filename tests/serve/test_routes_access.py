"""Who may do what through the routes, what every answer carries, and what the log never says."""

import json
import logging
from collections.abc import Callable
from urllib.parse import quote

import pytest
from requests_at_work import picture
from service_in_process import Client, Service, local_client

from serve.access.keys import add_key

PAGES = "http://127.0.0.1:8080"
BAD_IDS = [
    "..",
    "../../etc/passwd",
    "%2e%2e%2f%2e%2e",
    "nul\x00",
    "0" * 31,
    "0" * 33,
    "A" * 32,
    "а" * 32,
    "０" * 32,
    "f" * 4096,
    "0" * 31 + "\n",
    "*",
]
PUBLIC = {"/api/health/live", "/api/health/ready", "/api/spec.json"}


@pytest.fixture
def as_one(made: Service) -> Callable[..., Client]:
    """Make clients with keys of their own, by name and scopes."""

    def client(name: str, *scopes: str) -> Client:
        key, _ = add_key(made.store, name, scopes or ("submit", "read"), actor="test", now=made.now())
        return Client(made=made, headers={"Authorization": f"Bearer {key}"}, peer="10.0.0.9", base_url="http://clinic")

    return client


def submitted(client: Client) -> str:
    answer = client.post("/api/requests", files={"images": ("a.png", picture())})
    assert answer.status_code == 202
    return str(answer.json()["request_id"])


def every_route(made: Service) -> list[tuple[str, str]]:
    paths = made.app.openapi()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def test_without_a_key_nothing_is_told(made: Service, as_one: Callable[..., Client]):
    as_one("ann")
    stranger = Client(made=made, peer="10.0.0.9", base_url="http://clinic")
    wrong = Client(
        made=made, headers={"X-API-Key": "0" * 16 + "." + "x" * 43}, peer="10.0.0.9", base_url="http://clinic"
    )
    routes = [one for one in every_route(made) if one[1] not in PUBLIC]
    assert len(routes) > 30
    for method, path in routes:
        full = path.format(request_id="0" * 32, number=0, file="report.pdf", name="a", key_id="0" * 16)
        for client in (stranger, wrong):
            answer = client.request(method, full, content=b"{}", headers={"Content-Type": "application/json"})
            assert (method, path, answer.status_code) == (method, path, 401)
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_what_belongs_to_others_is_not_there(made: Service, as_one: Callable[..., Client]):
    ann, bob = as_one("ann"), as_one("bob")
    request_id = submitted(ann)
    made.work()
    here = f"/api/requests/{request_id}"
    gets = ["", "/events", "/results", "/report.pdf", "/islets.csv", "/archive.zip", "/images/0/overlay.png"]
    gets.append("/images/0/original")
    calls = [
        *(bob.get(here + path) for path in gets),
        bob.post(f"{here}/submit"),
        bob.post(f"{here}/cancel"),
        bob.delete(here),
        bob.put(f"{here}/images/1", content=picture()),
        bob.put(f"{here}/images/0/labels", content=picture()),
        bob.put(f"{here}/images/0/training", json={"granted": True}),
    ]
    unknown = bob.get(f"/api/requests/{'0' * 32}")
    for answer in calls:
        told, expected = answer.json()["error"], unknown.json()["error"]
        assert (answer.status_code, told["code"], told["message"]) == (404, expected["code"], expected["message"])
    assert bob.get("/api/requests").json()["requests"] == []
    assert [one["request_id"] for one in ann.get("/api/requests").json()["requests"]] == [request_id]


def test_scopes_open_what_they_say_and_no_more(made: Service, as_one: Callable[..., Client]):
    ann = as_one("ann")
    request_id = submitted(ann)
    made.work()
    here = f"/api/requests/{request_id}"
    scholar, trainer, admin = as_one("eve", "study"), as_one("tom", "train"), as_one("ada", "admin")
    reader, writer = as_one("ann", "read"), as_one("ann", "submit")
    assert reader.get(here).status_code == 200
    assert reader.delete(here).status_code == 403
    assert reader.post("/api/requests", json={}).status_code == 403
    assert reader.post("/api/analyse", files={"image": ("a.png", picture())}).status_code == 403
    assert writer.get(here).status_code == 403
    assert writer.post("/api/requests", json={}).status_code == 201
    assert scholar.get(f"{here}/results").status_code == 200
    # The bytes of a camera may tell more than the pixels.
    assert scholar.get(f"{here}/images/0/original").status_code == 403
    assert scholar.delete(here).status_code == 403
    assert trainer.get(here).status_code == 404
    for path in ("/api/training/export", "/api/admin/keys", "/api/statistics", "/api/status"):
        assert ann.get(path).status_code == 403
    assert ann.post("/api/admin/prune").status_code == 403
    assert ann.delete(f"{here}?erase=true").status_code == 403
    assert ann.post(f"{here}/requeue").status_code == 403
    assert trainer.get("/api/training/export").status_code == 404
    assert trainer.get("/api/admin/keys").status_code == 403
    assert admin.get(f"{here}/images/0/original").status_code == 200
    assert admin.post(f"{here}/cancel").status_code == 409


def test_admins_make_list_and_revoke_keys(made: Service, as_one: Callable[..., Client]):
    admin = as_one("ada", "admin")
    made_key = admin.post("/api/admin/keys", json={"name": "phone", "scopes": ["submit", "read"]})
    assert made_key.status_code == 201
    key = made_key.json()["key"]
    assert key not in admin.get("/api/admin/keys").text
    phone = Client(made=made, headers={"X-API-Key": key}, peer="10.0.0.9", base_url="http://clinic")
    session = phone.get("/api/session").json()
    assert (session["name"], session["scopes"]) == ("phone", ["submit", "read"])
    revoked = admin.delete(f"/api/admin/keys/{made_key.json()['id']}")
    assert revoked.json()["revoked_utc"] is not None
    assert admin.delete("/api/admin/keys/0000000000000000").status_code == 404
    assert admin.post("/api/admin/keys", json={"name": "a b", "scopes": ["read"]}).status_code == 422
    assert admin.post("/api/admin/keys", json={"name": "ann", "scopes": ["root"]}).status_code == 422


def test_an_admin_prunes_by_hand_and_confirms_the_clock(api: Client):
    plan = api.post("/api/admin/prune").json()
    assert plan["dry_run"] is True
    assert api.post("/api/admin/prune?dry_run=false").status_code == 200
    assert "utc" in api.post("/api/admin/clock").json()


def test_statistics_are_told_as_json_and_as_a_workbook(made: Service, api: Client):
    assert len(api.get("/api/statistics?from=2026-11-01&to=2026-11-24").json()["days"]) == 24
    assert api.get("/api/statistics/access_statistics.xlsx").content.startswith(b"PK")
    assert api.get("/api/statistics?from=2026-11-24&to=2026-11-01").status_code == 422
    for query in ("from=yesterday", "from=0001-01-01", "to=0001-01-01", "to=9999-12-31"):
        assert api.get(f"/api/statistics?{query}").status_code == 422


@pytest.mark.parametrize("bad", BAD_IDS)
def test_ids_that_are_none_are_not_there(made: Service, api: Client, bad: str):
    for text in (quote(bad, safe=""), quote(bad, safe="%")):
        here = f"/api/requests/{text}"
        calls = (
            api.get(here),
            api.get(f"{here}/report.pdf"),
            api.get(f"{here}/images/0/overlay.png"),
            api.delete(here),
            api.put(f"{here}/images/0", content=picture()),
            api.post(f"{here}/submit"),
        )
        for answer in calls:
            assert answer.status_code in (404, 405, 422)
            assert set(answer.json()) == {"error"}
    assert list(made.store.list_keys()) == []


def test_every_answer_is_marked_and_safe_for_browsers(api: Client):
    answers = [
        api.get("/api/session"),
        api.get("/api/nothing"),
        api.post("/api/health/live"),
        api.get("/api/spec.json"),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 405, 200]
    for answer in answers:
        assert len(answer.headers["x-request-id"]) == 32
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-frame-options"] == "DENY"
        if answer.status_code >= 400:
            assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 4


def test_only_the_pages_may_call_from_a_browser(api: Client):
    ours = api.get("/api/session", headers={"Origin": PAGES})
    assert ours.headers["access-control-allow-origin"] == PAGES
    assert "X-Request-Id" in ours.headers["access-control-expose-headers"]
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-csrf-token"}
    assert api.request("OPTIONS", "/api/requests", headers={"Origin": PAGES, **asked}).status_code == 200
    for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example:8080"):
        foreign = api.post("/api/requests", json={}, headers={"Origin": origin})
        assert (foreign.status_code, foreign.json()["error"]["code"]) == (403, "forbidden")
        assert "access-control-allow-origin" not in foreign.headers
        refused = api.request("OPTIONS", "/api/requests", headers={"Origin": origin, **asked})
        assert "access-control-allow-origin" not in refused.headers
    assert api.post("/api/requests", json={}, headers={"Origin": PAGES}).status_code == 201


def test_who_calls_too_often_is_told_when_to_come_again(make_service: Callable[..., Service]):
    made = make_service(max_calls_per_minute=12)
    api = local_client(made)
    answers = [api.get("/api/session") for _ in range(4)]
    assert [answer.status_code for answer in answers].count(429) >= 1
    last = answers[-1]
    assert (last.status_code, last.json()["error"]["code"]) == (429, "too_many")
    assert int(last.headers["retry-after"]) >= 1
    # Nobody's guesses at keys are free either.
    stranger = Client(made=made, headers={"X-API-Key": "guess"}, peer="10.0.0.9")
    assert 429 in [stranger.get("/api/session").status_code for _ in range(4)]


def test_the_log_tells_calls_but_no_names_of_files_or_people(
    made: Service, api: Client, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO, logger="isletnet.serve.access"):
        request_id = api.post("/api/requests", json={"mail_to": "ann@example.org"}).json()["request_id"]
        api.put(f"/api/requests/{request_id}/images/0?name=Novak.tif%0aforged", content=picture())
        api.get("/api/health/live")
        api.get("/api/samples/Novak")
        api.get("/api/Novak%0a{}")
    lines = [json.loads(record.getMessage()) for record in caplog.records]
    assert [line["action"] for line in lines] == [
        "POST /api/requests",
        "PUT /api/requests/{request_id}/images/{number}",
        "GET /api/samples/{name}",
        "GET unknown",
    ]
    assert lines[1]["request"] == request_id
    assert (lines[0]["who"], lines[0]["status"]) == ("local", 201)
    assert "Novak" not in caplog.text
    assert "ann@" not in caplog.text
    assert [event.action for event in made.events] == [line["action"] for line in lines]
    assert made.events[0].call_id == lines[0]["call"]


def test_a_call_is_noted_with_what_failed_or_was_analysed(made: Service, api: Client, monkeypatch: pytest.MonkeyPatch):
    assert api.post("/api/analyse", files={"image": ("a.png", picture())}).status_code == 200
    api.post("/api/analyse", files={"image": ("a.png", b"no picture at all, but long enough")})
    api.get(f"/api/requests/{'0' * 32}")
    api.post("/api/requests", json={"um_per_px": -1})
    api.get("/api/nothing")
    monkeypatch.setattr(type(made.store), "read", lambda *arguments, **named: 1 / 0)
    api.get(f"/api/requests/{'0' * 32}")
    codes = ["image_unsupported", "not_found", "parameter_invalid", "not_found", "unexpected"]
    assert [list(event.failures) for event in made.events] == [[], *([code] for code in codes)]
    first = made.events[0]
    assert (sum(first.images.values()), first.megapixels) == (1, pytest.approx(192 * 256 / 1e6))
    assert all(not event.images for event in made.events[1:])


def test_the_description_of_the_api_fits_the_contract(made: Service):
    paths = made.app.openapi()["paths"]
    assert all(path.startswith("/api/") for path in paths)
    for path, methods in paths.items():
        for method, one in methods.items():
            default = one["responses"]["default"]["content"]["application/json"]["schema"]["$ref"]
            assert (path, method, default) == (path, method, "#/components/schemas/ProblemAnswer")
            if "422" in one["responses"]:
                refused = one["responses"]["422"]["content"]["application/json"]["schema"]["$ref"]
                assert refused == "#/components/schemas/ProblemAnswer"
    assert {"application/json", "multipart/form-data"} == set(paths["/api/requests"]["post"]["requestBody"]["content"])
    networks = local_client(made).get("/api/networks").json()["networks"]
    assert [one["name"] for one in networks if one["is_default"]] == [made.settings.network]
