"""Bodies that are too large, too slow, cut short, or no pictures: refused early, and nothing of them stays."""

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asgi import LEAVE, STALL, call
from requests_at_work import Clock, picture, submit
from service_in_process import Client, Service, local_client

from isletnet.storage.layout import REQUESTS
from isletnet.storage.verify import verify
from serve.access.keys import add_key
from serve.access.limits import Limits

BOUNDARY = "edge"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def draft(api: Client) -> str:
    return str(api.post("/api/requests", json={"um_per_px": 2.0}).json()["request_id"])


def part(name: str, content: bytes, file_name: str | None = None, *more: str) -> bytes:
    shown = f'; filename="{file_name}"' if file_name is not None else ""
    head = "\r\n".join([f'Content-Disposition: form-data; name="{name}"{shown}', *more])
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def is_clean(made: Service) -> bool:
    """Nothing of an upload is there, neither among the keys nor beside them."""
    kept = [key for key in made.store.list_keys(REQUESTS) if key.endswith(("original", "meta.json"))]
    unfinished = list(Path(made.settings.store, ".unfinished").glob("*"))
    return not kept and not unfinished and not verify(made.store).problems


def test_what_is_announced_too_large_is_refused_before_it_is_sent(make_service: Callable[..., Service]):
    made = make_service(max_upload_mb=1)
    path = f"/api/requests/{draft(local_client(made))}/images/0"
    found = call(made, "PUT", path, [STALL], headers={"content-length": "1000001"})
    assert (found.status, found.code, found.asked_n) == (413, "too_large", 0)
    assert is_clean(made)


@pytest.mark.parametrize("announced", [None, "70000"])
def test_what_becomes_too_large_is_cut_off(make_service: Callable[..., Service], announced: str | None):
    made = make_service(max_upload_mb=1)
    path = f"/api/requests/{draft(local_client(made))}/images/0"
    sent: list[bytes] = []

    def endless() -> Iterator[bytes]:
        sent.append(picture())
        yield sent[0]
        for _ in range(100_000):
            sent.append(bytes(50_000))
            yield sent[-1]

    headers = {} if announced is None else {"content-length": announced}
    found = call(made, "PUT", path, endless(), headers=headers)
    assert (found.status, found.code) == (413, "too_large")
    assert sum(map(len, sent)) < 1_300_000
    assert is_clean(made)


@pytest.mark.parametrize("announced", ["-5", "1e3", "", "ten", "9" * 30])
def test_a_length_that_is_none_is_refused(made: Service, api: Client, announced: str):
    path = f"/api/requests/{draft(api)}/images/0"
    found = call(made, "PUT", path, [picture()], headers={"content-length": announced})
    assert (found.status, found.code) == (400, "bad_request")


def test_who_stops_in_the_middle_is_told_and_nothing_stays(make_service: Callable[..., Service]):
    made = make_service()
    made.stall_s = 0.05
    made.__post_init__()
    request_id = draft(local_client(made))
    found = call(made, "PUT", f"/api/requests/{request_id}/images/0", [picture()[:1000], STALL])
    assert (found.status, found.code) == (408, "slow")
    form = call(made, "POST", "/api/requests", [part("images", picture(), "a.png")[:500], STALL], headers=FORM)
    assert (form.status, form.code) == (408, "slow")
    json_body = call(
        made,
        "POST",
        f"/api/requests/{request_id}/submit",
        [b"{", STALL],
        headers={"content-type": "application/json"},
    )
    assert (json_body.status, json_body.code) == (408, "slow")
    assert is_clean(made)


def test_who_drips_is_told(make_service: Callable[..., Service]):
    made = make_service()
    path = f"/api/requests/{draft(local_client(made))}/images/0"
    made.monotonic = SteppingClock().monotonic
    made.__post_init__()
    found = call(made, "PUT", path, [picture()[:16], *[b"x"] * 500])
    assert (found.status, found.code) == (408, "slow")
    assert found.asked_n < 50
    assert is_clean(made)
    small = call(made, "POST", "/api/admin/keys", [b"{", *[b" "] * 500], headers={"content-type": "application/json"})
    assert (small.status, small.code) == (408, "slow")
    assert small.asked_n < 50


def test_of_a_stranger_nothing_is_read(made: Service, api: Client):
    request_id = draft(api)
    add_key(made.store, "ann", ["submit"], actor="test", now=made.now())
    json_body = {"content-type": "application/json"}
    for method, path, headers in (
        ("PUT", f"/api/requests/{request_id}/images/0", {}),
        ("POST", "/api/requests", FORM),
        ("POST", "/api/requests", json_body),
        ("POST", "/api/analyse", FORM),
        ("PUT", f"/api/requests/{request_id}/images/0/labels", {}),
        ("POST", f"/api/requests/{request_id}/submit", json_body),
        ("PUT", f"/api/requests/{request_id}/images/0/training", json_body),
        ("POST", "/api/training/export/1/confirm", json_body),
        ("POST", "/api/admin/keys", json_body),
    ):
        found = call(made, method, path, [STALL], headers={**headers, "x-forwarded-for": "10.0.0.9"})
        assert (path, found.status, found.asked_n) == (path, 401, 0)


def test_what_breaks_off_leaves_nothing_and_can_be_sent_again(
    made: Service, api: Client, caplog: pytest.LogCaptureFixture
):
    request_id = draft(api)
    path = f"/api/requests/{request_id}/images/0"
    call(made, "PUT", path, [picture()[:5000], LEAVE])
    # Who goes away is no fault of the service, neither in its log nor in its statistics.
    assert made.events[-1].status == 499
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert is_clean(made)
    assert api.put(path, content=picture()).status_code == 201
    call(made, "POST", "/api/requests", [part("images", picture(), "a.png"), b"--edge\r\nConte", LEAVE], headers=FORM)
    drafts = [one for one in made.store.list_folders(REQUESTS) if made.store.exists(f"{REQUESTS}/{one}/draft.json")]
    assert drafts == [request_id]


def test_pieces_of_any_size_make_the_same_image(made: Service, api: Client):
    request_id, content = draft(api), picture()
    rest = [content[at : at + 999] for at in range(20, len(content), 999)]
    pieces = [content[:1], b"", content[1:3], content[3:20], b"", *rest]
    found = call(made, "PUT", f"/api/requests/{request_id}/images/0", pieces)
    assert found.status == 201
    assert api.get(f"/api/requests/{request_id}").json()["images"][0]["size_bytes"] == len(content)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "image_damaged"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "image_unsupported"),
        (b"PK\x03\x04" + bytes(50), 415, "image_unsupported"),
        (b"GIF89a" + bytes(50), 415, "image_unsupported"),
        (b"hello", 415, "image_unsupported"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(made: Service, api: Client, content: bytes, status: int, code: str):
    single = api.put(f"/api/requests/{draft(api)}/images/0?name=plate.tif", content=content)
    files = [("images", ("good.png", picture())), ("images", ("plate.tif", content))]
    for answer in (single, api.post("/api/requests", files=files)):
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert answer.json()["error"]["field"] == "plate.tif"
    assert api.post("/api/analyse", files={"image": ("plate.tif", content)}).status_code == status
    # All of a form is taken, or nothing.
    assert is_clean(made)


def test_too_many_images_are_refused(make_service: Callable[..., Service]):
    made = make_service(max_images=2)
    api = local_client(made)
    files = [("images", (f"{number}.png", picture())) for number in range(3)]
    answer = api.post("/api/requests", files=files)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    request_id = draft(api)
    for number in (0, 5):
        assert api.put(f"/api/requests/{request_id}/images/{number}", content=picture()).status_code == 201
    assert api.put(f"/api/requests/{request_id}/images/1", content=picture()).status_code == 413
    # An image that is there already counts once.
    assert api.put(f"/api/requests/{request_id}/images/5", content=picture()).status_code == 201
    for number in (1000, -1, 10**30):
        assert api.put(f"/api/requests/{request_id}/images/{number}", content=picture()).status_code in (413, 422)


def test_a_request_has_a_limit_of_bytes_over_all_its_images(make_service: Callable[..., Service]):
    made = make_service(max_upload_mb=1, max_request_mb=1)
    api, large = local_client(made), picture() + bytes(600_000)
    request_id = draft(api)
    assert api.put(f"/api/requests/{request_id}/images/0", content=large).status_code == 201
    assert api.put(f"/api/requests/{request_id}/images/1", content=large).status_code == 413
    files = [("images", (f"{number}.png", large)) for number in range(2)]
    assert api.post("/api/requests", files=files).status_code == 413


def test_a_full_disk_refuses_images_and_still_answers(made: Service, api: Client, monkeypatch: pytest.MonkeyPatch):
    request_id = draft(api)
    monkeypatch.setattr(Limits, "space", lambda self: FULL)
    answers = [
        api.put(f"/api/requests/{request_id}/images/0", content=picture()),
        api.post("/api/requests", files={"images": ("a.png", picture())}),
        api.post("/api/requests", json={}),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "storage_full")
    assert api.get(f"/api/requests/{request_id}").status_code == 200
    assert is_clean(made)


class SteppingClock:
    """A second passes at each look."""

    now_s = 0.0

    def monotonic(self) -> float:
        self.now_s += 1
        return self.now_s


class FULL:
    state = "full"
    free_bytes = 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--other\r\n",
        END,
        part("images", picture(), "a.png"),
        part("images", picture(), "a.png")[:-2] + b"--edge",
        part("images", b"", "a.png", "X: " + "y" * 9000) + END,
        part("images", b"", "a.png", *["X: y"] * 50) + END,
        b"--edge\r\n\r\nno head\r\n" + END,
        b'--edge\r\nContent-Disposition: attachment; name="images"\r\n\r\n\r\n' + END,
        part("pictures", picture(), "a.png") + END,
        part("images", b"text") + END,
        part("parameters", b"{" * 100_000) + END,
        part("parameters", b" " * 2_000_000) + END,
        part("parameters", b"\xff\xfe{}") + END,
        part("x", b"") * 5000 + END,
    ],
    ids=range(15),
)
def test_forms_that_are_none_or_bombs_are_refused(made: Service, body: bytes):
    pieces = [body[at : at + 4096] for at in range(0, len(body), 4096)]
    found = call(made, "POST", "/api/requests", pieces, headers=FORM)
    assert found.status in (400, 413, 422)
    assert found.code in ("bad_request", "too_large", "parameter_invalid", "image_damaged")
    assert is_clean(made)


def test_behind_the_end_of_a_form_nothing_is_read(made: Service):
    body = part("images", picture(), "a.png") + END
    found = call(made, "POST", "/api/requests", [body, *[b"x" * 1000] * 50], headers=FORM)
    assert (found.status, found.asked_n) == (202, 1)


@pytest.mark.parametrize("key", [None, "once"])
def test_a_form_that_finds_the_queue_full_at_its_end_stays_only_for_its_key(
    make_service: Callable[..., Service], key: str | None
):
    made = make_service(max_open_requests=1)
    headers = FORM if key is None else {**FORM, "idempotency-key": key}

    def meanwhile() -> Iterator[bytes]:
        yield part("images", picture(), "a.png")
        submit(made.store, Clock(), [picture()])
        yield END

    found = call(made, "POST", "/api/requests", meanwhile(), headers=headers)
    assert (found.status, found.code) == (503, "busy")
    drafts_n = len(list(made.store.list_folders(REQUESTS))) - 1
    assert drafts_n == (key is not None)
    assert not verify(made.store).problems


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/mixed; boundary=a", 'multipart/form-data; boundary=""']
)
def test_a_form_needs_a_boundary(made: Service, kind: str):
    assert call(made, "POST", "/api/requests", [END], headers={"content-type": kind}).status == 400


def test_json_has_a_limit(made: Service, api: Client):
    request_id = draft(api)
    for path in ("/api/requests", f"/api/requests/{request_id}/submit", "/api/admin/keys"):
        headers = {"content-type": "application/json"}
        announced = call(made, "POST", path, [STALL], headers={**headers, "content-length": "2000000"})
        chunked = call(made, "POST", path, [b" " * 100_000] * 20, headers=headers)
        for found in (chunked, announced):
            assert (found.status, found.code) == (413, "too_large")


def test_a_large_image_is_never_whole_in_memory(made: Service, api: Client):
    request_id = draft(api)
    large = 40_000_000
    pieces = [picture(), *[bytes(64_000)] * (large // 64_000)]
    tracemalloc.start()
    found = call(made, "PUT", f"/api/requests/{request_id}/images/0", pieces)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.status == 201
    assert peak < large / 10
