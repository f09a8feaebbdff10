"""What strangers try: addresses to fetch, networks of theirs, and what a camera wrote about people."""

import hashlib
import io
import json
import socket
import zipfile
from typing import Any

import pypdf
import pytest
from PIL import Image
from requests_at_work import picture
from service_in_process import Client, Service, submitted

from isletnet.errors import GoneError, LeaseLostError, NotStoredError
from isletnet.storage import audit, leases
from isletnet.storage.leases import Dispatcher
from isletnet.storage.sweep import sweep
from isletnet.storage.training import copies_due
from isletnet.storage.verify import verify
from serve.work.tasks import CopyTask
from serve.worker import do_here
from tests.serve.test_routes_results import IMAGE_FILES, WHOLE_FILES

SECRET = "Smith Jane 1950"
ADDRESS = "http://169.254.169.254/latest/meta-data"


def photograph() -> bytes:
    """A picture with words about a person, a place and a thumbnail in its head."""
    image = Image.open(io.BytesIO(picture(2)))
    thumbnail = io.BytesIO()
    image.resize((16, 12)).save(thumbnail, "JPEG", comment=SECRET.encode())
    exif = image.getexif()
    exif[0x010E] = exif[0x013B] = SECRET
    exif[0x9286] = b"ASCII\0\0\0" + thumbnail.getvalue()
    exif.get_ifd(0x8825)[0x001D] = "1950:01:01"
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif, comment=SECRET.encode(), quality=95)
    assert buffer.getvalue().count(SECRET.encode()) >= 3
    return buffer.getvalue()


def opened(name: str, content: bytes) -> bytes:
    """Unpack a file as far as somebody would who looks for words."""
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            return b"".join(opened(inner, packed.read(inner)) for inner in packed.namelist())
    if name.endswith(".pdf"):
        reader = pypdf.PdfReader(io.BytesIO(content))
        pictures = [image.data for page in reader.pages for image in page.images]
        text = "".join(page.extract_text() for page in reader.pages) + str(reader.metadata)
        return content + text.encode() + b"".join(pictures)
    if name.endswith((".png", ".jpg", ".tif")):
        with Image.open(io.BytesIO(content)) as image:
            assert 0x8825 not in image.getexif()
    return content


def test_what_a_camera_says_of_people_is_in_no_result(made: Service, api: Client):
    request_id = submitted(api, photograph())
    made.work()
    here = f"/api/requests/{request_id}"
    names = ["results", "islets.csv", "archive.zip", *WHOLE_FILES, *(f"images/0/{name}" for name in IMAGE_FILES)]
    for name in names:
        answer = api.get(f"{here}/{name}")
        assert (name, answer.status_code) == (name, 200)
        assert SECRET.encode() not in opened(name, answer.content), name
    assert SECRET.encode() in api.get(f"{here}/images/0/original").content


def test_no_parameter_is_an_address(made: Service, api: Client):
    def names(schema: Any) -> set[str]:
        if isinstance(schema, list):
            return {name for one in schema for name in names(one)}
        if not isinstance(schema, dict):
            return set()
        assert schema.get("format") not in {"uri", "url"}
        own = set(schema.get("properties", {}))
        return own.union(*(names(one) for one in schema.values()))

    known = names(made.app.openapi()["components"]["schemas"]["RequestParameters"])
    assert "um_per_px" in known
    for field in ("callback_url", "image_url", "webhook", "url", "source"):
        assert field not in known
        answer = api.post("/api/requests", json={field: ADDRESS})
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert list(made.store.list_keys()) == []


def test_nothing_is_fetched(made: Service, api: Client, monkeypatch: pytest.MonkeyPatch):
    reached: list[Any] = []

    def reach(self: socket.socket, address: Any) -> None:
        reached.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", reach)
    monkeypatch.setattr(socket.socket, "connect_ex", reach)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **named: reach(socket.socket(), arguments))
    refused = api.post("/api/requests", json={"network": ADDRESS})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "network")
    parameters = json.dumps({"um_per_px": 2.0, "sample_name": ADDRESS, "consent_text": ADDRESS})
    files = {"images": (f"{ADDRESS}/a.png", picture(1))}
    answer = api.post("/api/requests", data={"parameters": parameters}, files=files)
    assert answer.status_code == 202
    assert made.work() == 1
    request_id = answer.json()["request_id"]
    assert api.get(f"/api/requests/{request_id}").json()["state"] == "done"
    assert api.get(f"/api/requests/{request_id}/report.pdf").status_code == 200
    assert reached == []


def test_no_route_takes_a_network(made: Service):
    paths = made.app.openapi()["paths"]
    assert set(paths["/api/networks"]) == {"get"}
    assert [path for path in paths if "network" in path or "model" in path] == ["/api/networks"]


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/metrics", "/api/metrics", "/api", "/"])
def test_nothing_else_is_told_to_strangers(made: Service, path: str):
    stranger = Client(made=made, peer="10.0.0.9", base_url="http://clinic")
    assert stranger.get(path).status_code == 404


def test_a_request_that_runs_is_cancelled_and_then_deleted(made: Service, api: Client):
    request_id = submitted(api, picture(1))
    lease = Dispatcher(made.store, "worker", monotonic=made.monotonic).take(now=made.now())
    assert lease is not None
    lease = leases.beat(made.store, lease, now=made.now())
    assert api.get(f"/api/requests/{request_id}").json()["state"] == "running"
    assert api.delete(f"/api/requests/{request_id}").status_code == 202
    assert api.get(f"/api/requests/{request_id}").status_code == 404
    with pytest.raises((LeaseLostError, GoneError, NotStoredError)):
        leases.beat(made.store, lease, now=made.now())
    sweep(made.store, now=made.now())
    assert verify(made.store).problems == ()


def test_who_fetched_training_images_is_in_the_audit(made: Service, api: Client):
    request_id = submitted(api, picture(1))
    made.work()
    api.put(f"/api/requests/{request_id}/images/0/training", json={"granted": True})
    for name, number, version in copies_due(made.store):
        task = CopyTask(request_id=name, number=number, version=version)
        do_here(made.store, made.settings, task, now=made.now, load=made.load)
    whole = api.get("/api/training/export")
    confirmed = {"sha256": hashlib.sha256(whole.content).hexdigest()}
    for _ in range(2):
        answer = api.post(f"/api/training/export/{whole.headers['x-export-number']}/confirm", json=confirmed)
        assert answer.status_code == 200
    told = [(entry.kind, entry.actor) for entry in audit.entries(made.store)]
    assert told == [("training-export", "local")]
