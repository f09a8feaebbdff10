"""Results: files, corrections, consent, the training export, samples, one image at once."""

import csv
import hashlib
import io
import json
import tarfile
import zipfile
from urllib.parse import quote

import imagecodecs
import numpy as np
import pytest
import tifffile
from requests_at_work import picture
from service_in_process import Client, Service

from isletnet.storage.drawn import OF_ALL, find_drawn
from isletnet.storage.records import load_outcome
from isletnet.storage.training import copies_due
from isletnet.storage.verify import verify
from isletnet.storage.versions import files_of
from serve.work.tasks import CopyTask
from serve.worker import do_here

WHOLE_FILES = {
    "report.pdf": "application/pdf",
    "results.xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "summary.csv": "text/csv; charset=utf-8",
}
IMAGE_FILES = {
    "overlay.png": "image/png",
    "labels.tif": "image/tiff",
    "islets.tif": "image/tiff",
    "islets.csv": "text/csv; charset=utf-8",
    "summary.json": "application/json",
    "rois.zip": "application/zip",
    "contours.geojson": "application/geo+json",
    "picture.jpg": "image/jpeg",
}


def sha256s_of(made: Service, done: str) -> dict[str, str]:
    """The hashes that were noted, of what is stored at the end and of what was drawn since."""
    files = files_of(made.store, done, 0)
    drawn = [find_drawn(made.store, files, path) or {} for path in files if path.endswith(("summary.json", OF_ALL))]
    return {path: file.sha256 for found in (files, *drawn) for path, (_, file) in found.items()}


def test_every_file_is_what_was_stored_or_drawn(made: Service, api: Client, done: str):
    wanted = {**WHOLE_FILES, **{f"images/1/{name}": kind for name, kind in IMAGE_FILES.items()}}
    assert not sha256s_of(made, done).keys() & {"report.pdf", "images/1/overlay.png"}
    for path, kind in [*wanted.items(), *wanted.items()]:
        answer = api.get(f"/api/requests/{done}/{path}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert hashlib.sha256(answer.content).hexdigest() == sha256s_of(made, done)[path]
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
    original = api.get(f"/api/requests/{done}/images/1/original")
    assert original.content == picture(2)
    assert original.headers["content-type"] == "application/octet-stream"
    assert original.headers["content-disposition"].startswith("attachment")


def test_files_that_are_none_are_not_there(api: Client, done: str):
    paths = (
        "request.json",
        "images/1/meta.json",
        "images/7/overlay.png",
        "images/0/..%2f..%2frequest.json",
        "results.csv",
    )
    for path in paths:
        assert api.get(f"/api/requests/{done}/{path}").status_code in (404, 422)
    assert api.get(f"/api/requests/{done}/report.pdf?version=3").status_code == 404


def test_the_archive_holds_all_files_under_names_of_ours(made: Service, api: Client, done: str):
    answer = api.get(f"/api/requests/{done}/archive.zip")
    sha256s = sha256s_of(made, done)
    of_images = {f"images/{number}/{name}" for number in (0, 1) for name in IMAGE_FILES}
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert packed.testzip() is None
        assert set(packed.namelist()) == set(sha256s) == {*WHOLE_FILES, "results.json"} | of_images
        for path, sha256 in sha256s.items():
            assert hashlib.sha256(packed.read(path)).hexdigest() == sha256
    # The same bytes each time.
    assert api.get(f"/api/requests/{done}/archive.zip").content == answer.content


def test_one_table_has_the_islets_of_all_images(api: Client, done: str):
    rows = list(csv.DictReader(io.StringIO(api.get(f"/api/requests/{done}/islets.csv").text)))
    assert [(row["image_number"], row["image_name"]) for row in rows] == [
        ("0", "first.png"),
        ("1", "'=1+1.png"),
        ("1", "'=1+1.png"),
    ]
    single = list(csv.DictReader(io.StringIO(api.get(f"/api/requests/{done}/images/1/islets.csv").text)))
    assert [{key: row[key] for key in single[0]} for row in rows[1:]] == single


def test_corrected_labels_make_a_version_and_the_first_stays(made: Service, api: Client, done: str):
    before = api.get(f"/api/requests/{done}/results").json()
    labels = tifffile.imread(io.BytesIO(api.get(f"/api/requests/{done}/images/1/labels.tif").content))
    one_less = np.where(np.arange(labels.shape[1]) < 90, labels, 0).astype(np.uint8)
    content = bytes(imagecodecs.png_encode(one_less))
    answer = api.put(f"/api/requests/{done}/images/1/labels?kind=classes&note=only the left one", content=content)
    assert (answer.status_code, answer.json()["version"]) == (200, 1)
    assert answer.json()["summary"]["islets_n"] == 1

    after = api.get(f"/api/requests/{done}/results").json()
    assert (after["version"], after["samples"][0]["summary"]["islets_n"]) == (1, 1 + 1)
    (version,) = after["versions"]
    assert (version["version"], version["image"], version["actor"]) == (1, 1, "local")
    assert version["note"] == "only the left one"
    old = api.get(f"/api/requests/{done}/results?version=0").json()
    assert old["samples"] == before["samples"]
    assert api.get(f"/api/requests/{done}").json()["version"] == 1
    table = api.get(f"/api/requests/{done}/islets.csv").text
    assert len(table.splitlines()) == 1 + 1 + 1
    assert len(api.get(f"/api/requests/{done}/islets.csv?version=0").text.splitlines()) == 1 + 1 + 2
    assert verify(made.store).problems == ()


def test_labels_that_cannot_be_leave_no_version(made: Service, api: Client, done: str):
    wrong_size = bytes(imagecodecs.png_encode(np.zeros((20, 20), np.uint8)))
    for content, status in ((wrong_size, 422), (b"", 415), (b"text", 415), (picture(), 415)):
        answer = api.put(f"/api/requests/{done}/images/1/labels", content=content)
        assert answer.status_code == status
        assert answer.json()["error"]["field"] == "labels"
    size = picture_shape(api, done)
    values = api.put(
        f"/api/requests/{done}/images/1/labels", content=bytes(imagecodecs.png_encode(np.full(size, 9, np.uint8)))
    )
    assert (values.status_code, values.json()["error"]["code"]) == (422, "parameter_invalid")
    assert api.put(f"/api/requests/{done}/images/9/labels", content=wrong_size).status_code == 404
    assert api.get(f"/api/requests/{done}/results").json()["versions"] == []
    assert api.get(f"/api/requests/{done}/results").json()["version"] == 0


def picture_shape(api: Client, done: str) -> tuple[int, int]:
    image = api.get(f"/api/requests/{done}/images/1/summary.json").json()["image"]
    return image["height_px"], image["width_px"]


def test_consent_keeps_an_image_until_it_is_withdrawn(made: Service, api: Client, done: str):
    path = f"/api/requests/{done}/images/0/training"
    assert api.put(path, json={"granted": True, "text": "version 3"}).json()["granted"] is True
    assert [image["training"] for image in api.get(f"/api/requests/{done}").json()["images"]] == [True, False]
    held = api.delete(f"/api/requests/{done}")
    assert (held.status_code, held.json()["error"]["code"]) == (409, "conflict")
    assert api.put(path, json={"granted": False}).json()["version"] == 2
    assert api.put(f"/api/requests/{done}/images/5/training", json={"granted": True}).status_code == 404
    assert api.put(path, json={"granted": "maybe"}).status_code == 422
    assert api.delete(f"/api/requests/{done}").status_code == 202


def test_an_admin_may_erase_what_is_held(made: Service, api: Client, done: str):
    api.put(f"/api/requests/{done}/images/0/training", json={"granted": True})
    assert api.delete(f"/api/requests/{done}?erase=true").status_code == 202
    assert api.get(f"/api/requests/{done}").status_code == 404
    assert api.delete("/api/requests/nobody?erase=true").status_code in (404, 422)


def given_for_training(made: Service, api: Client, done: str) -> None:
    api.put(f"/api/requests/{done}/images/0/training", json={"granted": True})
    for request_id, number, version in copies_due(made.store):
        task = CopyTask(request_id=request_id, number=number, version=version)
        do_here(made.store, made.settings, task, now=made.now, load=made.load)


def test_the_training_images_are_handed_out_once_and_resumed(made: Service, api: Client, done: str):
    assert api.get("/api/training/export").status_code == 404
    given_for_training(made, api, done)
    whole = api.get("/api/training/export")
    number = int(whole.headers["x-export-number"])
    with tarfile.open(fileobj=io.BytesIO(whole.content)) as packed:
        assert {name.rpartition("/")[2] for name in packed.getnames()} == {"image.png", "labels.png", "scale.json"}
    half = len(whole.content) // 2
    rest = api.get("/api/training/export", headers={"Range": f"bytes={half}-"})
    assert rest.status_code == 206
    assert rest.headers["content-range"] == f"bytes {half}-{len(whole.content) - 1}/{len(whole.content)}"
    assert rest.content == whole.content[half:]
    assert api.get("/api/training/export", headers={"Range": "bytes=99999999999-"}).status_code == 416
    # A kind of range that is not known is passed over.
    assert api.get("/api/training/export", headers={"Range": "bytes=1-2,5-6"}).content == whole.content

    wrong = api.post(f"/api/training/export/{number}/confirm", json={"sha256": "0" * 64})
    assert wrong.status_code == 409
    sha256 = hashlib.sha256(whole.content).hexdigest()
    assert api.post(f"/api/training/export/{number}/confirm", json={"sha256": sha256}).json()["state"] == "confirmed"
    again = api.get("/api/training/export")
    assert (again.status_code, again.json()["error"]["code"]) == (410, "gone")
    assert api.post("/api/training/export/999/confirm", json={"sha256": sha256}).status_code == 404
    assert api.delete(f"/api/training/export/{number}").status_code == 409


def test_an_export_that_is_given_up_can_be_claimed_again(made: Service, api: Client, done: str):
    given_for_training(made, api, done)
    first = api.get("/api/training/export")
    assert api.delete(f"/api/training/export/{first.headers['x-export-number']}").status_code == 200
    second = api.get("/api/training/export")
    assert second.headers["x-export-number"] != first.headers["x-export-number"]
    assert second.content == first.content


def test_a_sample_is_pooled_over_requests(made: Service, api: Client, done: str):
    parameters = json.dumps({"um_per_px": 2.0, "sample_name": "Donor 7"})
    api.post("/api/requests", data={"parameters": parameters}, files={"images": ("late.png", picture(3))})
    made.work()
    pooled = api.get("/api/samples/Donor 7").json()
    assert pooled["summary"]["images_n"] == 3
    assert pooled["summary"]["islets_n"] == 1 + 2 + 3
    assert len(pooled["requests"]) == 2
    assert api.get("/api/samples/Donor").status_code == 404
    (labels,) = [key for key in made.store.list_keys() if pooled["requests"][0] in key and key.endswith("labels.tif")]
    made.store.delete(labels)
    assert api.get("/api/samples/Donor 7").status_code == 410


def test_a_sample_may_have_any_name(made: Service, api: Client):
    name = "Donor 7/2 ../<b>?"
    parameters = json.dumps({"um_per_px": 2.0, "images": {"0": {"sample_name": name}}})
    api.post("/api/requests", data={"parameters": parameters}, files={"images": ("a.png", picture(1))})
    made.work()
    assert api.get(f"/api/samples/{quote(name, safe='')}").json()["sample"] == name


def test_one_image_is_answered_at_once_and_nothing_is_stored(made: Service, api: Client):
    before = list(made.store.list_keys())
    parameters = json.dumps({"um_per_px": 2.0, "sample_volume_ul": 100, "preparation_volume_ml": 10})
    answer = api.post("/api/analyse", data={"parameters": parameters}, files={"image": ("a.png", picture(2))})
    assert answer.status_code == 200
    assert answer.json()["record"]["summary"]["islets_n"] == len(answer.json()["islets"]) == 2
    assert answer.json()["summary"]["preparation"]["total_islets"]["value"] == pytest.approx(200)
    assert list(made.store.list_keys()) == before
    damaged = api.post("/api/analyse", files={"image": ("a.png", picture(2)[:500])})
    assert (damaged.status_code, damaged.json()["error"]["code"]) == (422, "image_damaged")
    assert api.post("/api/analyse", data={"parameters": "{}"}).status_code in (400, 422)
    twice = [("image", ("a.png", picture(1))), ("image", ("b.png", picture(1)))]
    assert api.post("/api/analyse", files=twice).status_code == 400


def test_results_that_were_deleted_by_age_are_gone(made: Service, api: Client, done: str):
    outcome = load_outcome(made.store, done)
    assert outcome is not None
    for key in list(made.store.list_keys(f"requests/{done}/attempts")):
        made.store.delete(key)
    for path in ("results", "report.pdf", "islets.csv", "archive.zip", "images/0/overlay.png"):
        answer = api.get(f"/api/requests/{done}/{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (410, "gone")


def test_a_request_that_is_not_done_has_no_results(api: Client):
    request_id = api.post("/api/requests", files={"images": ("a.png", picture())}).json()["request_id"]
    for path in ("results", "report.pdf", "images/0/overlay.png"):
        assert api.get(f"/api/requests/{request_id}/{path}").status_code == 409
    draft = api.post("/api/requests", json={}).json()["request_id"]
    assert api.get(f"/api/requests/{draft}/results").status_code in (404, 409)
