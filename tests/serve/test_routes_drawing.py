"""Files that are drawn when somebody asks: the answer is as if they had always been there."""

import io
import zipfile
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from service_in_process import Client, Service

from isletnet.storage.verify import verify
from serve.work.tasks import WORKER_LOST, Answer, Broken
from serve.worker import do_here

WHOLE_FILES = ("report.pdf", "results.xlsx", "summary.csv")
# Images and versions: only image 1 is corrected.
ALL = ((0, 0), (0, 1), (1, 0), (1, 1))


def test_what_is_drawn_once_needs_no_worker(made: Service, api: Client, done: str, monkeypatch: pytest.MonkeyPatch):
    here = f"/api/requests/{done}"
    first = api.get(f"{here}/images/0/overlay.png").content

    def busy(*_: object, **__: object) -> Answer:
        return Broken(code="busy", message="Too many wait.")

    monkeypatch.setattr("service_in_process.do_here", busy)
    for name in ("overlay.png", "rois.zip", "contours.geojson", "labels.tif"):
        assert api.get(f"{here}/images/0/{name}").status_code == 200
    assert api.get(f"{here}/images/0/overlay.png").content == first
    for path in ("images/1/overlay.png", "report.pdf", "archive.zip"):
        later = api.get(f"{here}/{path}")
        assert (later.status_code, later.json()["error"]["code"]) == (503, "busy")
        assert int(later.headers["retry-after"]) > 0


@pytest.mark.parametrize(("deaths_n", "status"), [(2, 200), (3, 503)])
def test_a_worker_that_dies_is_followed_by_the_next(
    api: Client, done: str, monkeypatch: pytest.MonkeyPatch, deaths_n: int, status: int
):
    asked = []

    def deadly(*given: Any, **more: Any) -> Answer:
        asked.append(given)
        if len(asked) <= deaths_n:
            return Broken(code=WORKER_LOST, message="It broke down.")
        return do_here(*given, **more)

    monkeypatch.setattr("service_in_process.do_here", deadly)
    assert api.get(f"/api/requests/{done}/report.pdf").status_code == status
    assert len(asked) == 3


def test_a_correction_has_a_report_of_its_own(made: Service, api: Client, done: str):
    here = f"/api/requests/{done}"
    before = {name: api.get(f"{here}/{name}").content for name in WHOLE_FILES}
    labels = tifffile.imread(io.BytesIO(api.get(f"{here}/images/1/labels.tif").content))
    one_less = bytes(imagecodecs.png_encode(np.where(np.arange(labels.shape[1]) < 90, labels, 0).astype(np.uint8)))
    assert api.put(f"{here}/images/1/labels?kind=classes", content=one_less).status_code == 200
    for name, content in before.items():
        assert api.get(f"{here}/{name}?version=0").content == content
        assert api.get(f"{here}/{name}").content != content
    overlays = [api.get(f"{here}/images/{number}/overlay.png?version={version}").content for number, version in ALL]
    assert overlays[0] == overlays[1]
    assert overlays[2] != overlays[3]
    with zipfile.ZipFile(io.BytesIO(api.get(f"{here}/archive.zip").content)) as packed:
        assert packed.read("report.pdf") == api.get(f"{here}/report.pdf").content
        assert packed.read("images/1/overlay.png") == overlays[3]
    assert verify(made.store).is_clean
