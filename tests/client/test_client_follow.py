"""Waiting for a request: no network and no clock."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isletnet.client import Progress, RefusedError, UnreachableError, follow, send
from tests.client.client_script import Script, patience, reply

ID = "0123456789abcdef" * 2
LOST = UnreachableError("gone")
EVENTS = {"content-type": "text/event-stream; charset=utf-8"}


def status(state: str, **more: object) -> dict[str, object]:
    return {"request_id": ID, "state": state, "images": [], **more}


def event(kind: str, data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def test_waiting_hears_every_event_once():
    states = [status("queued"), status("running", progress_fraction=0.5), status("done", progress_fraction=1.0)]
    stream = [EVENTS, event("status", states[0]), b": ping\n\n", event("status", states[1]), event("end", {})]
    script = Script([reply(states[0]), stream, reply(states[2])])
    heard: list[Progress] = []
    assert script.run(follow.wait(patience(), ID, heard.append)).state == "done"
    assert [one.fraction for one in heard] == [0.0, 0.5, 1.0]
    assert script.pauses == []


def test_waiting_goes_on_after_a_restart_of_the_service():
    running = status("running", progress_fraction=0.5)
    broken = [EVENTS, event("status", running), LOST]
    stream = [EVENTS, event("status", status("running", progress_fraction=0.7)), event("end", {})]
    script = Script([reply(running), broken, LOST, LOST, stream, reply(status("done"))])
    assert script.run(follow.wait(patience(), ID, send.unheard)).ended
    assert script.pauses == [0.5, 1, 2]


def test_patience_begins_anew_with_everything_that_is_heard():
    states = [status("running", progress_fraction=n / 10) for n in range(6)]
    broken = [[EVENTS, event("status", one), LOST] for one in states]
    script = Script([reply(states[0]), *broken, [EVENTS, event("end", {})], reply(status("done"))])
    assert script.run(follow.wait(patience(1), ID, send.unheard)).ended
    assert script.pauses == [0.5] * 6


@pytest.mark.parametrize("silent", [[EVENTS, LOST], [{"content-type": "text/html"}, b"<html>"]])
def test_where_no_events_come_through_the_service_is_asked(silent: list[object]):
    script = Script([reply(status("queued")), silent, reply(status("running")), reply(status("dead"))])
    assert script.run(follow.wait(patience(), ID, send.unheard)).state == "dead"
    assert [call.query.get("wait") for call in script.calls] == [None, None, 10, 10]


def test_a_draft_is_not_waited_for():
    with pytest.raises(RefusedError, match="submit"):
        Script([reply(status("draft"))]).run(follow.wait(patience(), ID, send.unheard))


@given(cuts=st.lists(st.integers(0, 200), max_size=8), text=st.text(st.characters(codec="utf-8"), max_size=20))
def test_events_are_the_same_wherever_the_network_cuts_them(cuts: list[int], text: str):
    whole = b": hello\r\n\r\n" + event("status", {"name": text}) + b"data: a\r\ndata:b\r\n\r\n" + event("end", {})
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    events = follow.Events()
    found = [one for a, b in zip(edges, edges[1:], strict=False) for one in events.feed(whole[a:b])]
    assert [one.kind for one in found] == ["status", "message", "end"]
    assert json.loads(found[0].data) == {"name": text}
    assert found[1].data == "a\nb"
