"""Names of files may be anything, and stay data."""

from urllib.parse import quote

import pytest
from requests_at_work import picture
from service_in_process import Client, Service

from isletnet.storage.layout import REQUESTS

NAMES_FROM_HELL = [
    "<script>alert(1)</script>.png",
    'quote".png',
    "line\r\nSet-Cookie: a=b.png",
    "=cmd|' /C calc'!A0.png",
    "../../etc/passwd",
    "\u202egnp.exe",
    "żółw 😀 🧫.png",
    "x" * 300 + ".png",
    "nul\x00l.png",
    "100%41;.png",
]


@pytest.mark.parametrize("name", NAMES_FROM_HELL)
def test_any_name_is_data(made: Service, api: Client, name: str):
    request_id = api.post("/api/requests", json={}).json()["request_id"]
    answer = api.put(f"/api/requests/{request_id}/images/0?name={quote(name, safe='')}", content=picture())
    assert answer.status_code == 201
    assert answer.json()["name"] == name[:255]
    form = api.post("/api/requests", files={"images": (name, picture())})
    assert form.status_code == 202
    assert all("x" * 20 not in key and "script" not in key for key in made.store.list_keys(REQUESTS))
    original = api.get(f"/api/requests/{request_id}/images/0/original")
    assert original.status_code == 200
    told = original.headers["content-disposition"]
    assert told.startswith('attachment; filename="')
    assert told.isascii()
    assert told.isprintable()
    assert told.count('"') == 2
    assert "/" not in told.partition("filename*=")[0]
