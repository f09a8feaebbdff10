"""Files on their way out: archives as they are written, and names that headers hold."""

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from requests_at_work import MORNING

from isletnet.storage.layout import FileRecord, Request
from serve.doors import files


class Zeros:
    """A store with one large file."""

    def stream(self, key: str) -> Iterator[bytes]:
        return (bytes(1 << 20) for _ in range(200))


def test_an_archive_is_written_as_it_is_read():
    record = FileRecord(path="labels.tif", sha256="", size_bytes=200 << 20)
    request = Request(request_id="0" * 32, owner="ann", submitted_utc=MORNING, images=())
    results = files.Results(request=request, ended_utc=MORNING, version=0, files={"labels.tif": ("key", record)})
    sizes = [len(piece) for piece in files.archive(Zeros(), results)]
    assert max(sizes) <= 2 << 20
    assert sum(sizes) > 200 << 20


@pytest.mark.parametrize("is_archive", [False, True])
def test_who_leaves_in_the_middle_keeps_no_file_open(is_archive: bool):
    # Held here, so that nothing is left to the garbage collector.
    kept: list[Iterator[bytes]] = []
    ended_n = 0

    class Watched:
        def stream(self, key: str) -> Iterator[bytes]:
            def pieces() -> Iterator[bytes]:
                nonlocal ended_n
                try:
                    for _ in range(200):
                        yield bytes(1000)
                finally:
                    ended_n += 1

            kept.append(pieces())
            return kept[-1]

    record = FileRecord(path="labels.tif", sha256="", size_bytes=200_000)
    request = Request(request_id="0" * 32, owner="ann", submitted_utc=MORNING, images=())
    results = files.Results(request=request, ended_utc=MORNING, version=0, files={"labels.tif": ("key", record)})
    if is_archive:
        archived = files.first_piece_read(files.archive(Watched(), results))
        answer = files.file_answer(archived, "archive.zip", stem="", size_bytes=None)
    else:
        answer = files.stored_file(Watched(), results, "labels.tif", stem="")

    async def read_a_little() -> int:
        is_begun, pieces_n = asyncio.Event(), 0

        async def receive() -> Any:
            await is_begun.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal pieces_n
            pieces_n += message["type"] == "http.response.body"
            if pieces_n == 3:
                is_begun.set()
                await asyncio.Event().wait()

        await answer({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)
        return pieces_n

    assert asyncio.run(read_a_little()) == 3
    assert (len(kept), ended_n) == (1, 1)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("plate 1.tif", "plate 1.tif"),
        ("a/b\\c:d.tif", "a_b_c_d.tif"),
        ('quote".tif', "quote_.tif"),
        ("line\r\nbreak.tif", "line\ufffd\ufffdbreak.tif"),
        ("\u202egnp.exe", "\ufffdgnp.exe"),
        ("żółw 🧫.png", "żółw 🧫.png"),
        ("..", "file"),
        ("", "file"),
        ("50%;x.png", "50%;x.png"),
        ("x" * 300 + ".tif", "x" * 120 + ".tif"),
    ],
)
def test_a_disposition_holds_any_name(name: str, kept: str):
    told = files.disposition(name)
    plain, _, encoded = told.partition("; filename*=UTF-8''")
    assert unquote(encoded) == kept
    assert plain.startswith('attachment; filename="')
    assert told.isascii()
    assert told.isprintable()
    assert not set('%;"') & set(plain.removeprefix('attachment; filename="')[:-1])
