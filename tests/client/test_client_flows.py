"""What the client asks, in which order, and when again: no network and no clock."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from isletnet.client import (
    AccessError,
    AnswerError,
    BusyError,
    DeletedError,
    MissingError,
    NoSpaceError,
    Progress,
    RefusedError,
    RejectedError,
    ServiceError,
    TransferError,
    UnreachableError,
    send,
    talk,
)
from isletnet.client.calls import Answer, Call, ask, error_of
from isletnet.client.fetch import fetch, file_path
from isletnet.errors import InputError, IsletnetError, ParameterError
from tests.client.client_script import Script, patience, refusal, reply

ID = "0123456789abcdef" * 2
GET = Call(method="GET", path="/api/networks")
LOST = UnreachableError("gone")


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def status(state: str = "draft", *images: tuple[str, bytes], **more: object) -> dict[str, object]:
    listed = [
        {"number": n, "name": name, "sha256": digest(content), "size_bytes": len(content), "state": "waiting"}
        for n, (name, content) in enumerate(images)
    ]
    return {"request_id": ID, "state": state, "images": listed, **more}


@pytest.mark.parametrize(
    ("http", "kind"),
    [
        (400, RejectedError),
        (401, AccessError),
        (403, AccessError),
        (404, MissingError),
        (409, RefusedError),
        (410, DeletedError),
        (413, RejectedError),
        (415, RejectedError),
        (422, RejectedError),
        (429, BusyError),
        (503, BusyError),
        (507, NoSpaceError),
        (500, ServiceError),
        (418, ServiceError),
    ],
)
def test_what_the_service_says_is_wrong_keeps_its_code_and_its_sentence(http: int, kind: type[ServiceError]):
    error = error_of(refusal(http, "its_code", "Its sentence."))
    assert type(error) is kind
    assert isinstance(error, IsletnetError)
    assert (error.code, error.message, error.status, error.call_id) == ("its_code", "Its sentence.", http, "call-1")


def test_an_answer_of_another_program_is_told_apart():
    assert type(error_of(Answer(status=404, headers={}, content=b"<html>nginx</html>"))) is AnswerError
    assert type(error_of(Answer(status=302, headers={"location": "/login"}))) is AnswerError
    assert type(error_of(Answer(status=413, headers={}, content=b"<html>nginx</html>"))) is RejectedError
    with pytest.raises(AnswerError, match="check the address"):
        Script([Answer(status=200, headers={}, content=b"<html>Sign in</html>")]).run(
            talk.plain(patience(), "/api/networks")
        )


def test_pauses_grow_while_nobody_answers():
    script = Script([LOST, LOST, LOST, LOST, LOST, LOST, LOST, reply({})])
    script.run(ask(GET, patience()))
    assert script.pauses == [0.5, 1, 2, 4, 8, 15, 15]


def test_patience_ends():
    script = Script([LOST] * 5)
    with pytest.raises(UnreachableError):
        script.run(ask(GET, patience(10)))
    assert script.pauses == [0.5, 1, 2, 4]


def test_a_stranger_is_not_waited_for_long():
    script = Script([LOST] * 3)
    with pytest.raises(UnreachableError):
        script.run(ask(GET, patience(met=False)))
    assert sum(script.pauses) <= 2


@pytest.mark.parametrize("http", [429, 503])
def test_the_service_says_when_to_come_again(http: int):
    script = Script([refusal(http, retry_after="7"), refusal(http, retry_after="3"), reply({})])
    script.run(ask(GET, patience()))
    assert script.pauses == [7, 3]


def test_a_date_to_come_again_is_compared_with_the_clock_of_the_service():
    busy = refusal(503, retry_after="Tue, 24 Nov 2026 09:00:30 GMT", date="Tue, 24 Nov 2026 09:00:10 GMT")
    script = Script([busy, reply({})])
    script.run(ask(GET, patience()))
    assert script.pauses == [20]


def test_too_long_a_pause_is_told_and_not_made():
    script = Script([refusal(429, retry_after="3600")])
    with pytest.raises(BusyError) as caught:
        script.run(ask(GET, patience()))
    assert caught.value.retry_after_s == 3600
    assert script.pauses == []


@pytest.mark.parametrize("http", [400, 401, 403, 404, 409, 410, 413, 415, 422, 500, 507])
def test_what_will_not_change_is_not_asked_again(http: int):
    script = Script([refusal(http)])
    with pytest.raises(ServiceError):
        script.run(ask(GET, patience()))
    assert script.pauses == []


def test_a_process_that_died_while_it_answered_is_asked_again():
    script = Script([Answer(status=500, headers={}, content=b"Internal Server Error"), reply({})])
    script.run(ask(GET, patience()))
    assert len(script.pauses) == 1


def test_a_request_is_a_draft_then_files_then_the_commit(tmp_path: Path):
    (tmp_path / "ä b.tif").write_bytes(b"one")
    sent = [reply({"sha256": digest(b"one")}, 201), reply({"sha256": digest(b"two")}, 201)]
    script = Script([reply(status(), 201), reply(status()), *sent, reply(status("queued"), 202)])
    heard: list[Progress] = []
    flow = send.submit(
        patience(),
        [tmp_path / "ä b.tif", b"two"],
        {"sample_name": "Spender 12"},
        {1: {"um_per_px": 2.0}},
        None,
        heard.append,
    )
    assert script.run(flow).state == "queued"
    root = f"/api/requests/{ID}"
    puts = [f"PUT {root}/images/0", f"PUT {root}/images/1"]
    assert script.asked == ["POST /api/requests", f"GET {root}", *puts, f"POST {root}/submit"]
    assert json.loads(script.bodies[0]) == {"sample_name": "Spender 12", "images": {"1": {"um_per_px": 2.0}}}
    assert script.bodies[2:4] == [b"one", b"two"]
    assert [call.query.get("name") for call in script.calls[2:4]] == ["ä b.tif", "image-1"]
    key = script.calls[0].headers["Idempotency-Key"]
    assert len(key) == 32
    assert script.calls[-1].headers["Idempotency-Key"] == key
    assert (heard[-1].fraction, heard[-1].done, heard[-1].total) == (1.0, 6, 6)
    assert [one.fraction for one in heard] == sorted(one.fraction for one in heard)


def test_a_stopped_script_sends_only_what_is_missing():
    draft = status("draft", ("a", b"one"))
    second = reply({"sha256": digest(b"two")}, 201)
    script = Script([reply(draft, 201), reply(draft), second, reply(status("queued"), 202)])
    script.run(send.submit(patience(), [b"one", b"two"], {}, {}, "mine", send.unheard))
    assert [path for path in script.asked if path.startswith("PUT")] == [f"PUT /api/requests/{ID}/images/1"]
    assert script.calls[0].headers["Idempotency-Key"] == "mine"


def test_a_file_that_arrived_although_the_line_broke_is_not_sent_again():
    arrived = status("draft", ("a", b"one"))
    script = Script([reply(status(), 201), reply(status()), LOST, reply(arrived), reply(status("queued"), 202)])
    script.run(send.submit(patience(), [b"one"], {}, {}, None, send.unheard))
    assert sum(path.startswith("PUT") for path in script.asked) == 1


def test_a_file_that_broke_off_is_sent_again_from_its_beginning():
    done = reply({"sha256": digest(b"one")}, 201)
    script = Script([reply(status(), 201), reply(status()), LOST, reply(status()), done, reply(status("queued"), 202)])
    script.run(send.submit(patience(), [b"one"], {}, {}, None, send.unheard))
    assert [body for body in script.bodies if body == b"one"] == [b"one", b"one"]


def test_who_may_send_but_not_read_sends():
    done = reply({"sha256": digest(b"one")}, 201)
    forbidden = refusal(403, "forbidden")
    script = Script([reply(status(), 201), forbidden, LOST, forbidden, done, reply(status("queued"), 202)])
    assert script.run(send.submit(patience(), [b"one"], {}, {}, None, send.unheard)).state == "queued"


def test_a_rejected_file_is_named():
    script = Script([reply(status(), 201), reply(status()), refusal(415, "image_unsupported", "No picture.")])
    with pytest.raises(RejectedError) as caught:
        script.run(send.submit(patience(), [("notes.txt", b"one")], {}, {}, None, send.unheard))
    assert (caught.value.code, caught.value.subject) == ("image_unsupported", "notes.txt")


def test_other_bytes_at_the_service_are_noticed():
    script = Script([reply(status(), 201), reply(status()), reply({"sha256": digest(b"other")}, 201)])
    with pytest.raises(TransferError):
        script.run(send.submit(patience(), [b"one"], {}, {}, None, send.unheard))


def test_the_same_key_after_the_commit_gives_the_same_request():
    queued = status("queued", ("a", b"one"))
    script = Script([reply(queued, 201), reply(queued), reply(queued, 202)])
    assert script.run(send.submit(patience(), [b"one"], {}, {}, "mine", send.unheard)).state == "queued"


@pytest.mark.parametrize("images", [[b"one"], [b"one", b"three"], [b"one", b"two", b"three"]])
def test_the_same_key_with_other_images_is_refused(images: list[bytes]):
    queued = status("queued", ("a", b"one"), ("b", b"two"))
    script = Script([reply(queued, 201), reply(queued)])
    with pytest.raises(RefusedError, match="use a new one"):
        script.run(send.submit(patience(), images, {}, {}, "mine", send.unheard))


def test_nothing_is_opened_for_files_that_are_not_there(tmp_path: Path):
    for images in ([], [tmp_path / "absent.tif"]):
        script = Script([])
        with pytest.raises(InputError):
            script.run(send.submit(patience(), images, {}, {}, None, send.unheard))
        assert script.asked == []


def test_a_deletion_whose_answer_was_lost_is_done():
    script = Script([LOST, refusal(404)])
    script.run(talk.delete(patience(), ID, False))
    with pytest.raises(MissingError):
        Script([refusal(404)]).run(talk.delete(patience(), ID, False))


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path):
    target = tmp_path / "report.pdf"
    target.write_bytes(b"old")
    script = Script([[{"content-length": "4"}, b"ne", LOST]])
    with pytest.raises(UnreachableError):
        script.run(fetch(patience(0), "/x", target, query={}, on_progress=send.unheard))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("report.pdf", b"old")]
    script = Script([[{"content-length": "4"}, b"ne", LOST], [{"content-length": "4"}, b"ne", b"w!"]])
    script.run(fetch(patience(), "/x", target, query={}, on_progress=send.unheard))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("report.pdf", b"new!")]


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "images/../../x", "a\\b", "c:x", "images//0", "./x"])
def test_a_name_that_leads_elsewhere_is_refused(name: str):
    with pytest.raises(ParameterError):
        file_path(ID, name)


@pytest.mark.parametrize("request_id", ["", "../x", "a/b", "x" * 65, "a\0", "ａ", "%2e%2e"])
def test_an_id_that_cannot_be_is_refused(request_id: str):
    with pytest.raises(ParameterError):
        talk.checked_id(request_id)
