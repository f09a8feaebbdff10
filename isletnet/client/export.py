"""The images that are given for training: fetched once, with going on after a broken line, and confirmed."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from isletnet.client.calls import Answer, Call, Flow, Patience, Persistence, Work, ask, json_body, once
from isletnet.client.errors import AnswerError, MissingError, RefusedError, ServiceError, TransferError
from isletnet.client.fetch import SILENCE_S, receive
from isletnet.client.send import OnProgress
from isletnet.errors import ParameterError

# Of a part that is whole already no further byte can be asked for; its last one is fetched again.
OVERLAP_BYTES = 1


@dataclass(frozen=True, slots=True)
class Part:
    """What has arrived of an export; the file's name holds its number."""

    number: int
    path: Path

    def start(self) -> int:
        """Say from which byte on to ask."""
        return max(self.path.stat().st_size - OVERLAP_BYTES, 0) if self.path.exists() else 0


def training_export(patience: Patience, target: Path, *, on_progress: OnProgress) -> Flow[Path]:
    """Fetch all images that are given for training, from where an earlier attempt stopped, and confirm their hash."""
    if target.exists():
        raise ParameterError("expected the name of a new file, but there is one; take another", subject=str(target))
    yield Work(lambda: target.parent.mkdir(parents=True, exist_ok=True))
    persistence = Persistence(patience)
    while True:
        part = _part_of(target)
        start = part.start() if part else 0
        headers = {"Range": f"bytes={start}-"} if start else {}
        call = Call(method="GET", path="/api/training/export", headers=headers, stream=True, silence_s=SILENCE_S)
        try:
            answer = yield from once(call, patience)
            now = Part(_number(answer), _part_path(target, _number(answer)))
            if part in (None, now):
                yield from _go_on(answer, now, start, on_progress)
                return (yield from _finish(patience, now, target))
        except MissingError:
            if part is None:
                raise
        except ServiceError as error:
            if part and part.start() > start:
                persistence = Persistence(patience)
            pause = persistence.pause(error)
            yield pause
            continue
        # What is here is of an export that the service is done with: confirmed, and only the answer was lost?
        with suppress(MissingError, TransferError):
            return (yield from _finish(patience, part, target))


def give_up(patience: Patience, path_or_number: str | Path | int) -> Flow[None]:
    """Give up an export, so that its images can be claimed again; what has arrived of it is thrown away."""
    part = None
    if not isinstance(path_or_number, int):
        part = _part_of(Path(path_or_number))
        if part is None:
            raise ParameterError(
                "expected where an export was being fetched to; nothing has arrived there", subject=str(path_or_number)
            )
    number = part.number if part else path_or_number
    yield from ask(Call(method="DELETE", path=f"/api/training/export/{number}"), patience)
    if part:
        part.path.unlink(missing_ok=True)


def _go_on(answer: Answer, part: Part, start: int, on_progress: OnProgress) -> Flow[None]:
    """Write what comes behind what is there; from the beginning where the service begins there."""
    before = start if answer.status == 206 else 0
    with part.path.open("r+b" if before else "wb") as file:
        file.seek(before)
        yield from receive(answer, file, part.path.name, on_progress, before_bytes=before)


def _finish(patience: Patience, part: Part, target: Path) -> Flow[Path]:
    """Confirm the hash of what arrived, and give it its name; what the service does not know is thrown away."""
    digest = yield Work(lambda: _sha256(part.path))
    path = f"/api/training/export/{part.number}/confirm"
    try:
        yield from ask(Call(method="POST", path=path, body=json_body({"sha256": digest})), patience)
    except (RefusedError, MissingError) as error:
        part.path.unlink()
        if isinstance(error, MissingError):
            raise
        raise TransferError("what arrived is not what was sent; fetch it again", subject=str(target)) from error
    part.path.replace(target)
    return target


def _number(answer: Answer) -> int:
    told = answer.headers.get("x-export-number", "")
    if not told.isdecimal():
        raise AnswerError("expected the number of the export with it, got none; is the service of this version?")
    return int(told)


def _part_path(target: Path, number: int) -> Path:
    return target.with_name(f".{target.name}.export-{number}.part")


def _part_of(target: Path) -> Part | None:
    """Find what is left of an earlier attempt."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.export-(\d+)\.part")
    # A folder that is not there holds nothing, and its listing is empty.
    found = [(match, path) for path in target.parent.glob(".*") if (match := pattern.fullmatch(path.name))]
    return Part(int(found[0][0][1]), found[0][1]) if found else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
