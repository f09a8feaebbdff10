"""Fetching what is given for training: no network and no clock."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from isletnet.client import DeletedError, ServiceError, TransferError, UnreachableError, send
from isletnet.client import export as exporting
from isletnet.errors import ParameterError
from tests.client.client_script import Script, patience, refusal, reply

LOST = UnreachableError("gone")


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def part(number: int, *chunks: bytes | ServiceError, status: str = "200") -> list[object]:
    return [{"x-export-number": str(number), "status": status}, *chunks]


def test_an_export_goes_on_where_it_broke_and_is_confirmed(tmp_path: Path):
    target = tmp_path / "training.tar"
    script = Script([part(3, b"abc", LOST), part(3, b"cd", b"ef", status="206"), reply({})])
    script.run(exporting.training_export(patience(), target, on_progress=send.unheard))
    assert [path.name for path in tmp_path.iterdir()] == ["training.tar"]
    assert target.read_bytes() == b"abcdef"
    assert [call.headers.get("Range") for call in script.calls] == [None, "bytes=2-", None]
    assert script.asked[-1] == "POST /api/training/export/3/confirm"
    assert json.loads(script.bodies[-1]) == {"sha256": digest(b"abcdef")}


def test_an_export_goes_on_in_another_process(tmp_path: Path):
    target = tmp_path / "training.tar"
    with pytest.raises(UnreachableError):
        Script([part(3, b"abc", LOST)]).run(exporting.training_export(patience(0), target, on_progress=send.unheard))
    assert not target.exists()
    script = Script([part(3, b"cdef", status="206"), reply({})])
    script.run(exporting.training_export(patience(), target, on_progress=send.unheard))
    assert target.read_bytes() == b"abcdef"


def test_patience_begins_anew_with_everything_that_arrives(tmp_path: Path):
    pieces = [part(3, b"ab", LOST), *(part(3, b"bb", LOST, status="206") for _ in range(5))]
    script = Script([*pieces, part(3, b"b", status="206"), reply({})])
    script.run(exporting.training_export(patience(1), tmp_path / "training.tar", on_progress=send.unheard))
    assert (tmp_path / "training.tar").read_bytes() == b"abbbbbb"
    assert script.pauses == [0.5] * 6


def test_a_service_that_begins_anew_is_believed(tmp_path: Path):
    target = tmp_path / "training.tar"
    script = Script([part(3, b"abc", LOST), part(3, b"abcdef"), reply({})])
    script.run(exporting.training_export(patience(), target, on_progress=send.unheard))
    assert target.read_bytes() == b"abcdef"


def test_a_lost_answer_to_the_confirmation_loses_no_image(tmp_path: Path):
    target = tmp_path / "training.tar"
    script = Script([part(3, b"abc"), LOST])
    with pytest.raises(UnreachableError):
        script.run(exporting.training_export(patience(0), target, on_progress=send.unheard))
    script = Script([refusal(410, "gone"), reply({})])
    script.run(exporting.training_export(patience(), target, on_progress=send.unheard))
    assert target.read_bytes() == b"abc"
    assert script.asked[-1] == "POST /api/training/export/3/confirm"


def test_a_part_of_an_export_that_was_given_up_is_thrown_away(tmp_path: Path):
    target = tmp_path / "training.tar"
    (tmp_path / ".training.tar.export-2.part").write_bytes(b"abc")
    script = Script([part(3, b"z", status="206"), refusal(410, "gone"), part(3, b"xyz"), reply({})])
    script.run(exporting.training_export(patience(), target, on_progress=send.unheard))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("training.tar", b"xyz")]


def test_a_damaged_export_is_not_kept(tmp_path: Path):
    target = tmp_path / "training.tar"
    script = Script([part(3, b"abc"), refusal(409, "conflict")])
    with pytest.raises(TransferError):
        script.run(exporting.training_export(patience(), target, on_progress=send.unheard))
    assert list(tmp_path.iterdir()) == []


def test_an_export_never_replaces_a_file(tmp_path: Path):
    target = tmp_path / "training.tar"
    target.write_bytes(b"old")
    with pytest.raises(ParameterError):
        Script([]).run(exporting.training_export(patience(), target, on_progress=send.unheard))
    assert target.read_bytes() == b"old"


def test_everything_handed_out_is_said(tmp_path: Path):
    with pytest.raises(DeletedError):
        Script([refusal(410, "gone")]).run(
            exporting.training_export(patience(), tmp_path / "training.tar", on_progress=send.unheard)
        )
