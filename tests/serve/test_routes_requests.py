"""The life of a request, from the draft to its end."""

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from requests_at_work import picture
from service_in_process import Client, Service

from isletnet.storage.jobs import end
from isletnet.storage.layout import IDEMPOTENCY, OPEN, REQUESTS, Outcome, request_key
from isletnet.storage.records import load_draft, load_request
from isletnet.storage.sweep import sweep
from isletnet.storage.verify import verify

UM_PER_PX = 2.0
CRITERION = {"name": "Count", "quantity": "islets_n", "comparison": ">=", "limit": 5, "unit": "islets"}


def draft(api: Client, **parameters: object) -> str:
    answer = api.post("/api/requests", json={"um_per_px": UM_PER_PX, **parameters})
    assert answer.status_code == 201
    return str(answer.json()["request_id"])


def submitted(api: Client, *pictures: bytes, **parameters: object) -> str:
    request_id = draft(api, **parameters)
    for number, content in enumerate(pictures or (picture(),)):
        answer = api.put(f"/api/requests/{request_id}/images/{number}?name=islets {number}.png", content=content)
        assert answer.status_code == 201
    assert api.post(f"/api/requests/{request_id}/submit").status_code == 202
    return request_id


def form(*pictures: bytes, **parameters: object) -> dict[str, object]:
    files = [("images", (f"islets {number}.png", content)) for number, content in enumerate(pictures)]
    return {"data": {"parameters": json.dumps({"um_per_px": UM_PER_PX, **parameters})}, "files": files}


def code_of(answer: object) -> str:
    return str(answer.json()["error"]["code"])  # type: ignore[attr-defined]


def test_the_whole_life_of_a_request(made: Service, api: Client):
    request_id = draft(api, sample_name="Donor 7")
    first = api.put(f"/api/requests/{request_id}/images/0?name=a.png", content=picture(2))
    assert first.json()["name"] == "a.png"
    assert first.json()["size_bytes"] == len(picture(2))
    api.put(f"/api/requests/{request_id}/images/1?name=broken.png", content=picture(1)[:900])
    assert api.get(f"/api/requests/{request_id}").json()["state"] == "draft"

    queued = api.post(f"/api/requests/{request_id}/submit")
    assert queued.status_code == 202
    assert queued.json()["state"] == "queued"
    assert [image["state"] for image in queued.json()["images"]] == ["waiting", "waiting"]
    assert made.nudges_n == 1
    # The commit came before the answer.
    assert load_request(made.store, request_id).parameters == {"um_per_px": UM_PER_PX, "sample_name": "Donor 7"}

    assert made.work() == 1
    done = api.get(f"/api/requests/{request_id}").json()
    assert (done["state"], done["progress_fraction"], done["attempt"], done["version"]) == ("done", 1.0, 1, 0)
    good, bad = done["images"]
    assert (good["state"], good["code"]) == ("done", None)
    assert (bad["state"], bad["code"]) == ("failed", "image_damaged")

    results = api.get(f"/api/requests/{request_id}/results").json()
    assert results["samples"][0]["name"] == "Donor 7"
    assert results["samples"][0]["summary"]["islets_n"] == 2
    assert [one["number"] for one in results["failed"]] == [1]
    assert verify(made.store).problems == ()


def test_a_form_is_submitted_at_once(made: Service, api: Client):
    answer = api.post("/api/requests", **form(picture(1), picture(2), sample_name="both"))
    assert answer.status_code == 202
    assert [image["name"] for image in answer.json()["images"]] == ["islets 0.png", "islets 1.png"]
    made.work()
    results = api.get(f"/api/requests/{answer.json()['request_id']}/results").json()
    assert results["samples"][0]["summary"]["islets_n"] == 1 + 2


def test_parameters_of_the_submission_win_over_those_of_the_draft(made: Service, api: Client):
    request_id = draft(api, sample_name="draft")
    api.put(f"/api/requests/{request_id}/images/0", content=picture())
    api.post(f"/api/requests/{request_id}/submit", json={"sample_name": "late", "mail_to": "ann@example.org"})
    stored = load_request(made.store, request_id)
    assert stored.parameters == {"sample_name": "late"}
    assert stored.mail_to == "ann@example.org"
    # Whom the mail goes to is not told again.
    assert "ann@example.org" not in api.get(f"/api/requests/{request_id}").text


def test_sending_again_is_no_error(made: Service, api: Client):
    request_id = draft(api)
    for _ in range(2):
        assert api.put(f"/api/requests/{request_id}/images/0?name=a", content=picture(1)).status_code == 201
    other = api.put(f"/api/requests/{request_id}/images/0?name=a", content=picture(2))
    assert (other.status_code, code_of(other)) == (409, "conflict")
    first, second = (api.post(f"/api/requests/{request_id}/submit") for _ in range(2))
    assert first.json()["submitted_utc"] == second.json()["submitted_utc"]
    assert len(list(made.store.list_keys(OPEN))) == 1


def test_a_request_without_images_is_not_accepted(made: Service, api: Client):
    assert api.post(f"/api/requests/{draft(api)}/submit").status_code == 409
    answer = api.post("/api/requests", files=[("parameters", (None, "{}"))])
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "images")


def test_fifty_at_once_with_one_key_are_one_draft(made: Service, api: Client):
    async def all_at_once() -> list[str]:
        headers = {"Idempotency-Key": "one"}
        calls = [api.call("POST", "/api/requests", json={"um_per_px": 2.0}, headers=headers) for _ in range(50)]
        return [answer.json()["request_id"] for answer in await asyncio.gather(*calls)]

    (request_id,) = set(asyncio.run(all_at_once()))
    assert list(made.store.list_folders(REQUESTS)) == [request_id]
    other = api.post("/api/requests", json={"um_per_px": 3.0}, headers={"Idempotency-Key": "one"})
    assert (other.status_code, code_of(other)) == (409, "conflict")


def test_many_forms_at_once_with_one_key_are_one_request(made: Service, api: Client):
    async def all_at_once() -> list[tuple[int, str]]:
        calls = [
            api.call("POST", "/api/requests", **form(picture()), headers={"Idempotency-Key": "one"}) for _ in range(12)
        ]
        return [(answer.status_code, answer.json()["request_id"]) for answer in await asyncio.gather(*calls)]

    ((status, request_id),) = set(asyncio.run(all_at_once()))
    assert status == 202
    assert len(list(made.store.list_keys(OPEN))) == 1
    assert [name for name in made.store.list_folders(REQUESTS) if load_draft_or_none(made, name)] == [request_id]
    again = api.post("/api/requests", **form(picture()), headers={"Idempotency-Key": "one"})
    assert again.json()["request_id"] == request_id
    other = api.post("/api/requests", **form(picture(3)), headers={"Idempotency-Key": "one"})
    assert (other.status_code, code_of(other)) == (409, "conflict")
    sweep(made.store, now=made.now())
    assert verify(made.store).problems == ()


def load_draft_or_none(made: Service, request_id: str) -> object:
    return made.store.exists(f"requests/{request_id}/draft.json") and load_draft(made.store, request_id)


def test_a_key_that_stands_for_a_request_that_was_deleted_is_free_again(made: Service, api: Client):
    first = api.post("/api/requests", **form(picture()), headers={"Idempotency-Key": "one"}).json()["request_id"]
    assert api.delete(f"/api/requests/{first}").status_code == 202
    assert list(made.store.list_keys(IDEMPOTENCY)) == []
    second = api.post("/api/requests", **form(picture()), headers={"Idempotency-Key": "one"})
    assert second.status_code == 202
    assert second.json()["request_id"] != first


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_an_idempotency_key_has_a_length(api: Client, key: str):
    assert api.post("/api/requests", json={}, headers={"Idempotency-Key": key}).status_code == 400


def test_waiting_ends_with_the_request(made: Service, api: Client):
    request_id = submitted(api)
    assert api.get(f"/api/requests/{request_id}?wait=0.05").json()["state"] == "queued"
    worker = threading.Thread(target=made.work)
    worker.start()
    assert api.get(f"/api/requests/{request_id}?wait=60").json()["state"] == "done"
    worker.join()


def test_events_tell_each_change_and_the_end(made: Service, api: Client):
    request_id = submitted(api)
    worker = threading.Thread(target=made.work)
    worker.start()
    answer = api.get(f"/api/requests/{request_id}/events")
    worker.join()
    assert answer.headers["content-type"].startswith("text/event-stream")
    *told, last = [event for event in answer.text.split("\n\n") if event]
    assert last == "event: end\ndata: {}"
    states = [json.loads(event.removeprefix("event: status\ndata: "))["state"] for event in told]
    assert states[-1] == "done"
    assert len(set(told)) == len(told)


def test_a_running_request_tells_how_far_its_images_are(made: Service, api: Client):
    from isletnet.storage import leases

    request_id = submitted(api, picture(1), picture(2))
    dispatcher = leases.Dispatcher(made.store, "slow", monotonic=made.monotonic)
    lease = dispatcher.take(now=made.now())
    assert lease is not None
    images = {"0": {"state": "running", "fraction": 0.5, "stage": "measuring"}}
    leases.beat(made.store, lease, now=made.now(), progress={"fraction": 0.25, "images": images})
    status = api.get(f"/api/requests/{request_id}").json()
    assert (status["state"], status["progress_fraction"]) == ("running", 0.25)
    first, second = status["images"]
    assert (first["state"], first["progress_fraction"], first["stage"]) == ("running", 0.5, "measuring")
    assert second["state"] == "waiting"


def test_cancelled_requests_stay_cancelled(made: Service, api: Client):
    request_id = submitted(api)
    for _ in range(2):
        answer = api.post(f"/api/requests/{request_id}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert answer.json()["images"][0]["code"] == "cancelled"
    assert made.work() == 0
    assert api.get(f"/api/requests/{request_id}/results").status_code == 409
    done = submitted(api)
    made.work()
    assert api.post(f"/api/requests/{done}/cancel").status_code == 409


def test_deleted_requests_are_gone_and_leave_a_tombstone(made: Service, api: Client):
    request_id = submitted(api)
    made.work()
    assert api.delete(f"/api/requests/{request_id}").json() == {"request_id": request_id, "state": "deleted"}
    assert api.delete(f"/api/requests/{request_id}").status_code == 404
    assert api.get(f"/api/requests/{request_id}").status_code == 404
    assert list(made.store.list_keys(f"{REQUESTS}/{request_id}")) == []
    assert verify(made.store).problems == ()


def test_a_dead_request_says_why_and_is_submitted_again_by_an_admin(made: Service, api: Client):
    request_id = submitted(api)
    refused = api.post(f"/api/requests/{request_id}/requeue")
    assert (refused.status_code, code_of(refused)) == (409, "conflict")
    dead = Outcome(state="dead", ended_utc=datetime.now(UTC), code="worker_lost", message="The machine burnt down.")
    end(made.store, load_request(made.store, request_id), dead)
    status = api.get(f"/api/requests/{request_id}").json()
    assert (status["state"], status["code"], status["message"]) == ("dead", "worker_lost", "The machine burnt down.")
    assert status["images"][0]["state"] == "failed"
    answer = api.post(f"/api/requests/{request_id}/requeue")
    assert answer.status_code == 202
    assert made.work() == 1
    assert api.get(f"/api/requests/{answer.json()['request_id']}").json()["state"] == "done"


def test_a_list_has_pages_and_filters(made: Service, api: Client):
    ids = [submitted(api, sample_name=name) for name in ("a", "b", "a")]
    made.work()
    waiting = submitted(api)
    draft(api)
    page = api.get("/api/requests?limit=2").json()
    assert [one["request_id"] for one in page["requests"]] == [waiting, ids[2]]
    rest = api.get(f"/api/requests?limit=2&before={page['next']}").json()
    assert [one["request_id"] for one in rest["requests"]] == [ids[1], ids[0]]
    assert rest["next"] is None
    of_sample = api.get("/api/requests?sample=a&state=done").json()
    assert [one["request_id"] for one in of_sample["requests"]] == [ids[2], ids[0]]
    assert api.get("/api/requests?state=queued").json()["requests"][0]["request_id"] == waiting
    damaged = request_key(ids[2], "outcome.json")
    made.store.delete(damaged)
    made.store.create(damaged, b"{")
    assert [one["request_id"] for one in api.get("/api/requests").json()["requests"]] == [waiting, ids[1], ids[0]]


def test_a_full_queue_says_when_to_come_again(make_service: Callable[..., Service]):
    from service_in_process import local_client

    api = local_client(make_service(max_open_requests=1))
    request_id, other = submitted(api), draft(api)
    api.put(f"/api/requests/{other}/images/0", content=picture())
    for answer in (api.post(f"/api/requests/{other}/submit"), api.post("/api/requests", **form(picture()))):
        assert (answer.status_code, code_of(answer)) == (503, "busy")
        assert int(answer.headers["Retry-After"]) >= 1
    # Who was accepted before is answered all the same.
    assert api.post(f"/api/requests/{request_id}/submit").status_code == 202


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"um_per_px": -1}, "um_per_px"),
        ({"um_per_px": "NaN"}, "um_per_px"),
        ({"network": "../../etc"}, "network"),
        ({"network": "no-such-network"}, "network"),
        ({"ieq_method": "guess"}, "ieq_method"),
        ({"images": {"0": {"dilution_factor": 0}}}, "images.0.dilution_factor"),
        ({"criteria": [{**CRITERION, "quantity": "islets"}]}, "criteria.0.quantity"),
        ({"colour": "red"}, "colour"),
        ({"mail_to": "a@b.example, c@d.example"}, None),
        ({"mail_to": "a@b.example\r\nBcc: c@d.example"}, None),
    ],
)
def test_parameters_that_cannot_be_are_named(
    made: Service, api: Client, parameters: dict[str, object], field: str | None
):
    request_id = draft(api)
    api.put(f"/api/requests/{request_id}/images/0", content=picture())
    calls = (
        api.post("/api/requests", json=parameters),
        api.post("/api/requests", **form(picture(), **parameters)),
        api.post(f"/api/requests/{request_id}/submit", json=parameters),
    )
    for answer in calls:
        assert (answer.status_code, code_of(answer)) == (422, "parameter_invalid")
        if field is not None:
            assert answer.json()["error"]["field"].endswith(field)
    # Nothing of what was refused is stored.
    assert [one for one in made.store.list_folders(REQUESTS) if load_draft_or_none(made, one)] == [request_id]
